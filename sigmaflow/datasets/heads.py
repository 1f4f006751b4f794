"""Parametric heads: a latent ``z`` in R^64 becomes a coloured head mesh in EG3D's world.

Geometry comes from the package ``anny`` (optional extra ``faces``; code Apache-2.0, assets CC0),
imported only when a head is built. A head is a deterministic, smooth function of
``z / sqrt(mean(z^2))`` - EG3D's mapping network normalises its input in the same way - except for
the spectacles, which appear when their coordinate passes 0.8. ``z`` fixes all but the camera.

World: the box ``[-0.5, 0.5]^3``, x image right, y up, z toward the camera; every head has its
eyes at the same place (``EYE_HEIGHT``, ``EYE_DEPTH``), the same distance between them
(``EYE_SPAN``) and the same pitch of the line from eyes to upper lip. The neck ends, closed, at
``NECK_BOTTOM``, and hair above it: all of a head lies inside the box and inside frontal pictures.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from sigmaflow.datasets import headpaint as paint
from sigmaflow.datasets import headparts as parts
from sigmaflow.datasets.headlatent import LATENT, Look, latent, look_of, shape_inputs

__all__ = ["LATENT", "Head", "Look", "anatomy", "build_head", "latent", "look_of", "shape_inputs"]
EYE_SPAN, EYE_HEIGHT, EYE_DEPTH = 0.130, 0.0, 0.15
UNIT = EYE_SPAN / (2 * parts.EYES[0, 0])  # world units per metre of the canonical head
NECK_BOTTOM, NECK_ROWS, CAP_ROWS = -0.295, 4, 3  # the cap closes the neck below
_TILT = np.radians(4.0)  # every head looks down by this much


@dataclass(frozen=True)
class Head:
    """A head ready to render: ``vertices`` ``[V, 3]`` float32 in the world box, ``faces``
    ``[F, 3]``, unit ``normals`` ``[V, 3]``, ``shade`` ``[V, 2]`` (ambient occlusion and shadow,
    [0, 1]), ``canonical`` ``[V, 3]`` (the same points on the average head, metres), ``part``
    ``[F]`` (headpaint.SKIN ...), the
    ``look`` and ``scene`` (raycast.Scene)."""

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    shade: np.ndarray
    canonical: np.ndarray
    azimuth: np.ndarray
    part: np.ndarray
    look: Look
    scene: object

    def colours(self, triangle, weights):
        """sRGB colours ``[N, 3]`` at barycentric points of triangles."""
        corners = self.faces[triangle]
        p = (self.canonical[corners] * weights[..., None]).sum(1)
        part, out = self.part[triangle], np.empty((len(triangle), 3))
        for kind in np.unique(part):
            at = part == kind
            if kind == paint.SKIN:
                out[at] = paint.paint_skin(p[at], self.look)
            elif kind == paint.EYE:
                out[at] = paint.paint_eye(p[at], self.look)
            elif kind == paint.HAIR:
                azimuth = self.azimuth[corners[at, 0]]
                out[at] = paint.paint_hair(azimuth, self.look)
            else:
                out[at] = {
                    paint.TONGUE: np.array([0.55, 0.25, 0.24]),
                    paint.NECK: self.look.skin,
                    paint.FRAME: np.array([0.07, 0.06, 0.06]),
                }[kind]
        return out


class _Anatomy:
    """The head model, its average head and everything bound to it once."""

    def __init__(self):
        import warnings

        import anny
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model = anny.create_head_model(
                local_changes="all",
                facial_actions=True,
                all_phenotypes=True,
                triangulate_faces=True,
            )
        self.torch = torch
        self.faces = self.model.faces.detach().cpu().numpy().astype(np.int64)
        self.canonical = self.vertices({}, {}, {})
        base = self.model.base_mesh_vertex_indices.cpu().numpy()
        self.eyes = [np.flatnonzero((base >= a) & (base < a + 72)) for a in (14598, 14670)]
        tongue = (base >= 13380) & (base < 13606)
        part = np.full(len(base), paint.SKIN)
        part[tongue], part[np.concatenate(self.eyes)] = paint.TONGUE, paint.EYE
        c = self.canonical
        self.eye_offset = [parts.EYES[i] - c[e].mean(0) for i, e in enumerate(self.eyes)]
        self.lip = np.flatnonzero(
            (np.abs(c[:, 0]) < 0.006) & (c[:, 1] > 0.1105) & (c[:, 1] < 0.1190) & (c[:, 2] > 0.112)
        )
        skin = self.faces[part[self.faces[:, 0]] == paint.SKIN]
        self.skull = parts.bind_skull(c, skin)
        self.ring, neck = parts.neck_faces(c, self.faces, NECK_ROWS + CAP_ROWS)
        # triangles and painted coordinates of head, neck and hair
        count = len(c) + (NECK_ROWS + CAP_ROWS) * len(self.ring)
        hair = parts.hair_faces()
        self.all_faces = np.concatenate([self.faces, neck, hair + count])
        self.part = np.concatenate(
            [part[self.faces[:, 0]], np.full(len(neck), paint.NECK), np.full(len(hair), paint.HAIR)]
        )
        self.azimuth = np.concatenate([np.zeros(count), parts.hair_azimuth()])
        self.beard = paint.beard(c) * (part == paint.SKIN)
        self.occlusion = np.ones(count)
        self.occlusion[: len(c)] = self._ambient_occlusion(c)
        self.occlusion[len(c) :] = 0.7

    def vertices(self, phenotypes, changes, actions):
        with self.torch.no_grad():
            out = self.model(
                phenotype_kwargs=phenotypes, local_changes_kwargs=changes, facial_actions=actions
            )
        return out["vertices"][0].cpu().numpy().astype(np.float64)

    def _ambient_occlusion(self, c, rays=96):
        from sigmaflow.fields.raycast import Scene, vertex_normals

        normal = vertex_normals(c, self.faces)
        d = np.random.RandomState(0).randn(rays, 3)
        d /= np.linalg.norm(d, axis=1, keepdims=True)
        d = d[None] + normal[:, None] * 1.02  # cosine-weighted
        o = np.repeat(c + 2e-4 * normal, rays, 0)
        blocked = Scene(c, self.faces).occluded(o, d.reshape(-1, 3))
        return 1 - 0.85 * blocked.reshape(-1, rays).mean(1)


@functools.lru_cache(maxsize=1)
def anatomy():
    """The head model, loaded once a process (the first build on a machine takes minutes).

    Raises ``ImportError`` when the optional extra ``faces`` (anny) is not installed.
    """
    try:
        return _Anatomy()
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("anny", "roma", "warp"):
            raise ImportError(
                "rendering heads needs the extra: pip install sigmaflow[faces]"
            ) from error
        raise


def _align(a, v):
    """Head vertices (metres) to the world: eyes level and in place, the same pitch."""
    left, right = (v[e].mean(0) + o for e, o in zip(a.eyes, a.eye_offset, strict=True))
    mid = (left + right) / 2
    v = (v - mid) * (EYE_SPAN / np.linalg.norm(left - right))
    mouth, rest = v[a.lip].mean(0), a.canonical[a.lip].mean(0) - parts.EYES.mean(0)
    turn = np.arctan2(mouth[2], -mouth[1]) - np.arctan2(rest[2], -rest[1]) + _TILT
    c, s = np.cos(turn), np.sin(turn)
    return v @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T + [0, EYE_HEIGHT, EYE_DEPTH]


def build_head(z):
    """The head of a latent ``z`` (64 numbers): a ``Head``. ValueError for other or zero ``z``."""
    from sigmaflow.fields.raycast import Scene, vertex_normals

    look, a = look_of(z), anatomy()
    metres = a.vertices(*shape_inputs(z))
    if look.beard > 0.01:
        out = vertex_normals(metres, a.faces) * (a.beard * look.beard * look.beard_length)[:, None]
        metres = metres + out
    v = _align(a, metres)
    v, rows = _bust(a, v)
    rows = [v, *rows]
    skull = a.skull @ v
    rows.append(parts.hair_vertices(skull, _skull_centre(), UNIT, look.style))
    faces, part, azimuth = a.all_faces, a.part, a.azimuth
    if look.glasses > 0:
        frame, frame_faces = parts.glasses(radius=0.0026 * look.glasses)
        frame_faces = frame_faces + sum(map(len, rows))
        rows.append((frame - parts.EYES.mean(0)) * UNIT + [0, EYE_HEIGHT, EYE_DEPTH])
        faces = np.concatenate([faces, frame_faces])
        part = np.concatenate([part, np.full(len(frame_faces), paint.FRAME)])
        azimuth = np.concatenate([azimuth, np.zeros(len(frame))])
    vertices = np.concatenate(rows).astype(np.float32)
    head = len(a.occlusion)
    canonical = np.zeros((len(vertices), 3), np.float32)
    canonical[: len(v)] = a.canonical
    canonical[head:] = vertices[head:] / UNIT
    normals = vertex_normals(vertices, faces)
    shade = np.ones((len(vertices), 2), np.float32)
    shade[:head, 0] = a.occlusion
    scene = Scene(vertices, faces)
    shade[:, 1] = _shadow(scene, vertices, normals, look.light)
    return Head(vertices, faces, normals, shade, canonical, azimuth, part, look, scene)


def _bust(a, v):
    """The neck rounded off at ``NECK_BOTTOM``: the head's vertices, and rows that close it below.

    The model's neck widens toward shoulders it does not have; what reaches below ``NECK_BOTTOM``
    is drawn toward its axis.
    """
    centre = v[a.ring].mean(0)
    below = np.maximum(NECK_BOTTOM - v[:, 1], 0) * (a.canonical[:, 1] < 0.075)
    v = v.copy()
    v[:, [0, 2]] += (centre[[0, 2]] - v[:, [0, 2]]) * np.minimum(6 * below, 0.6)[:, None]
    v[:, 1] += 0.7 * below
    ring = v[a.ring]
    bottom = np.minimum(ring[:, 1], NECK_BOTTOM)
    rows = []
    for k in range(1, NECK_ROWS + 1):
        row = ring.copy()
        row[:, 1] += (bottom - ring[:, 1]) * k / NECK_ROWS
        rows.append(row)
    edge = rows[-1]
    for angle in np.arange(1, CAP_ROWS + 1) / CAP_ROWS * np.pi / 2:
        row = centre + (edge - centre) * [np.cos(angle), 1, np.cos(angle)]
        row[:, 1] = edge[:, 1] - 0.012 * np.sin(angle)
        rows.append(row)
    return v, rows


def _skull_centre():
    return (parts.SKULL_CENTRE - parts.EYES.mean(0)) * UNIT + [0, EYE_HEIGHT, EYE_DEPTH]


def _shadow(scene, vertices, normals, light, rays=4):
    """Share of a broad light each vertex sees, [0, 1], softened to keep shadows mild."""
    spread = light + 0.25 * np.random.RandomState(1).randn(rays, 3)
    o = np.repeat(vertices + 0.006 * normals, rays, 0)
    hidden = scene.occluded(o, np.tile(spread, (len(vertices), 1)))
    return 1 - 0.75 * hidden.reshape(-1, rays).mean(1)
