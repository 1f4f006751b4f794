"""Density cubes as MRC 2014 volumes, which ChimeraX opens.

Values are float32 (mode 2), sections run along x and the fastest axis is z, as in every array
here; the header says so (MAPC, MAPR, MAPS = 3, 2, 1), so ChimeraX shows the world's axes and a
reader of the raw array gets ``[x, y, z]``. The format's only unit, the angstrom, stands for the
world unit. The released scripts' files differ: mirrored in x, axes named 1, 2, 3, no voxel size.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sigmaflow.atomic import write_with
from sigmaflow.fields.streamed import Block

HEADER = 1024  # bytes
_FIELDS = np.dtype([
    ("shape", "<i4", 3), ("mode", "<i4"), ("start", "<i4", 3), ("intervals", "<i4", 3),
    ("cell", "<f4", 3), ("angles", "<f4", 3), ("axes", "<i4", 3), ("low", "<f4"), ("high", "<f4"),
    ("mean", "<f4"), ("space_group", "<i4"), ("extended", "<i4"), ("extra1", "S8"),
    ("extended_type", "S4"), ("version", "<i4"), ("extra2", "S84"), ("origin", "<f4", 3),
    ("map", "S4"), ("machine", "u1", 4), ("rms", "<f4"), ("labels", "<i4"), ("label", "S80", 10),
])  # fmt: skip


def write_mrc(
    path: str | Path,
    blocks: Iterable[Block],
    shape: tuple[int, int, int],
    length: float | None = 1.0,
    released: bool = False,
) -> None:
    """A volume ``[x, y, z]`` of ``shape`` from x-slabs in order, whole or not there at all.

    ``blocks``: (first x index, sigma ``[n, ny, nz]``); one is in memory at a time. ``length``:
    the cube's side in world units, ends included, centred about the origin. ``released``: header
    as the released scripts write it, for blocks of a ``released_cube``; ``length`` is not used.
    Raises ValueError for blocks that do not make up ``shape`` or are not finite.
    """
    nx, ny, nz = shape
    write_with(path, lambda temporary: _write(temporary, blocks, (nx, ny, nz), length, released))


def _write(
    path: Path,
    blocks: Iterable[Block],
    shape: tuple[int, int, int],
    length: float | None,
    released: bool,
) -> None:
    low, high, total, squares, due = np.inf, -np.inf, 0.0, 0.0, 0
    with open(path, "wb") as file:
        file.write(bytes(HEADER))
        for start, block in blocks:
            if start != due or block.shape[1:] != shape[1:] or start + len(block) > shape[0]:
                raise ValueError(
                    f"block {list(block.shape)} at x = {start} comes where x = {due} "
                    f"of {list(shape)} is due; give every plane once, in order"
                )
            values = np.ascontiguousarray(block, "<f4")
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            if not np.isfinite([low, high]).all():
                raise ValueError("sigma holds NaN or infinity")
            total += float(values.sum(dtype=np.float64))
            squares += float(np.square(values, dtype=np.float64).sum())
            file.write(values.data)
            due += len(block)
        if due != shape[0]:
            raise ValueError(f"the blocks end at x = {due} of {shape[0]}")
        count = shape[0] * shape[1] * shape[2]
        mean = total / count
        rms = max(squares / count - mean * mean, 0.0) ** 0.5
        file.seek(0)
        file.write(_header(shape, length, released, low, high, mean, rms).tobytes())


def _header(
    shape: tuple[int, int, int],
    length: float | None,
    released: bool,
    low: float,
    high: float,
    mean: float,
    rms: float,
) -> np.ndarray:
    head = np.zeros((), _FIELDS)
    head["shape"] = shape[::-1]  # columns, rows, sections
    head["mode"], head["version"] = 2, 20140
    head["angles"], head["space_group"] = 90, 1
    head["low"], head["high"], head["mean"], head["rms"] = low, high, mean, rms
    head["map"], head["machine"] = b"MAP ", (0x44, 0x44, 0, 0)  # little-endian
    if released:
        head["axes"], head["intervals"] = (1, 2, 3), shape[::-1]
        text = "sigma, raw; released orientation: x mirrored, array [N-1-x, y, z]"
    else:
        assert length is not None  # only a released orientation does without
        voxel = length / (max(shape) - 1)
        head["axes"], head["intervals"] = (3, 2, 1), shape  # the latter in x, y, z
        head["cell"] = np.array(shape) * voxel
        head["origin"] = -length / 2
        text = "sigma, raw decoder output; world axes; 1 angstrom is 1 world unit"
    head["labels"] = 1
    head["label"][0] = text.encode().ljust(80)
    return head


def map_mrc(path: str | Path) -> np.ndarray:
    """The values of a file of `write_mrc` as a read-only memory map ``[x, y, z]``.

    Raises ValueError naming the file where it is of another kind or cut short.
    """
    path = Path(path)
    with open(path, "rb") as file:
        raw = file.read(HEADER)
    if len(raw) < HEADER:
        raise ValueError(f"{path}: shorter than an MRC header; write it again")
    head = np.frombuffer(raw, _FIELDS)[0]
    shape = tuple(int(n) for n in head["shape"][::-1])
    if head["map"] != b"MAP " or head["mode"] != 2:
        raise ValueError(f"{path}: not a little-endian MRC volume of float32")
    size = HEADER + 4 * shape[0] * shape[1] * shape[2]
    if path.stat().st_size != size:
        raise ValueError(f"{path}: {path.stat().st_size} bytes, its header says {size}")
    return np.memmap(path, "<f4", "r", HEADER, shape)
