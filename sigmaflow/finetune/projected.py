"""A projected discriminator (Sauer, Chitta, Mueller and Geiger 2021, "Projected GANs Converge
Faster"): small heads that judge fixed features of images, not the images.

Features are VGG-16's (`sigmaflow.metrics.vgg`), as that network needs no download. Fixed random
convolutions mix their channels (CCM, section 3.2) and, from coarse to fine, their scales (CSM), so
that no head can rest on a few features. One head a scale gives logits of 4x4 patches. Only the
heads are trained, spectrally normalised, with a hinge loss summed over heads (Eq. 4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sigmaflow.metrics.vgg import VGGFeatures

from .losses import half

PATCHES = 4  # side of a head's logits
FLOOR = 0.1  # of a stage's RMS: channels that are weaker on real images are not blown up to others'


class ProjectedDiscriminator(nn.Module):
    """Logits of images [B, 3, R, R] in [-1, 1], a map [B, 1, 4, 4] for each of the scales.

    resolution: R, a power of two of at least 16, else ValueError. Mixed features of scale i have
    `width` * 2^i channels at side R / 2^i; heads have `head_width` channels inside. Buffers are
    what is fixed, parameters are the heads. precision: of VGG-16 and mixing. All weights come from
    torch's generator. `calibrate` it on real images before use.
    """

    def __init__(
        self,
        vgg: VGGFeatures,
        resolution: int,
        width: int = 32,
        head_width: int = 64,
        precision: str = "float32",
    ):
        super().__init__()
        if resolution < 16 or resolution & (resolution - 1):
            raise ValueError(f"resolution must be a power of two >= 16, got {resolution}")
        self.vgg, self.precision, self.scales = vgg, precision, len(vgg.widths)
        widths = [width * 2**i for i in range(self.scales)]
        for i, (seen, mixed) in enumerate(zip(vgg.widths, widths)):
            self.register_buffer(f"gain{i}", torch.ones(seen))
            self.register_buffer(f"ccm{i}", _kaiming(mixed, seen, 1))
        for i in range(self.scales - 1):
            self.register_buffer(f"csm{i}", _kaiming(widths[i], widths[i + 1], 3))
        self.heads = nn.ModuleList(
            _head(mixed, head_width, resolution // 2**i) for i, mixed in enumerate(widths)
        )

    @torch.no_grad()
    def calibrate(self, images: Tensor) -> None:
        """Scale every channel of the features to a like RMS over real images [B, 3, R, R].

        Stages then have RMS 1. VGG-16's own differ a hundredfold between channels, and a hinge loss
        needs logits of about 1.
        """
        for i, features in enumerate(self.vgg(images)):
            power = features.float().square().mean((0, 2, 3))
            gain = (power + FLOOR**2 * power.mean() + 1e-12).rsqrt()
            gain = gain * (gain.square() * power).mean().clamp_min(1e-12).rsqrt()
            getattr(self, f"gain{i}").copy_(gain)

    def features(self, images: Tensor) -> list[Tensor]:
        """Mixed features [B, width * 2^i, R / 2^i, R / 2^i], float32, with gradients to images."""
        with half(self.precision, images.device):
            mixed = [
                F.conv2d(x * getattr(self, f"gain{i}")[:, None, None], getattr(self, f"ccm{i}"))
                for i, x in enumerate(self.vgg(images))
            ]
            for i in reversed(range(self.scales - 1)):
                # Convolving before the upsampling costs a quarter, and is as linear.
                coarse = F.conv2d(mixed[i + 1], getattr(self, f"csm{i}"), padding=1)
                size = mixed[i].shape[-2:]
                mixed[i] = mixed[i] + F.interpolate(coarse, size, mode="bilinear")
        return [x.float() for x in mixed]

    def judge(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Logits [B, 1, 4, 4] of every head on what `features` gave."""
        return [head(x) for head, x in zip(self.heads, features, strict=True)]

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.judge(self.features(images))


def hinge_discriminator(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Sum over heads of E[max(0, 1 + D(fake))] + E[max(0, 1 - D(real))]."""
    pairs = zip(fake, real, strict=True)
    return cast(Tensor, sum(F.relu(1 + f).mean() + F.relu(1 - r).mean() for f, r in pairs))


def hinge_generator(fake: Sequence[Tensor]) -> Tensor:
    """Sum over heads of -E[D(fake)]."""
    return -cast(Tensor, sum(f.mean() for f in fake))


def _kaiming(outputs: int, inputs: int, kernel: int) -> Tensor:
    """Weights [outputs, inputs, kernel, kernel] that keep the mean square of their inputs."""
    weight = torch.empty(outputs, inputs, kernel, kernel)
    return nn.init.kaiming_normal_(weight, nonlinearity="linear")


def _head(inputs: int, width: int, side: int) -> nn.Sequential:
    """Halve maps of `side` until they have the side of the patches, then a logit for each."""
    layers: list[nn.Module] = []
    for _ in range(max(int(math.log2(side / PATCHES)), 0)):
        layers += [spectral_norm(nn.Conv2d(inputs, width, 4, stride=2, padding=1))]
        layers += [nn.LeakyReLU(0.2)]
        inputs = width
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(inputs, 1, 3, padding=1)))
