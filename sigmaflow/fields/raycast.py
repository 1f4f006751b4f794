"""Ray casting and small pictures of triangle meshes (Intel Embree through ``embreex``; no GL).

Conventions: vertices ``[V, 3]`` in world units, faces ``[F, 3]`` integer, counter-clockwise seen
from outside. Cameras are EG3D's: ``cam2world`` ``[4, 4]`` with OpenCV axes (x right, y down,
z forward) and normalised ``intrinsics`` ``[3, 3]`` (focal lengths and centre as fractions of the
image); the centre of pixel ``i`` of ``n`` lies at ``(i + 0.5) / n``.
"""

from __future__ import annotations

import numpy as np

_FAR = 1e30


def _as_mesh(vertices, faces):
    v = np.ascontiguousarray(np.asarray(vertices), dtype=np.float32)
    f = np.ascontiguousarray(np.asarray(faces), dtype=np.int32)
    if v.ndim != 2 or v.shape[1] != 3:
        raise ValueError(f"vertices must be [V, 3], got {v.shape}")
    if f.ndim != 2 or f.shape[1] != 3:
        raise ValueError(f"faces must be [F, 3], got {f.shape}")
    if len(f) and (f.min() < 0 or f.max() >= len(v)):
        raise ValueError(f"faces name vertex {f.min()}..{f.max()}, but there are {len(v)} vertices")
    if not np.isfinite(v).all():
        raise ValueError("vertices hold NaN or infinity")
    return v, f


class Scene:
    """A triangle mesh ready for rays; build it once when one mesh is seen from many cameras.

    ``vertices`` ``[V, 3]`` (finite), ``faces`` ``[F, 3]``; a mesh without faces is allowed and
    never hit. Raises ``ValueError`` for other shapes, indices out of range or non-finite vertices.
    """

    def __init__(self, vertices, faces):
        self.vertices, self.faces = _as_mesh(vertices, faces)
        self._scene = None
        if len(self.faces):
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene

            self._scene = EmbreeScene()
            self._mesh = TriangleMesh(self._scene, self.vertices, self.faces)

    def cast(self, origins, directions):
        """First hit of each ray.

        ``origins`` and ``directions`` ``[N, 3]`` (directions of any length > 0). Returns
        ``triangle`` ``[N]`` int32 (-1: no hit), ``barycentric`` ``[N, 3]`` float32 weights of the
        triangle's corners (zeros where nothing is hit) and ``distance`` ``[N]`` float32 in units
        of the direction's length (infinity where nothing is hit).
        """
        o, d = _rays(origins, directions)
        if self._scene is None or not len(o):
            n = len(o)
            return (
                np.full(n, -1, np.int32),
                np.zeros((n, 3), np.float32),
                np.full(n, np.inf, np.float32),
            )
        out = self._scene.run(o, d, output=1)
        triangle = out["primID"].astype(np.int32)
        hit = triangle >= 0
        u, v = out["u"], out["v"]
        bary = np.stack([1 - u - v, u, v], 1).astype(np.float32) * hit[:, None]
        return triangle, bary, np.where(hit, out["tfar"], np.inf).astype(np.float32)

    def occluded(self, origins, directions):
        """Whether anything lies on each ray: bool ``[N]`` (same arguments as ``cast``)."""
        o, d = _rays(origins, directions)
        if self._scene is None or not len(o):
            return np.zeros(len(o), bool)
        return np.asarray(self._scene.run(o, d, query="OCCLUDED")) >= 0


def _rays(origins, directions):
    o = np.ascontiguousarray(np.asarray(origins), dtype=np.float32)
    d = np.ascontiguousarray(np.asarray(directions), dtype=np.float32)
    if o.ndim != 2 or o.shape[1] != 3 or o.shape != d.shape:
        raise ValueError(f"origins and directions must both be [N, 3], got {o.shape}, {d.shape}")
    return o, d


def cast(vertices, faces, origins, directions):
    """First hit of each ray with one mesh; see ``Scene`` and ``Scene.cast``."""
    return Scene(vertices, faces).cast(origins, directions)


