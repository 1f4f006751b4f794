"""Pictures of meshes in one material: grey-blue clay under soft light, cast on the CPU.

Light: a key lamp with its shadow, a weak fill and a rim from behind, all fixed to the camera so
that every view is lit alike, and ambient occlusion, which shows pits and floaters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sigmaflow.fields.mesh import Mesh
from sigmaflow.fields.raycast import Scene, camera_rays, to_linear, to_srgb, vertex_normals

PIVOT = (0.0, 0.0, 0.2)  # where EG3D's FFHQ cameras look
RADIUS = 2.7
CLAY = (0.66, 0.71, 0.77)
GROUND = (0.965, 0.97, 0.975)
# In camera axes (x right, y up, z toward the viewer).
KEY, FILL, RIM = (-0.7, 0.7, 0.55), (0.9, 0.1, 0.5), (0.6, 0.5, -0.8)


def orbit(
    yaw: float, pitch: float = 0.0, radius: float = RADIUS, pivot: Sequence[float] = PIVOT
) -> np.ndarray:
    """cam2world ``[4, 4]`` on EG3D's orbit about the origin, looking at ``pivot``.

    Degrees: yaw > 0 goes to image right (+x), pitch > 0 up; both 0 is the frontal camera.
    """
    a, b = math.radians(yaw), math.radians(pitch)
    place = radius * np.array([math.sin(a) * math.cos(b), math.sin(b), math.cos(a) * math.cos(b)])
    forward = np.asarray(pivot, float) - place
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = right, np.cross(forward, right), forward
    pose[:3, 3] = place
    return pose


def common_centre(meshes: Sequence[Mesh]) -> tuple[float, float, float]:
    """Middle of the box that holds all but the outer 2 % of each mesh's vertices on every side."""
    boxes = [np.quantile(m.vertices, [0.02, 0.98], axis=0) for m in meshes if len(m.vertices)]
    if not boxes:
        return PIVOT
    low, high = np.min([b[0] for b in boxes], 0), np.max([b[1] for b in boxes], 0)
    x, y, z = ((low + high) / 2).tolist()
    return x, y, z


def framing(
    meshes: Sequence[Mesh],
    yaws: Sequence[float],
    pitch: float = 0.0,
    pivot: Sequence[float] = PIVOT,
    fill: float = 0.9,
) -> tuple[float, float]:
    """One focal length (fraction of the image) for all meshes and views, and the width needed.

    At that focal length the larger side of what is seen fills ``fill`` of the image; the width is
    the share of the image's columns, in (0, 1], that holds everything. What reaches more than 15 %
    farther than 98 % of a mesh's vertices, such as far floaters, may be cut off.
    """
    reach = np.full(2, 1e-6)
    for mesh in meshes:
        for yaw in yaws if len(mesh.vertices) else ():
            pose = orbit(yaw, pitch, pivot=pivot)
            p = (mesh.vertices - pose[:3, 3]) @ pose[:3, :3]
            seen = np.abs(p[:, :2] / p[:, 2:])
            reach = np.maximum(reach, np.minimum(seen.max(0), 1.15 * np.quantile(seen, 0.98, 0)))
    return fill * 0.5 / float(reach.max()), float(min(1.0, reach[0] / reach.max() / fill))


