"""Adaptive discriminator augmentation (Karras et al. 2020, "Training GANs with limited data").

The transforms that EG3D uses: pixel blitting, general geometry and colour. Off by default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

TRANSFORMS = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac") + (
    "brightness",
    "contrast",
    "lumaflip",
    "hue",
    "saturation",
)
XINT_MAX = 0.125  # of the image's size
SCALE_STD = ANISO_STD = 0.2  # log2
XFRAC_STD = 0.125  # of the image's size
BRIGHTNESS_STD = 0.2
CONTRAST_STD = 0.5  # log2
SATURATION_STD = 1.0  # log2

# Daubechies' least asymmetric wavelets (Daubechies 1992, table 6.3): low-pass filters.
SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
SYM6 = (
    (0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633)
    + (0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252)
    + (-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148)
)


def filter_bank() -> Tensor:
    """[4, 43] band-pass filters whose sum is an impulse.

    No transform here uses them. Public checkpoints store them with the other two buffers.
    """
    low = np.asarray(SYM2)
    high = low * (-1.0) ** np.arange(len(low))
    low, high = (np.convolve(f, f[::-1]) / 2 for f in (low, high))
    bands = [np.ones(1)]
    for _ in range(3):
        bands = [np.convolve(_spread(band), low) for band in bands]
        bands.append(np.pad(high, (len(bands[0]) - len(high)) // 2))
    return torch.as_tensor(np.stack(bands), dtype=torch.float32)


def _spread(taps: np.ndarray) -> np.ndarray:
    """The taps with a zero between each two."""
    out = np.zeros(2 * len(taps) - 1)
    out[::2] = taps
    return out


class Draws:
    """Random parameters of a batch; or, with `percentile`, that quantile of each, always applied.

    A quantile q of a normal is erfinv(2 q - 1), without the factor sqrt 2, as in the public code.
    """

    def __init__(self, batch: int, device: torch.device, percentile: float | None = None):
        self.batch, self.device = batch, device
        self.q = None if percentile is None else torch.tensor(percentile, device=device)

    def uniform(self) -> Tensor:
        if self.q is not None:
            return self.q.expand(self.batch)
        return torch.rand(self.batch, device=self.device)

    def normal(self) -> Tensor:
        if self.q is not None:
            return torch.erfinv(self.q * 2 - 1).expand(self.batch)
        return torch.randn(self.batch, device=self.device)

    def angle(self) -> Tensor:
        """Uniform in [-pi, pi)."""
        return (self.uniform() * 2 - 1) * math.pi

    def applied(self, probability: Tensor | float) -> Tensor:
        """Which rows are transformed, bool [B]."""
        if self.q is not None:
            return torch.ones(self.batch, dtype=torch.bool, device=self.device)
        return torch.rand(self.batch, device=self.device) < probability


def _matrices(*rows: tuple[Tensor | float, ...]) -> Tensor:
    """[B, n, n] of rows whose entries are numbers or tensors [B], at least one of them."""
    flat = [entry for row in rows for entry in row]
    like = next(entry for entry in flat if isinstance(entry, Tensor))
    whole = [e if isinstance(e, Tensor) else torch.full_like(like, e) for e in flat]
    return torch.stack(whole, dim=-1).reshape(-1, len(rows), len(rows))


def _scaling(x: Tensor, y: Tensor | float) -> Tensor:
    return _matrices((x, 0, 0), (0, y, 0), (0, 0, 1))


def _shift(x: Tensor, y: Tensor) -> Tensor:
    return _matrices((1, 0, x), (0, 1, y), (0, 0, 1))


def _rotation(angle: Tensor) -> Tensor:
    c, s = angle.cos(), angle.sin()
    return _matrices((c, -s, 0), (s, c, 0), (0, 0, 1))


class AugmentPipe(nn.Module):
    """Random transforms of images that the discriminator sees, each with probability `p`.

    p: overall strength in [0, 1], a buffer that adaptation moves. multipliers: factor on `p` by
    name in TRANSFORMS, 1 where not given. Buffers have the names of public checkpoints.
    """

    p: Tensor
    Hz_geom: Tensor
    Hz_fbank: Tensor

    def __init__(self, p: float = 1.0, **multipliers: float):
        super().__init__()
        if unknown := set(multipliers) - set(TRANSFORMS):
            raise ValueError(f"{sorted(unknown)}: transforms are {', '.join(TRANSFORMS)}")
        self.multipliers = {name: float(multipliers.get(name, 1)) for name in TRANSFORMS}
        taps = torch.tensor(SYM6, dtype=torch.float32)
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("Hz_geom", taps / taps.sum())
        self.register_buffer("Hz_fbank", filter_bank())

    def forward(self, images: Tensor, percentile: float | None = None) -> Tensor:
        """Transformed images [B, C, H, W], C a multiple of 3: all triples of a row alike.

        percentile: in (0, 1), every parameter at that quantile instead of drawn, to compare.
        Raises ValueError where the channels are not RGB triples.
        """
        batch, channels, height, width = images.shape
        if channels % 3:
            raise ValueError(f"{channels} channels: augmentation takes RGB images side by side")
        draws = Draws(batch, images.device, percentile)
        inverse = self._inverse_geometry(draws, height, width)
        if inverse is not None:
            images = self._warp(images, inverse)
        color = self._color(draws)
        if color is not None:
            triples = images.reshape(batch, channels // 3, 3, height * width)
            triples = color[:, None, :3, :3] @ triples + color[:, None, :3, 3:]
            images = triples.reshape(images.shape)
        return images

    def _rows(self, draws: Draws, name: str, values: Tensor, neutral: float) -> Tensor:
        """The values in rows that the transform strikes, the neutral one elsewhere."""
        mask = draws.applied(self.multipliers[name] * self.p)
        return torch.where(mask, values, torch.full_like(values, neutral))

    def _inverse_geometry(self, draws: Draws, height: int, width: int) -> Tensor | None:
        """[B, 3, 3] from output to input pixels about the image's centre; None: the identity."""
        on = {name for name, value in self.multipliers.items() if value > 0}
        steps: list[Tensor] = []
        if "xflip" in on:
            side = self._rows(draws, "xflip", (draws.uniform() * 2).floor(), 0)
            steps.append(_scaling(1 - 2 * side, 1))
        if "rotate90" in on:
            quarters = self._rows(draws, "rotate90", (draws.uniform() * 4).floor(), 0)
            steps.append(_rotation(quarters * (math.pi / 2)))
        if "xint" in on:
            mask = draws.applied(self.multipliers["xint"] * self.p)
            x, y = ((draws.uniform() * 2 - 1) * XINT_MAX * mask for _ in range(2))
            steps.append(_shift(-(x * width).round(), -(y * height).round()))
        if "scale" in on:
            s = self._rows(draws, "scale", (draws.normal() * SCALE_STD).exp2(), 1)
            steps.append(_scaling(1 / s, 1 / s))
        # Two chances to rotate, before and after stretching, that make p together.
        once = 1 - (1 - self.multipliers["rotate"] * self.p).clamp(0, 1).sqrt()
        if "rotate" in on:
            steps.append(_rotation(draws.angle() * draws.applied(once)))
        if "aniso" in on:
            s = self._rows(draws, "aniso", (draws.normal() * ANISO_STD).exp2(), 1)
            steps.append(_scaling(1 / s, s))
        if "rotate" in on and draws.q is None:
            steps.append(_rotation(draws.angle() * draws.applied(once)))
        if "xfrac" in on:
            mask = draws.applied(self.multipliers["xfrac"] * self.p)
            x, y = (draws.normal() * XFRAC_STD * mask for _ in range(2))
            steps.append(_shift(-x * width, -y * height))
        if not steps:
            return None
        out = steps[0]
        for step in steps[1:]:
            out = out @ step
        return out

    def _warp(self, images: Tensor, inverse: Tensor) -> Tensor:
        """Resample at twice the resolution between two orthogonal low-pass filters."""
        batch, channels, height, width = images.shape
        reach = len(self.Hz_geom) // 4
        left, top, right, bottom = self._margins(inverse, height, width, reach)
        x = F.pad(images, (left, right, top, bottom), mode="reflect")
        half_shift = torch.tensor([(left - right) / 2, (top - bottom) / 2], device=x.device)
        inverse = _shift(*half_shift[:, None]) @ inverse
        x = self._double(x)
        # The same map between centres of the doubled pixels, then between [-1, 1] squares.
        two, quarter = (torch.full((1,), v, device=x.device) for v in (2.0, 0.5))
        inverse = _scaling(two, two) @ inverse @ _scaling(1 / two, 1 / two)
        inverse = _shift(-quarter, -quarter) @ inverse @ _shift(quarter, quarter)
        high, wide = (height + 2 * reach) * 2, (width + 2 * reach) * 2
        size_in = torch.tensor([x.shape[3], x.shape[2]], device=x.device)[:, None] / 2
        size_out = torch.tensor([wide, high], device=x.device)[:, None] / 2
        inverse = _scaling(*(1 / size_in)) @ inverse @ _scaling(*size_out)
        grid = F.affine_grid(inverse[:, :2], [batch, channels, high, wide], align_corners=False)
        x = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return self._halve(x, reach)

    @staticmethod
    def _margins(inverse: Tensor, height: int, width: int, reach: int) -> list[int]:
        """Pixels to add left, top, right and below so that no output pixel reads outside."""
        cx, cy = (width - 1) / 2, (height - 1) / 2
        corners = [[-cx, cx, cx, -cx], [-cy, -cy, cy, cy], [1, 1, 1, 1]]
        source = inverse @ torch.tensor(corners, device=inverse.device)
        x, y = source[:, 0], source[:, 1]
        need = torch.stack([-x.min(), -y.min(), x.max(), y.max()])
        need = need + torch.tensor([2 * reach - cx, 2 * reach - cy] * 2, device=need.device)
        most = torch.tensor([width - 1, height - 1] * 2, device=need.device)
        return need.clamp_min(0).minimum(most).ceil().int().tolist()

    def _double(self, x: Tensor) -> Tensor:
        """Zero insertion and the low-pass of gain 4 on [B, C, H, W]."""
        taps, edge = self.Hz_geom * 2, len(self.Hz_geom) // 2 - 1
        flat = x.reshape(-1, 1, *x.shape[2:])
        flat = F.conv_transpose2d(flat, taps.reshape(1, 1, 1, -1), stride=(1, 2), padding=(0, edge))
        flat = F.conv_transpose2d(flat, taps.reshape(1, 1, -1, 1), stride=(2, 1), padding=(edge, 0))
        return flat.reshape(*x.shape[:2], *flat.shape[2:])

    def _halve(self, x: Tensor, reach: int) -> Tensor:
        """The mirrored low-pass at every second pixel, without the `reach` pixels around."""
        crop = 2 * reach - (len(self.Hz_geom) - 1) // 2
        flat = x.reshape(-1, 1, *x.shape[2:])[..., crop:-crop, crop:-crop]
        flat = F.conv2d(flat, self.Hz_geom.reshape(1, 1, 1, -1), stride=(1, 2))
        flat = F.conv2d(flat, self.Hz_geom.reshape(1, 1, -1, 1), stride=(2, 1))
        return flat.reshape(*x.shape[:2], *flat.shape[2:])

    def _color(self, draws: Draws) -> Tensor | None:
        """[B, 4, 4] on homogeneous RGB; None: the identity."""
        on = {name for name, value in self.multipliers.items() if value > 0}
        eye = torch.eye(4, device=self.p.device)
        luma = torch.tensor([1.0, 1.0, 1.0, 0.0], device=self.p.device) / math.sqrt(3)
        along = torch.outer(luma, luma)
        steps: list[Tensor] = []
        if "brightness" in on:
            b = self._rows(draws, "brightness", draws.normal() * BRIGHTNESS_STD, 0)
            steps.append(_matrices((1, 0, 0, b), (0, 1, 0, b), (0, 0, 1, b), (0, 0, 0, 1)))
        if "contrast" in on:
            c = self._rows(draws, "contrast", (draws.normal() * CONTRAST_STD).exp2(), 1)
            steps.append(_matrices((c, 0, 0, 0), (0, c, 0, 0), (0, 0, c, 0), (0, 0, 0, 1)))
        if "lumaflip" in on:
            side = self._rows(draws, "lumaflip", (draws.uniform() * 2).floor(), 0)
            steps.append(eye - 2 * along * side.reshape(-1, 1, 1))
        if "hue" in on:
            steps.append(_turn(luma, self._rows(draws, "hue", draws.angle(), 0)))
        if "saturation" in on:
            s = self._rows(draws, "saturation", (draws.normal() * SATURATION_STD).exp2(), 1)
            steps.append(along + (eye - along) * s.reshape(-1, 1, 1))
        if not steps:
            return None
        out = steps[0]
        for step in steps[1:]:
            out = step @ out
        return out


