"""Meshes as GLB: binary glTF 2.0, one buffer, for browsers, Blender and slides.

glTF's axes are the world's (y up, z toward the viewer, right-handed); its unit is the metre, and
one world unit is written as one metre.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sigmaflow.atomic import write_bytes
from sigmaflow.fields.mesh import Mesh
from sigmaflow.fields.raycast import to_linear, vertex_normals

CLAY = (0.66, 0.71, 0.77)
FLOAT, UINT32 = 5126, 5125  # glTF's numbers for component types
ARRAY_BUFFER, ELEMENT_BUFFER = 34962, 34963


def write_glb(
    path: str | Path, mesh: Mesh, colour: Sequence[float] = CLAY, name: str = "surface"
) -> None:
    """One mesh with smooth vertex normals and one matt material, whole or not there at all.

    ``colour``: sRGB in [0, 1]. Raises ValueError for a mesh without faces, which glTF has no way
    to say.
    """
    if not len(mesh.faces):
        raise ValueError(f"{path}: the mesh has no faces; GLB cannot hold an empty one")
    arrays = [
        (np.ascontiguousarray(mesh.vertices, "<f4"), FLOAT, "VEC3", ARRAY_BUFFER),
        (vertex_normals(mesh.vertices, mesh.faces).astype("<f4"), FLOAT, "VEC3", ARRAY_BUFFER),
        (mesh.faces.astype("<u4").reshape(-1), UINT32, "SCALAR", ELEMENT_BUFFER),
    ]
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    parts, offset = [], 0
    for array, component, kind, target in arrays:
        data = array.tobytes()  # a multiple of 4 bytes each, which is the alignment asked for
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": len(data), "target": target})
        accessors.append(
            {
                "bufferView": len(accessors),
                "componentType": component,
                "count": len(array),
                "type": kind,
            }
        )
        parts.append(data)
        offset += len(data)
    accessors[0] |= {"min": mesh.vertices.min(0).tolist(), "max": mesh.vertices.max(0).tolist()}
    shade = [float(c) for c in to_linear(colour)]
    scene = {
        "asset": {"version": "2.0", "generator": "sigmaflow"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [
            {
                "name": name,
                "primitives": [
                    {"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": 0}
                ],
            }
        ],
        "materials": [
            {
                "name": "clay",
                "pbrMetallicRoughness": {
                    "baseColorFactor": [*shade, 1.0],
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.8,
                },
            }
        ],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": accessors,
    }
    text = json.dumps(scene, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + offset)
    write_bytes(
        path,
        b"".join(
            [
                head,
                struct.pack("<I4s", len(text), b"JSON"),
                text,
                struct.pack("<I4s", offset, b"BIN\0"),
                *parts,
            ]
        ),
    )