def occlusion(
    mesh: Mesh, scene: Scene, normals: np.ndarray, rays: int = 32, distance: float = 0.25
) -> np.ndarray:
    """Ambient light that reaches each vertex, ``[V]`` in [0, 1] (1: nothing near).

    ``rays`` cosine-weighted directions on a Fibonacci spiral, the same for every vertex; hits
    farther than ``distance`` world units do not count.
    """
    i = np.arange(rays) + 0.5
    height, turn = np.sqrt(1 - i / rays), i * math.pi * (3 - math.sqrt(5))
    side = np.sqrt(i / rays)
    local = np.stack([side * np.cos(turn), side * np.sin(turn), height], 1)
    n = normals.astype(np.float64)
    helper = np.where(np.abs(n[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    tangent = np.cross(helper, n)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
    bitangent = np.cross(n, tangent)
    start = mesh.vertices + 2e-3 * n
    open_rays = np.zeros(len(n))
    for a, b, c in local:
        _, _, far = scene.cast(start, a * tangent + b * bitangent + c * n)
        open_rays += np.minimum(far, distance) / distance
    return (open_rays / rays).astype(np.float32)


class Model:
    """A mesh ready for several views (scene, normals and occlusion are made once)."""

    def __init__(self, mesh: Mesh, ambient_rays: int | None = None) -> None:
        if ambient_rays is None:  # large meshes: about 5 million rays at most
            ambient_rays = int(np.clip(5_000_000 // max(len(mesh.vertices), 1), 8, 40))
        self.scene = Scene(mesh.vertices, mesh.faces)
        self.normals = vertex_normals(mesh.vertices, mesh.faces)
        self.open = (
            occlusion(mesh, self.scene, self.normals, ambient_rays)
            if ambient_rays
            else np.ones(len(mesh.vertices), np.float32)
        )

    def view(
        self,
        yaw: float,
        pitch: float = 0.0,
        focal: float = 4.2647,
        resolution: int = 320,
        supersample: int = 2,
        pivot: Sequence[float] = PIVOT,
        colour: Sequence[float] = CLAY,
        background: Sequence[float] = GROUND,
    ) -> np.ndarray:
        """One picture, uint8 ``[resolution, resolution, 3]``.

        Angles in degrees as in ``orbit``; ``focal`` as a fraction of the image (EG3D's FFHQ cameras
        have 4.2647); ``supersample`` rays a pixel and axis; colours are sRGB in [0, 1].
        """
        pose = orbit(yaw, pitch, pivot=pivot)
        lens = np.array([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1]])
        origins, directions = camera_rays(pose, lens, resolution, supersample)
        triangle, weights, distance = self.scene.cast(origins, directions)
        hit = np.flatnonzero(triangle >= 0)
        image = np.tile(to_linear(background).reshape(1, 3), (len(triangle), 1))
        if len(hit):
            toward = -directions[hit]
            corners, w = self.scene.faces[triangle[hit]], weights[hit]
            normal = np.einsum("nk,nkc->nc", w, self.normals[corners])
            normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
            normal *= np.where((normal * toward).sum(1, keepdims=True) < 0, -1, 1)
            at = origins[hit] + distance[hit, None] * directions[hit] + 3e-3 * normal
            around = np.einsum("nk,nk->n", w, self.open[corners])
            image[hit] = self._light(normal, toward, at, around, pose, colour)
        n, s = resolution, supersample
        return (to_srgb(image.reshape(n, s, n, s, 3).mean((1, 3))) * 255 + 0.5).astype(np.uint8)

    def _light(
        self,
        normal: np.ndarray,
        toward: np.ndarray,
        at: np.ndarray,
        around: np.ndarray,
        pose: np.ndarray,
        colour: Sequence[float],
    ) -> np.ndarray:
        axes = pose[:3, :3] * [1, -1, -1]  # OpenCV camera axes to right, up, toward the viewer
        key, fill, rim = (axes @ (np.array(v) / np.linalg.norm(v)) for v in (KEY, FILL, RIM))
        lit = 1 - 0.6 * self.scene.occluded(at, np.broadcast_to(key, at.shape).copy())
        half = toward + key
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        shine = np.clip((normal * half).sum(1), 0, 1) ** 28
        edge = np.clip(1 - (normal * toward).sum(1), 0, 1) ** 3
        diffuse = (
            1.05 * lit * np.clip(normal @ key, 0, 1)
            + 0.10 * np.clip(normal @ fill, 0, 1)
            + (0.20 + 0.06 * (normal @ axes[:, 1])) * around**1.5
        )
        gloss = 0.07 * lit * shine + 0.35 * edge * np.clip(normal @ rim + 0.2, 0, 1) * around
        return to_linear(colour) * diffuse[:, None] + gloss[:, None]
