"""Layers that StyleGAN2 is made of, in plain torch.

Parameter names, shapes and run-time gains follow the public StyleGAN2/EG3D state dicts, so that
their weights load by name. Equations: Karras et al. 2020, "Analyzing and Improving the Image
Quality of StyleGAN", section 2 (weight demodulation).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SQRT2 = math.sqrt(2.0)


def normalize_2nd_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale each row of `x` [B, C] to unit mean square."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


def activate(
    x: Tensor, bias: Tensor | None, activation: str, gain: float = 1.0, clamp: float | None = None
) -> Tensor:
    """Bias, then `linear` or `lrelu` (slope 0.2, gain sqrt 2), times `gain`, then clamp.

    x: [B, C, ...]; bias: [C] or None. Raises ValueError for any other activation.
    """
    if bias is not None:
        x = x + bias.to(x.dtype).reshape([1, -1] + [1] * (x.ndim - 2))
    if activation == "lrelu":
        x = F.leaky_relu(x, 0.2) * (SQRT2 * gain)
    elif activation == "linear":
        x = x if gain == 1 else x * gain
    else:
        raise ValueError(f"activation {activation!r}: linear and lrelu are known")
    return x if clamp is None else x.clamp(-clamp, clamp)


def binomial_filter() -> Tensor:
    """The [1,3,3,1] low-pass of StyleGAN2 as a [4, 4] kernel of sum 1."""
    f = torch.tensor([1.0, 3.0, 3.0, 1.0])
    f = torch.outer(f, f)
    return f / f.sum()


def _depthwise(f: Tensor, x: Tensor, gain: float) -> Tensor:
    return (f * gain).to(x.dtype).expand(x.shape[1], 1, *f.shape)


def upsample2d(x: Tensor, f: Tensor) -> Tensor:
    """[B, C, H, W] to [B, C, 2H, 2W]: zero insertion and the low-pass with gain 4."""
    return F.conv_transpose2d(x, _depthwise(f, x, 4.0), stride=2, padding=1, groups=x.shape[1])


def filter2d(x: Tensor, f: Tensor, padding: int, stride: int = 1, gain: float = 1.0) -> Tensor:
    """Low-pass `x` [B, C, H, W] by `f`, padding each side with zeros."""
    return F.conv2d(x, _depthwise(f, x, gain), padding=padding, stride=stride, groups=x.shape[1])


def conv2d_resample(x: Tensor, weight: Tensor, f: Tensor, up: int = 1, down: int = 1) -> Tensor:
    """'Same' convolution by `weight` [O, I, k, k], k in {1, 3}, with resampling by 1 or 2."""
    k = weight.shape[-1]
    weight = weight.to(x.dtype)
    if up == 2:
        x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return filter2d(x, f, padding=1, gain=4.0)
    if down == 2 and k == 1:
        return F.conv2d(filter2d(x, f, padding=1, stride=2), weight)
    if down == 2:
        return F.conv2d(filter2d(x, f, padding=2), weight, stride=2)
    return F.conv2d(x, weight, padding=k // 2)


def modulated_conv2d(
    x: Tensor, weight: Tensor, styles: Tensor, f: Tensor, up: int = 1, demodulate: bool = True
) -> Tensor:
    """Convolution whose input channels are scaled by `styles` [B, I], optionally demodulated.

    The sum over the kernel in the demodulation is taken once per (out, in) pair, which equals
    the per-sample weights of the paper and needs no [B, O, I, k, k] tensor.
    """
    if x.dtype == torch.float16 and demodulate:  # keep products inside half range
        weight = weight / (
            math.sqrt(weight[0].numel()) * weight.abs().amax(dim=(1, 2, 3), keepdim=True)
        )
        styles = styles / styles.abs().amax(dim=1, keepdim=True)
    y = conv2d_resample(x * styles.to(x.dtype)[:, :, None, None], weight, f, up=up)
    if demodulate:
        power = styles.square() @ weight.square().sum(dim=(2, 3)).t()
        y = y * (power + 1e-8).rsqrt().to(x.dtype)[:, :, None, None]
    return y


class FullyConnectedLayer(nn.Module):
    """Linear layer with equalised learning rate. [B, in] to [B, out]."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activation: str = "linear",
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ):
        super().__init__()
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), float(bias_init) / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias if self.bias_gain == 1 else self.bias * self.bias_gain
        if self.activation == "linear":
            return torch.addmm(bias, x, (self.weight * self.weight_gain).t())
        return activate(x @ (self.weight * self.weight_gain).t(), bias, self.activation)


class Conv2dLayer(nn.Module):
    """Convolution with equalised learning rate, for the discriminator."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        activation: str = "linear",
        down: int = 1,
        conv_clamp: float | None = None,
    ):
        super().__init__()
        self.activation, self.down, self.conv_clamp = activation, down, conv_clamp
        self.register_buffer("resample_filter", binomial_filter())
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        x = conv2d_resample(x, self.weight * self.weight_gain, self.resample_filter, down=self.down)
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        return activate(x, self.bias, self.activation, gain=gain, clamp=clamp)
