"""Camera labels of EG3D's layout: what they must be, and what a mirrored picture's are.

A label has 25 numbers: cam2world row by row (16), then the intrinsics in units of the image's side
(9).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

MIRROR = "_mirror"  # before the suffix of a mirrored copy's name
ORTHONORMAL = 1e-3  # largest entry of R R^T - 1
FOCAL = (0.1, 50.0)  # sides of the image; EG3D's FFHQ has 4.26
FLIP = np.diag([-1.0, 1.0, 1.0, 1.0])


def mirrored(label: np.ndarray) -> np.ndarray:
    """Labels ``[..., 25]`` of the pictures turned left for right.

    As EG3D's mirror_dataset.py: the scene is mirrored at x = 0, so cam2world C becomes F C F with
    F = diag(-1, 1, 1, 1), and the intrinsics stay.
    """
    out = np.array(label)
    pose = out[..., :16].reshape(*out.shape[:-1], 4, 4)
    out[..., :16] = (FLIP @ pose @ FLIP).reshape(*out.shape[:-1], 16)
    return out


def yaws(labels: np.ndarray) -> np.ndarray:
    """Yaw of the cameras of labels ``[..., 25]``, radians in [-pi, pi]; 0 stands in front.

    The angle of the camera's position about the vertical axis, positive towards +x. Where it looks
    does not matter.
    """
    labels = np.asarray(labels, dtype=np.float64)
    return np.arctan2(labels[..., 3], labels[..., 11])


def mirror_name(name: str) -> str:
    """``a/b.png`` -> ``a/b_mirror.png``."""
    base, dot, suffix = name.rpartition(".")
    return f"{base}{MIRROR}{dot}{suffix}"


def label_table(values: Sequence[Any]) -> np.ndarray | tuple[int, str]:
    """float64 ``[n, 25]``, or the first label that is none: its index and what is wrong."""
    try:
        table = np.array(values, dtype=np.float64)
        if table.ndim == 2 and table.shape[1] == 25:
            return table
    except (TypeError, ValueError):
        pass  # some are ragged or no numbers; find the first
    for i, one in enumerate(values):
        try:
            shape = np.asarray(one, dtype=np.float64).shape
        except (TypeError, ValueError) as error:
            return i, f"its label is not a list of numbers ({error})"
        if shape != (25,):
            return i, f"its label has shape {shape}, not 25 numbers"
    raise AssertionError("labels that fit one by one form a table")


def label_problems(names: Sequence[str], table: np.ndarray) -> Iterator[tuple[str, str]]:
    """(name, what is wrong) of labels ``[n, 25]`` that can be no cameras.

    Checked: numbers are finite; cam2world is a rotation and a translation; intrinsics are in units
    of the image's side; a mirrored copy has the mirrored camera of its original.
    """
    bad = ~np.isfinite(table).all(1)
    yield from ((names[i], "its label holds NaN or infinity") for i in np.flatnonzero(bad).tolist())
    with np.errstate(invalid="ignore"):
        poses, lenses = table[:, :16].reshape(-1, 4, 4), table[:, 16:].reshape(-1, 3, 3)
        rotations = poses[:, :3, :3]
        off = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max((1, 2))
        off = np.maximum(off, np.abs(poses[:, 3] - [0, 0, 0, 1]).max(1))
        turned = (off > ORTHONORMAL) | (np.linalg.det(rotations) < 0)
        focal, centre = lenses[:, [0, 1], [0, 1]], lenses[:, [0, 1], 2]
        zeros = np.abs(lenses[:, [1, 2, 2], [0, 0, 1]]).max(1) + np.abs(lenses[:, 2, 2] - 1)
        strange = ((focal < FOCAL[0]) | (focal > FOCAL[1])).any(1) | (zeros > 1e-4)
        strange |= ((centre < 0) | (centre > 1)).any(1)
    for i in np.flatnonzero(turned & ~bad).tolist():
        yield names[i], ("its label's first 16 numbers are no camera to world (a rotation, a "
                         f"translation, 0 0 0 1); off by {off[i]:.2g}")  # fmt: skip
    for i in np.flatnonzero(strange & ~bad).tolist():
        said = " ".join(f"{v:.4g}" for v in table[i, 16:])
        yield (
            names[i],
            (
                f"its label's intrinsics are {said}; give focal lengths and centre in "
                "units of the image's side, such as 4.26 0 0.5 0 4.26 0.5 0 0 1"
            ),
        )
    index = {name: i for i, name in enumerate(names)}
    pairs = [(i, index[m]) for name, i in index.items() if (m := mirror_name(name)) in index]
    if pairs:
        first, second = np.array(pairs).T
        apart = np.abs(mirrored(table[first]) - table[second]).max(1)
        for k in np.flatnonzero(apart > ORTHONORMAL):
            yield (
                names[second[k]],
                (
                    f"its camera is not the mirrored one of {names[first[k]]}; "
                    "make mirrored copies as EG3D's mirror_dataset.py does"
                ),
            )
