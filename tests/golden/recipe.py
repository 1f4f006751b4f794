"""Weights and slabs that golden folders tell by a recipe instead of storing them.

The recipe is a block of Python in the folder's README. It is written again here, and only its
tables are taken from there, as literals: nothing that is read is run.
"""

from __future__ import annotations

import ast
import re
import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Recipe:
    """`gains`: (start of name, end of name, gain) of weights. `settings`: seeds and salt."""

    def __init__(self, readme: str):
        block = re.search(r"```python recipe\n(.*?)```", readme, re.S)
        if block is None:
            raise ValueError("the README of the folder holds no recipe")
        self.gains: list[tuple[str, str, float]] = []
        self.settings: dict[str, Any] = {}
        for node in ast.parse(block[1]).body:
            name = getattr(node.targets[0], "id", "") if isinstance(node, ast.Assign) else ""
            if name == "GAIN":
                self.gains = ast.literal_eval(node.value)
            elif name == "SET":
                pairs = node.value.keywords
                self.settings = {pair.arg: ast.literal_eval(pair.value) for pair in pairs}

    def tensor(self, name: str, shape: tuple[int, ...], salt: str = "") -> Tensor:
        """Values of the parameter of that name."""
        normal = np.random.RandomState(zlib.crc32((salt + name).encode())).standard_normal(shape)
        if name.endswith("running_var"):
            value = 1 + 0.1 * np.abs(normal)
        elif name.endswith("weight") and len(shape) > 1:
            rules = (g for a, b, g in self.gains if name.startswith(a) and name.endswith(b))
            value = normal / np.sqrt(float(np.prod(shape[1:]))) * next(rules, 1)
        elif name.endswith("weight"):
            value = 1 + 0.1 * normal
        else:
            value = 0.1 * normal
        return torch.from_numpy(np.asarray(value, dtype=np.float64).astype(np.float32))

    def fill(self, model: nn.Module, salt: str = "") -> None:
        """Give every tensor of the model its values; counts stay as they are."""
        state = model.state_dict()
        for name, value in state.items():
            if value.is_floating_point():
                state[name] = self.tensor(name, tuple(value.shape), salt)
        model.load_state_dict(state)


def slab(seed: int, shape: tuple[int, int, int]) -> Tensor:
    """A raw slab: six products of random walks along the axes, and noise."""
    draw = np.random.RandomState(seed).standard_normal
    out = np.zeros(shape)
    for _ in range(6):
        x, y, z = (draw(n).cumsum() / np.sqrt(n) for n in shape)
        out += x[:, None, None] * y[None, :, None] * z[None, None, :]
    out += 0.05 * draw(shape)
    return torch.from_numpy((20.0 * out - 5.0).astype(np.float32))


def bumps(rs: np.random.RandomState, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Eight hills and hollows over a picture."""
    z = np.zeros_like(x)
    for _ in range(8):
        cx, cy = rs.uniform(-0.8, 0.8, 2)
        w, a = rs.uniform(0.15, 0.6), rs.uniform(-1.0, 1.0)
        z = z + a / (1.0 + ((x - cx) ** 2 + (y - cy) ** 2) / w**2)
    return z


def _picture() -> tuple[np.ndarray, np.ndarray]:
    side = (np.arange(128) + 0.5) / 64.0 - 1.0
    return np.tile(side[None, :], (128, 1)), np.tile(-side[:, None], (1, 128))


def depth_maps(seed: int) -> Tensor:
    """Three raw views [3, 128, 128]."""
    rs = np.random.RandomState(seed)
    x, y = _picture()
    views = [2.8 - (0.3 * bumps(rs, x, y) + 0.002 * rs.standard_normal(x.shape)) for _ in range(3)]
    return torch.from_numpy(np.stack(views).astype(np.float32))


def cloud(seed: int) -> Tensor:
    """A raw cloud [16384, 3]."""
    rs = np.random.RandomState(seed)
    x, y = _picture()
    x, y = (side + 0.004 * rs.standard_normal(side.shape) for side in (x, y))
    z = bumps(rs, x, y)
    z = z + 0.01 * rs.standard_normal(z.shape)
    scale = rs.uniform(0.25, 0.5, 3)
    points = np.stack([s * a for s, a in zip(scale, (x, y, z))], -1)
    return torch.from_numpy(points.reshape(-1, 3).astype(np.float32))
