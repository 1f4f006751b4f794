"""A super-resolution head alone, on stored features."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor

from sigmaflow.generators.superresolution import SUPERRESOLUTION

from .folders import PICTURE, Compared, Folder


def knows(folder: Folder) -> bool:
    return str(folder.config.get("class_name", "")).rsplit(".", 1)[-1] in SUPERRESOLUTION


def compare(folder: Folder) -> Iterator[Compared]:
    w = folder["w"].float()
    head = SUPERRESOLUTION[folder.config["class_name"].rsplit(".", 1)[-1]](
        **{"w_dim": w.shape[-1], **folder.config["init_kwargs"]}
    )
    head.load_state_dict(folder.weights(), strict=True)
    head.eval().requires_grad_(False)
    outputs: dict[tuple[int, str], Tensor] = {}
    for key in folder.arrays:
        if not (m := re.fullmatch(r"n(\d+)_(const|none)_(?:s(\d+)|(crop|mean|std|full))", key)):
            continue
        size, mode = int(m[1]), m[2]
        if (size, mode) not in outputs:
            x = features(folder, size)
            outputs[size, mode] = head(x[:, :3], x, w, mode)[0]
        image = outputs[size, mode]
        if m[3]:
            ours = image[..., :: int(m[3]), :: int(m[3])]
        elif m[4] == "crop":
            ours = image[crop(folder)]
        else:
            whole = {"mean": image.mean((2, 3)), "std": image.std((2, 3)), "full": image}
            ours = whole[m[4]]
        yield Compared(key, ours, PICTURE)


def features(folder: Folder, size: int) -> Tensor:
    """The stored features of that size, or smaller ones with every pixel repeated."""
    stored = sorted(int(k[1:]) for k in folder.arrays if re.fullmatch(r"x\d+", k))
    source = size if size in stored else max(s for s in stored if size % s == 0)
    x = folder[f"x{source}"].float()
    for axis in (2, 3):
        x = torch.repeat_interleave(x, size // source, dim=axis)
    return x


def crop(folder: Folder) -> tuple:
    """The cut-out that the note of the folder tells, as `*_crop = out[..., a:b, c:d]`."""
    m = re.search(r"_crop = out\[\.\.\., (\d+):(\d+), (\d+):(\d+)\]", folder.config["note"])
    a, b, c, d = map(int, m.groups())
    return (..., slice(a, b), slice(c, d))