def vertex_normals(vertices, faces):
    """Unit vertex normals ``[V, 3]`` float32, the area-weighted mean of the adjacent faces'.

    Vertices of no face get ``(0, 0, 1)``.
    """
    v, f = _as_mesh(vertices, faces)
    p = v[f]
    normal = np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
    flat = f.ravel()
    total = np.stack([np.bincount(flat, np.repeat(normal[:, i], 3), len(v)) for i in range(3)], 1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    unit = np.where(length > 1e-20, total / np.maximum(length, 1e-20), [0.0, 0.0, 1.0])
    return unit.astype(np.float32)


def camera_rays(cam2world, intrinsics, resolution, supersample=1):
    """Rays through the pixels of a square image.

    Returns ``origins`` and unit ``directions``, both ``[(resolution * supersample)^2, 3]``
    float32, row by row from the top left; ``supersample`` places that many rays per pixel and axis.
    """
    pose = np.asarray(cam2world, dtype=np.float64).reshape(4, 4)
    k = np.asarray(intrinsics, dtype=np.float64).reshape(3, 3)
    n = int(resolution) * int(supersample)
    if n < 1:
        raise ValueError(
            f"resolution and supersample must be positive, got {resolution}, {supersample}"
        )
    centre = (np.arange(n) + 0.5) / n
    y, x = np.meshgrid(centre, centre, indexing="ij")
    y_cam = (y - k[1, 2]) / k[1, 1]
    x_cam = (x - k[0, 2] - k[0, 1] * y_cam) / k[0, 0]
    d = np.stack([x_cam, y_cam, np.ones_like(x_cam)], -1).reshape(-1, 3) @ pose[:3, :3].T
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    o = np.broadcast_to(pose[:3, 3], d.shape)
    return o.astype(np.float32), d.astype(np.float32)


def to_linear(srgb):
    """sRGB values in [0, 1] to linear light."""
    s = np.asarray(srgb, dtype=np.float32)
    return np.where(s <= 0.04045, s / 12.92, ((np.maximum(s, 0) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear):
    """Linear light, clipped to [0, 1], to sRGB values in [0, 1]."""
    c = np.clip(np.asarray(linear, dtype=np.float32), 0, 1)
    return np.where(c <= 0.0031308, c * 12.92, 1.055 * c ** (1 / 2.4) - 0.055)


def render_mesh(
    vertices,
    faces,
    cam2world,
    intrinsics,
    resolution,
    colors=None,
    light=(0.3, 0.5, 1.0),
    background=(1.0, 1.0, 1.0),
    *,
    ambient=0.35,
    shade=None,
    supersample=3,
    normals=None,
    scene=None,
):
    """A shaded picture of a mesh: uint8 ``[resolution, resolution, 3]`` (sRGB).

    ``colors``: None (light grey), one colour ``[3]``, vertex colours ``[V, 3]`` (sRGB in [0, 1])
    or a function ``(triangle [N], barycentric [N, 3]) -> [N, 3]`` called on the hit samples.
    ``light``: direction toward the light in world axes, or None for a lamp at the camera.
    ``background``: one sRGB colour. ``ambient`` in [0, 1]: the share of light from all sides; the
    rest is Lambertian. ``shade``: optional ``[V, 2]`` factors in [0, 1] on the ambient and on the
    direct part (ambient occlusion, shadow). ``normals``: vertex normals ``[V, 3]``, computed when
    None; surfaces are lit on the side that faces the camera. ``supersample``: rays per pixel and
    axis, averaged in linear light. ``scene``: a ``Scene`` of the same mesh, to save building it.
    """
    scene = Scene(vertices, faces) if scene is None else scene
    n, s = int(resolution), int(supersample)
    origins, directions = camera_rays(cam2world, intrinsics, n, s)
    triangle, bary, _ = scene.cast(origins, directions)
    hit = np.flatnonzero(triangle >= 0)
    image = np.broadcast_to(to_linear(background).reshape(3), (len(triangle), 3)).copy()
    if len(hit):
        tri, w = triangle[hit], bary[hit]
        corners = scene.faces[tri]
        if normals is None:
            normals = vertex_normals(scene.vertices, scene.faces)
        normal = _blend(np.asarray(normals, np.float32), corners, w)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        view = -directions[hit]
        facing = (normal * view).sum(1)
        normal *= np.where(facing < 0, -1, 1)[:, None].astype(np.float32)
        if light is None:
            cosine = np.abs(facing)
        else:
            toward = np.asarray(light, np.float32).reshape(3)
            cosine = np.maximum(normal @ (toward / np.linalg.norm(toward)), 0)
        from_all = ambient * (0.85 + 0.15 * normal[:, 1])
        direct = (1 - ambient) * cosine
        if shade is not None:
            factor = _blend(np.asarray(shade, np.float32), corners, w)
            from_all, direct = from_all * factor[:, 0], direct * factor[:, 1]
        image[hit] = to_linear(_colours(colors, tri, w, corners)) * (from_all + direct)[:, None]
    image = image.reshape(n, s, n, s, 3).mean((1, 3))
    return (to_srgb(image) * 255 + 0.5).astype(np.uint8)


def _blend(values, corners, weights):
    """Vertex values ``[V, C]`` at barycentric points ``[N, C]``."""
    return (
        values[corners[:, 0]] * weights[:, :1]
        + values[corners[:, 1]] * weights[:, 1:2]
        + values[corners[:, 2]] * weights[:, 2:]
    )


def _colours(colors, triangle, weights, corners):
    if colors is None:
        return np.full((len(triangle), 3), 0.8, np.float32)
    if callable(colors):
        return np.asarray(colors(triangle, weights), np.float32)
    table = np.asarray(colors, np.float32)
    if table.ndim == 1:
        return np.broadcast_to(table, (len(triangle), 3))
    return _blend(table, corners, weights)
