"""3D convolutions that give the same kind of numbers on every device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMALL = 3  # cells a side below which a CPU's bfloat16 is not to be trusted


class Conv3d(nn.Conv3d):
    """As torch's, but under autocast a CPU does not round where a side has 2 cells or 1.

    There oneDNN's gradient of the weights in bfloat16 holds memory that nobody wrote, NaN among it
    (torch 2.14 and 2.15 on a CPU with AVX-512). Such volumes are the deepest level of small slabs
    and take no time.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and min(x.shape[2:]) < SMALL:
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.to(self.weight.dtype))
        return super().forward(x)
