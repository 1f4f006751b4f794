"""VGG-16 features that work offline, for training losses: weights from the package stlpips-pytorch.

The package's data file is read with ``weights_only=True``, as in `alexnet`; the network is built
from its description: VGG-16 (Simonyan and Zisserman 2015) whose max poolings have stride 1 and are
followed by a 3x3 binomial blur of stride 2 (Zhang 2019; Ghildyal and Liu 2022). Numbers shown to
people are measured with AlexNet, so that no generator is trained on what judges it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sigmaflow.files import check_digest
from sigmaflow.metrics.alexnet import weights_path

WEIGHTS = "weights/vST0.0/vgg_shift_tolerant.pth"
SHA256 = "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250"
STAGES = (
    ("1.0", "1.2"),
    ("2.6", "2.8"),
    ("3.12", "3.14", "3.16"),
    ("4.20", "4.22", "4.24"),
    ("5.28", "5.30", "5.32"),
)
WIDTHS = (64, 128, 256, 512, 512)


class VGGFeatures:
    """Feature maps relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3 of images, with gradients.

    stages: how many of the five to compute. Raises FileNotFoundError or ValueError with a remedy
    where the weights are absent or not the expected ones.
    """

    def __init__(self, stages: int = 4, device: torch.device | str = "cpu"):
        if not 1 <= stages <= len(STAGES):
            raise ValueError(f"stages must be 1..{len(STAGES)}, got {stages}")
        path = weights_path(WEIGHTS)
        check_digest(path, SHA256)
        state = torch.load(path, map_location=device, weights_only=True)
        self.widths = WIDTHS[:stages]
        self._shift, self._scale = state["scaling_layer.shift"], state["scaling_layer.scale"]
        self._convs = [
            [(state[f"net.slice{n}.weight"], state[f"net.slice{n}.bias"]) for n in stage]
            for stage in STAGES[:stages]
        ]
        self.heads = [state[f"lin{i}.model.1.weight"] for i in range(stages)]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """images [B, 3, H, W] in [-1, 1] to maps [B, C, H / 2^i, W / 2^i], i = 0, 1, ..."""
        x, out = (images - self._shift) / self._scale, []
        for index, stage in enumerate(self._convs):
            if index:
                x = _halve(x)
            for weight, bias in stage:
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
            out.append(x)
        return out

    def distance(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
        """Perceptual distance [B] of two lists of maps, >= 0: LPIPS's formula (Zhang et al. 2018).

        Channels of every position to unit length, squared differences weighed by the package's
        heads, means over positions, sum over stages.
        """
        total = torch.zeros(len(a[0]), device=a[0].device)
        for x, y, head in zip(a, b, self.heads, strict=True):
            difference = (_unit(x.float()) - _unit(y.float())).square()
            total = total + (difference * head).sum(1).mean((1, 2))
        return total


def _halve(x: Tensor) -> Tensor:
    """Max pooling of stride 1, then the binomial blur of stride 2, reflecting at borders."""
    tap = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
    kernel = torch.outer(tap, tap).expand(x.shape[1], 1, 3, 3)
    x = F.pad(F.max_pool2d(x, 2, stride=1), (1, 1, 1, 1), mode="reflect")
    return F.conv2d(x, kernel, stride=2, groups=x.shape[1])


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True) + 1e-8).sqrt()
