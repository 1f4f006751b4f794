"""How far a generated surface lies from the true one: distances of points to triangles.

Both surfaces are reduced to what can be seen from outside, since a head model has a mouth cavity,
eyeballs and the skin under its hair, and a density may hide anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sigmaflow.fields.mesh import Mesh
from sigmaflow.fields.raycast import Scene

DIRECTIONS = 32  #: from which a point may be seen
NEAREST = 6  #: samples whose triangles are tried
FRONT = 0.0  #: world z beyond which a point is of the front: the ears lie about there


@dataclass(frozen=True)
class Samples:
    """Points ``[n, 3]`` on a surface that are seen from outside, and their triangles
    ``[n, 3, 3]`` (corners)."""

    points: np.ndarray
    corners: np.ndarray


def visible_samples(mesh: Mesh, count: int, seed: int = 0, every: bool = False) -> Samples:
    """``count`` points drawn evenly over the area of a mesh, without those that are hidden from all
    of ``DIRECTIONS`` evenly spread directions: fewer come back where anything is hidden.

    ``every``: and the centre of every triangle, so that small ones are not missed. World units; a
    face is seen from either side. Raises ``ValueError`` for a mesh without faces.
    """
    if not len(mesh.faces):
        raise ValueError("the mesh has no faces; there is no surface")
    random = np.random.default_rng(seed)
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1)
    chosen = np.searchsorted(np.cumsum(area) / area.sum(), random.random(count), side="right")
    chosen = np.minimum(chosen, len(area) - 1)
    root, v = np.sqrt(random.random((count, 1))), random.random((count, 1))
    tri = corners[chosen]
    points = (1 - root) * tri[:, 0] + root * (1 - v) * tri[:, 1] + root * v * tri[:, 2]
    if every:
        points, chosen = np.concatenate([points, corners.mean(1)]), np.r_[chosen, : len(area)]
        tri = corners[chosen]
    unit = normal[chosen] / np.maximum(area[chosen, None], 1e-30)
    seen = _seen(Scene(mesh.vertices, mesh.faces), points, unit)
    return Samples(points[seen], tri[seen])


def _seen(scene: Scene, points: np.ndarray, unit: np.ndarray) -> np.ndarray:
    i = np.arange(DIRECTIONS) + 0.5
    height, turn = 1 - 2 * i / DIRECTIONS, i * np.pi * (3 - np.sqrt(5))
    side = np.sqrt(1 - height**2)
    directions = np.stack([side * np.cos(turn), height, side * np.sin(turn)], 1)
    seen = np.zeros(len(points), bool)
    for d in np.random.default_rng(0).permutation(directions):
        slope = unit @ d
        asked = np.flatnonzero(~seen & (np.abs(slope) > 0.1))
        start = points[asked] + 1e-4 * np.sign(slope[asked])[:, None] * unit[asked]
        free = ~scene.occluded(start, np.broadcast_to(d, start.shape).copy())
        seen[asked[free]] = True
    return seen


def distances(points: np.ndarray, surface: Samples) -> np.ndarray:
    """Distance ``[n]`` of points ``[n, 3]`` to the triangles of a sampled surface.

    The triangles of the ``NEAREST`` samples are tried: exact where every triangle has a sample and
    large ones have many. ``ValueError`` where the surface has no samples.
    """
    from scipy.spatial import cKDTree

    if not len(surface.points):
        raise ValueError("nothing of the surface is seen from outside")
    k = min(NEAREST, len(surface.points))
    _, near = cKDTree(surface.points).query(points, k=k)
    near = np.asarray(near).reshape(len(points), k)
    best = np.full(len(points), np.inf)
    for column in near.T:
        best = np.minimum(best, to_triangles(points, surface.corners[column]))
    return best


def to_triangles(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Distance ``[n]`` of point i to triangle i, ``points [n, 3]`` and ``corners [n, 3, 3]``.

    The foot of the perpendicular where it lies inside, else the nearest point of the three edges.
    """
    p = np.asarray(points, dtype=np.float64)
    a, b, c = np.moveaxis(np.asarray(corners, dtype=np.float64), 1, 0)
    best = np.min([_to_segments(p, *edge) for edge in ((a, b), (b, c), (c, a))], axis=0)
    u, v, w = b - a, c - a, p - a
    normal = np.cross(u, v)
    square = (normal**2).sum(1)
    flat = square > 1e-24
    square = np.where(flat, square, 1.0)
    beta = (np.cross(w, v) * normal).sum(1) / square
    gamma = (np.cross(u, w) * normal).sum(1) / square
    inside = flat & (beta >= 0) & (gamma >= 0) & (beta + gamma <= 1)
    return np.where(inside, np.abs((w * normal).sum(1)) / np.sqrt(square), best)


def _to_segments(p: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    way = b - a
    t = ((p - a) * way).sum(1) / np.maximum((way**2).sum(1), 1e-30)
    return np.linalg.norm(p - a - np.clip(t, 0, 1)[:, None] * way, axis=1)


@dataclass(frozen=True)
class Gap:
    """Distances of two surfaces in % of the head's width: median and 90th percentile over the
    points of one, ``to`` the generated surface or ``back`` from it."""

    to: float
    to_p90: float
    back: float
    back_p90: float


def gaps(
    true: Mesh, made: Mesh, width: float, samples: int = 40000, asked: int = 6000, seed: int = 0
) -> dict[str, Gap]:
    """Of the "front" (z > 0 of the world) and of the "whole": how far two surfaces lie apart.

    ``width``: of the true head, world units (`head_width`). ``asked`` points of each surface, the
    hidden ones left out, are measured against the other's triangles, by their centres and
    ``samples`` points more. NaN where a surface has no such points.
    """
    if not width > 0:
        raise ValueError(f"width must be positive, got {width}")
    ways = []
    for one, other in ((true, made), (made, true)):
        points = visible_samples(one, asked, seed).points
        surface = visible_samples(other, samples, seed + 1, every=True)
        ways.append((points, 100 / width * distances(points, surface)))
    out = {}
    for name, least in (("front", FRONT), ("whole", -np.inf)):
        found = []
        for points, far in ways:
            of = far[points[:, 2] > least]
            found += [float(v) for v in np.quantile(of, (0.5, 0.9))] if len(of) else [np.nan] * 2
        out[name] = Gap(*found)
    return out


def head_width(vertices: np.ndarray, faces: np.ndarray, part: np.ndarray, skin: int) -> float:
    """Extent in x of a head's skin, ears included, hair and glasses not: world units.

    ``part [F]`` names what a face is of; ``skin`` is the name of skin. ``ValueError`` without any.
    """
    of = vertices[np.unique(faces[part == skin])] if (part == skin).any() else vertices[:0]
    if not len(of):
        raise ValueError("no face is of skin: there is no width")
    return float(np.ptp(of[:, 0]))
