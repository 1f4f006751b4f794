"""Hair, glasses and neck: the parts a head model lacks, as smooth functions of a few numbers.

All lengths of this file are metres of the head model; ``canonical`` is its average head (y up,
z forward, the eyes at ``EYES``), and hair hangs on points of the skull bound to that head.
"""

from __future__ import annotations

import numpy as np

EYES = np.array([[0.0292, 0.1639, 0.067], [-0.0292, 0.1639, 0.067]])
SKULL_CENTRE = np.array([0.0, 0.165, -0.005])
LOWEST = -0.27  # world height below which no hair hangs
COLUMNS, SKULL_ROWS, HAIR_ROWS, CURTAIN_ROWS = 120, 76, 24, 10
_MAX_POLAR = np.radians(150.0)
# where short hair ends: azimuth from the front (degrees) -> polar angle from the crown (degrees)
_HAIRLINE = np.array(
    [
        [0, 59],
        [25, 61],
        [45, 68],
        [56, 79],
        [64, 97],
        [72, 105],
        [88, 103],
        [104, 110],
        [120, 128],
        [140, 139],
        [180, 140],
    ],
    float,
)


def smoothstep(low, high, x):
    """0 below ``low``, 1 above ``high`` (or the reverse when ``low > high``), smooth between."""
    t = np.clip((np.asarray(x, float) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def ear_mask(points):
    """Which canonical points ``[N, 3]`` belong to the ears: bool ``[N]``."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    return (x > 0.0695) & (y < 0.153) & (y > 0.085) & (np.abs(z) < 0.036)


def bind_skull(canonical, faces):
    """Bind a polar grid of skull points to the head's vertices.

    ``canonical`` ``[V, 3]``, ``faces`` ``[F, 3]``. Returns a sparse matrix
    ``[COLUMNS * SKULL_ROWS, V]`` that gives the grid's points (ears bridged) of any head.
    """
    import scipy.sparse as sp

    from sigmaflow.fields.raycast import Scene

    azimuth, polar = _grid()
    d = np.stack(
        [np.sin(polar) * np.sin(azimuth), np.cos(polar), np.sin(polar) * np.cos(azimuth)], -1
    ).reshape(-1, 3)
    tri, w, _ = Scene(canonical, faces).cast(SKULL_CENTRE + 0.4 * d, -d)
    if (tri < 0).any():
        raise ValueError("the skull grid misses the head: not the head model this file knows")
    rows = np.repeat(np.arange(len(tri)), 3)
    bind = sp.csr_matrix((w.ravel(), (rows, faces[tri].ravel())), shape=(len(tri), len(canonical)))
    index = np.arange(len(tri)).reshape(COLUMNS, SKULL_ROWS)
    bad = ear_mask(bind @ canonical).reshape(COLUMNS, SKULL_ROWS)
    fill = sp.lil_matrix((len(tri), len(tri)))
    for c in range(COLUMNS):
        good = np.flatnonzero(~bad[c])
        for r in range(SKULL_ROWS):
            after = int(np.searchsorted(good, r))
            if not bad[c, r]:
                fill[index[c, r], index[c, r]] = 1
            elif 0 < after < len(good):
                a, b = good[after - 1], good[after]
                t = (r - a) / (b - a)
                fill[index[c, r], index[c, a]] = 1 - t
                fill[index[c, r], index[c, b]] = t
            else:
                fill[index[c, r], index[c, good[min(after, len(good) - 1)]]] = 1
    return (fill.tocsr() @ bind).tocsr()


def _grid():
    azimuth = (np.arange(COLUMNS) / COLUMNS * 2 - 1) * np.pi
    polar = np.linspace(0.01, _MAX_POLAR, SKULL_ROWS)
    return np.meshgrid(azimuth, polar, indexing="ij")


def hair_faces():
    """Triangles ``[F, 3]`` of the hair sheet (closed around the head, open below)."""
    rows = HAIR_ROWS + CURTAIN_ROWS
    c, r = np.meshgrid(np.arange(COLUMNS), np.arange(rows - 1), indexing="ij")
    a, b = c * rows + r, ((c + 1) % COLUMNS) * rows + r
    quads = np.stack([a, a + 1, b + 1, a, b + 1, b], -1)
    return quads.reshape(-1, 3)


def hair_azimuth():
    """Azimuth (radians, 0 in front) of each hair vertex, for strands of colour."""
    return np.repeat(_grid()[0][:, 0], HAIR_ROWS + CURTAIN_ROWS)


def strands(azimuth):
    """Height of the hair's strands about the head, [-1, 1]: ridges 0.05 to 0.1 world units wide."""
    a = np.asarray(azimuth)
    return 0.65 * np.sin(13 * a + 1.5 * np.sin(4 * a)) + 0.35 * np.sin(21 * a + 1.3)


def hair_vertices(skull, centre, unit, style):
    """The hair sheet over a skull: ``[COLUMNS * (HAIR_ROWS + CURTAIN_ROWS), 3]``.

    ``skull`` the bound grid's points, ``centre`` the skull's centre, both in world units;
    ``unit``: world units per metre. ``style``: ``thickness`` (metres), ``length`` below the skull
    (metres, 0 for short), ``fringe`` (degrees the front hairline comes down), ``part`` (-1 to 1,
    asymmetry), ``amount`` (0 bald, 1 full), ``wave`` (0 straight to 1, locks that curl).
    """
    skull = skull.reshape(COLUMNS, SKULL_ROWS, 3) - centre
    azimuth = _grid()[0][:, 0]
    degrees = np.abs(np.degrees(azimuth))
    front = smoothstep(62, 25, degrees)
    end = np.interp(degrees, _HAIRLINE[:, 0], _HAIRLINE[:, 1])
    end = end + front * (style["fringe"] + 7 * style["part"] * np.sin(azimuth * 1.5))
    t = np.linspace(0, 1, HAIR_ROWS)
    where = np.radians(end)[:, None] * t / _MAX_POLAR * (SKULL_ROWS - 1)
    low = np.clip(where.astype(int), 0, SKULL_ROWS - 2)
    mix = (where - low)[..., None]
    column = np.arange(COLUMNS)[:, None]
    point = skull[column, low] * (1 - mix) + skull[column, low + 1] * mix

    hang = smoothstep(50, 74, degrees) * smoothstep(0, 0.05, style["length"])
    keep = np.maximum(hang, front * 0.55 * smoothstep(0, 15, style["fringe"]))
    taper = 1 - smoothstep(0.7, 1, t) * (1 - keep[:, None])
    side = 0.62 + 0.38 * smoothstep(1.45, 0.6, where / (SKULL_ROWS - 1) * _MAX_POLAR)
    side = np.maximum(side, hang[:, None] * 0.85)
    lift = 1 + 0.35 * style["part"] * np.sin(azimuth)[:, None] * np.sin(np.pi * t)
    thick = (style["thickness"] * side * lift + 0.002) * taper - 0.0015
    lock = strands(azimuth)[:, None] * taper * smoothstep(0.05, 0.3, t)
    curl = np.sin(14 * t + 2.5 * np.sin(5 * azimuth)[:, None]) * taper * smoothstep(0.05, 0.3, t)
    thick = thick + 0.0016 * lock + 0.0034 * style["wave"] ** 2 * curl
    thick = thick * style["amount"] - 0.016 * (1 - style["amount"])
    radius = np.linalg.norm(point, axis=-1, keepdims=True)
    point = point * (1 + thick[..., None] * unit / radius)
    # long hair falls: its distance from the vertical axis never shrinks on the way down
    flat = np.linalg.norm(point[..., [0, 2]], axis=-1)
    wide = np.maximum.accumulate(flat, axis=1)
    grow = 1 + hang[:, None] * (wide / np.maximum(flat, 1e-6) - 1)
    point[..., [0, 2]] *= grow[..., None]

    u = np.linspace(0, 1, CURTAIN_ROWS + 1)[1:]
    drop = style["length"] * unit * hang[:, None] * u
    tail = np.repeat(point[:, -1:], CURTAIN_ROWS, 1)
    tail[..., 1] -= drop
    sway = 0.05 * style["wave"] ** 2 * np.sin(16 * u + 2.5 * np.sin(5 * azimuth)[:, None])
    sway = sway + 0.02 * strands(azimuth)[:, None]
    sway = sway * np.minimum(1, style["length"] / 0.05)
    tail[..., [0, 2]] *= (1 + hang[:, None] * (0.10 * np.sin(np.pi * u) - 0.10 * u + sway))[
        ..., None
    ]
    sheet = (np.concatenate([point, tail], 1) + centre).reshape(-1, 3)
    sheet[:, 1] = np.maximum(sheet[:, 1], LOWEST)
    return sheet


def _tube(path, radius, closed, sides=6):
    """A tube of ``sides`` corners around a path ``[N, 3]``: vertices and faces."""
    n = len(path)
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    helper = np.where(np.abs(ahead[:, 2:]) > 0.9, [[0.0, 1, 0]], [[0.0, 0, 1]])
    one = np.cross(ahead, helper)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    two = np.cross(ahead, one)
    angle = np.arange(sides) / sides * 2 * np.pi
    ring = np.cos(angle)[None, :, None] * one[:, None] + np.sin(angle)[None, :, None] * two[:, None]
    vertices = (path[:, None] + radius * ring).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(n if closed else n - 1), np.arange(sides), indexing="ij")
    a, b = i * sides + j, i * sides + (j + 1) % sides
    c, d = (a + sides) % (n * sides), (b + sides) % (n * sides)
    return vertices, np.stack([a, c, b, b, c, d], -1).reshape(-1, 3)


def glasses(size=1.0, radius=0.0026):
    """A spectacle frame on the canonical head: vertices ``[N, 3]`` (metres) and faces.

    Two rounded rims, a bridge and two temples; ``size`` scales the rims, ``radius`` is the wire's.
    """
    parts = []
    t = np.arange(28) / 28 * 2 * np.pi
    half_x, half_y, z = 0.0245 * size, 0.0185 * size, EYES[0, 2] + 0.034
    power = 0.75
    for eye in EYES:
        rim = np.stack(
            [
                half_x * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power,
                half_y * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power,
                np.zeros_like(t),
            ],
            1,
        )
        rim[:, 2] -= 0.10 * (np.abs(eye[0] + rim[:, 0]) - 0.03)
        parts.append(_tube(rim + [eye[0], eye[1] - 0.001, z], radius, True))
        out = np.sign(eye[0])
        start = np.array([eye[0] + out * half_x, eye[1] + 0.006, z - 0.003])
        corner = np.array([out * 0.073, start[1], z - 0.022])
        ear = np.array([out * 0.0745, 0.152, 0.0])
        path = np.concatenate([np.linspace(start, corner, 4)[:-1], np.linspace(corner, ear, 8)])
        parts.append(_tube(path, radius, False))
    inner = EYES[0, 0] - half_x
    x = np.linspace(-inner, inner, 7)
    bow = np.stack([x, 0.166 + 0.003 * (1 - (x / inner) ** 2), np.full_like(x, z + 0.003)], 1)
    parts.append(_tube(bow, radius, False))
    offset, vertices, faces = 0, [], []
    for v, f in parts:
        vertices.append(v)
        faces.append(f + offset)
        offset += len(v)
    return np.concatenate(vertices), np.concatenate(faces)


def neck_faces(canonical, faces, rows):
    """How to lengthen the neck: the ring of its lower edge and the new triangles.

    Returns ``ring`` ``[R]`` (vertex indices) and faces over ``V + rows * R`` vertices, where row
    ``k`` of the added vertices continues the ring downward.
    """
    half = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    known = {(int(a), int(b)) for a, b in half}
    low = canonical[:, 1] < 0.06
    edges = np.array(
        [(a, b) for a, b in sorted(known) if (b, a) not in known and low[a] and low[b]]
    )
    ring = np.unique(edges)
    place = {int(v): i for i, v in enumerate(ring)}
    new, size, base = [], len(ring), len(canonical)
    for a, b in edges:
        for k in range(rows):
            top = (
                [int(a), int(b)]
                if k == 0
                else [base + (k - 1) * size + place[int(e)] for e in (a, b)]
            )
            down = [base + k * size + place[int(e)] for e in (a, b)]
            new += [[top[1], top[0], down[0]], [top[1], down[0], down[1]]]
    return ring, np.array(new, int)