def _turn(axis: Tensor, angle: Tensor) -> Tensor:
    """[B, 4, 4] rotations by `angle` [B] about the unit `axis` [4] (Rodrigues' formula)."""
    x, y, z, _ = axis.tolist()
    cross = torch.zeros(4, 4, device=axis.device)
    cross[:3, :3] = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    along = torch.outer(axis, axis)
    across = torch.diag(torch.tensor([1.0, 1, 1, 0], device=axis.device)) - along
    last = torch.zeros(4, 4, device=axis.device)
    last[3, 3] = 1
    c, s = (v.reshape(-1, 1, 1) for v in (angle.cos(), angle.sin()))
    return along + across * c + cross * s + last


@dataclass
class Adaptation:
    """Moves the strength of a pipe so that real logits keep their mean sign near `target`.

    interval: batches between two moves. kimg: thousands of images from strength 0 to 1.
    signs: [2], sum and number of the signs seen since the last move.
    """

    pipe: AugmentPipe
    target: float = 0.6
    interval: int = 4
    kimg: float = 500.0
    signs: Tensor = field(default_factory=lambda: torch.zeros(2))

    def observe(self, logits_real: Tensor) -> None:
        """Count the signs of real logits [B, 1]."""
        seen = logits_real.detach().sign()
        seen = torch.stack([seen.sum(), torch.ones_like(seen).sum()])
        self.signs = self.signs.to(seen.device) + seen

    def step(self, batches: int, batch: int) -> None:
        """After `batches` batches of size `batch`: every `interval` of them, a move up or down.

        The strength does not fall below 0.
        """
        if batches % self.interval or self.signs[1] == 0:
            return
        move = (self.signs[0] / self.signs[1] - self.target).sign()
        move = move * (batch * self.interval / (self.kimg * 1000))
        self.pipe.p.copy_((self.pipe.p + move).clamp_min(0))
        self.signs = torch.zeros_like(self.signs)
