"""Operations and bytes of the networks, counted from their settings. Imports without torch.

Every count is of one sample. Operations are those of convolutions and matrix products, two a
multiplication with its addition, as torch's FlopCounterMode counts them (equal to it: the tests).
Bytes are what every operation reads and writes, as if nothing stayed in a cache, and what autograd
keeps for the way back; both are good to about a tenth (the tests count tensors), the sampler's to a
seventh. Sizes of weights are left out of the bytes: they do not grow with the batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FLOAT, HALF = 4, 2  # bytes
CHANNELS = 32  # of a plane, and of the rendered features
DECODER_HIDDEN, DECODER_OUT = 64, 33
HEADS = {  # hidden channels of the super-resolution, whether each of its blocks doubles
    "SuperresolutionHybrid8X": ((128, 64), (True, True)),
    "SuperresolutionHybrid8XDC": ((256, 128), (True, True)),
    "SuperresolutionHybrid4X": ((128, 64), (False, True)),
    "SuperresolutionHybrid2X": ((128, 64), (False, True)),
    "SuperresolutionHybrid1X": ((128, 64), (False, False)),
}


@dataclass(frozen=True)
class Work:
    """One way forward: operations in float32 and in float16, bytes moved, bytes kept."""

    flops: float = 0.0
    half_flops: float = 0.0
    bytes: float = 0.0
    kept: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.flops + other.flops,
            self.half_flops + other.half_flops,
            self.bytes + other.bytes,
            self.kept + other.kept,
        )

    def times(self, operations: float, moved: float) -> Work:
        """So often the operations and the bytes, as the way back takes; kept bytes are the same."""
        return Work(
            self.flops * operations, self.half_flops * operations, self.bytes * moved, self.kept
        )


def _work(flops: float, moved: float, kept: float, half: bool) -> Work:
    item = HALF if half else FLOAT
    return Work(0.0 if half else flops, flops if half else 0.0, moved * item, kept * item)


# ---------------------------------------------------------------------- generator


def _modulated(cin: int, cout: int, size: int, w_dim: int, up: bool, clamp: bool, half: bool):
    """A 3x3 layer of the synthesis, `size` pixels out; ops.modulated_conv2d and activate."""
    source = size // 2 if up else size
    into, out = cin * source**2, cout * size**2
    wide = cout * (2 * source + 1) ** 2 if up else out
    flops = 18 * cin * cout * source**2 + 2 * cin * (w_dim + cout) + (32 * out if up else 0)
    # Styles, convolution, low-pass, demodulation, noise, bias, leaky ReLU, gain, clamp.
    moved = 3 * into + wide + (wide + out if up else 0) + (12 if clamp else 10) * out
    kept = 2 * into + (wide if up else 0) + (3 if clamp else 2) * out
    return _work(flops, moved, kept, half)


def _block(
    cin: int, cout: int, size: int, w_dim: int, image: int, up: bool, clamp: bool, half: bool
) -> Work:
    """One resolution with its image of `image` channels; cin 0 for the constant at the bottom."""
    total = _modulated(cout, cout, size, w_dim, False, clamp, half)
    if cin:
        total += _modulated(cin, cout, size, w_dim, up, clamp, half)
    pixels = size**2
    moved = 3 * cout * pixels + (5 if clamp else 3) * image * pixels
    flops = 2 * cout * (image * pixels + w_dim)
    total += _work(flops, moved, cout * pixels + (image * pixels if clamp else 0), half)
    if cin:  # the image of the level below, enlarged and added
        below = image * pixels // 4 if up else 0
        total += _work(32 * below, below + image * pixels * (4 if up else 3), below, False)
    return total


def mapping(G: Mapping[str, Any]) -> Work:
    """Latent and camera to w: small beside everything else, operations alone."""
    w, layers = G["w_dim"], G.get("mapping_kwargs", {}).get("num_layers", 8)
    width = G["z_dim"] + (w if G["c_dim"] else 0)
    return Work(2 * (G["c_dim"] * w + width * w + (layers - 1) * w * w))


def backbone(G: Mapping[str, Any]) -> Work:
    """ws to planes, from a generator's settings as in `config.json`."""
    size = G.get("plane_resolution", 256)
    base, most = G.get("channel_base", 32768), G.get("channel_max", 512)
    clamp = G.get("conv_clamp") is not None
    total, below = Work(), 0
    for level in range(2, int(math.log2(size)) + 1):
        width = min(base // 2**level, most)
        total += _block(below, width, 2**level, G["w_dim"], 3 * CHANNELS, True, clamp, False)
        below = width
    return total + _work(0, 0, below * size**2, False)  # the last block's features


def superresolution(G: Mapping[str, Any]) -> Work:
    """Rendered features to the image; in float16 on a GPU where `sr_num_fp16_res` is above 0."""
    (a, b), up = _head(G)
    size, half = G["img_resolution"], G.get("sr_num_fp16_res", 0) > 0
    w_dim = G["w_dim"]
    between = size // 2 if up[1] else size
    first = _block(CHANNELS, a, between, w_dim, 3, up[0], half, half)
    second = _block(a, b, size, w_dim, 3, up[1], half, half)
    return first + second + _work(0, 0, b * size**2, half)


def _head(G: Mapping[str, Any]) -> tuple[tuple[int, int], tuple[bool, bool]]:
    """Hidden channels of the super-resolution, and which of its two blocks double the size."""
    name = G["rendering_kwargs"]["superresolution_module"].rsplit(".", 1)[-1]
    if name not in HEADS:
        raise ValueError(f"superresolution_module {name!r}: one of {', '.join(HEADS)}")
    hidden, up = HEADS[name]
    a, b = (G.get("sr_kwargs") or {}).get("hidden_channels") or hidden
    return (a, b), up


def rays(G: Mapping[str, Any]) -> tuple[int, int, int]:
    """Rays of a rendering, and points of a ray in the coarse and the fine pass."""
    options = G["rendering_kwargs"]
    coarse, fine = options["depth_resolution"], options.get("depth_resolution_importance") or 0
    return G.get("neural_rendering_resolution", 64) ** 2, int(coarse), int(fine)


def render(G: Mapping[str, Any]) -> Work:
    """Planes to features: two passes of points through the decoder, and the march along rays."""
    count, coarse, fine = rays(G)
    points = count * (coarse + fine)
    flops = points * 2 * DECODER_HIDDEN * (CHANNELS + DECODER_OUT)
    flops += points * 3 * 3 * 3 * 2 + 32 * count  # coordinates on the planes, directions
    texels = 3 * CHANNELS * G.get("plane_resolution", 256) ** 2 * (2 if fine else 1)
    moved = points * (990 if fine else 915) + count * coarse * 30 + texels
    return _work(flops, moved, points * 262, False)


# ---------------------------------------------------------------------- discriminator


def discriminator(D: Mapping[str, Any]) -> Work:
    """Both images to a logit; blocks of the highest `num_fp16_res` sizes in float16 on a GPU."""
    size, top = D["img_resolution"], int(math.log2(D["img_resolution"]))
    base, most = D.get("channel_base", 32768), D.get("channel_max", 512)
    count = D.get("num_fp16_res", 4)
    first_half = max(2 ** (top + 1 - count), 8)
    clamp = D.get("conv_clamp", 256) is not None
    width = {2**level: min(base // 2**level, most) for level in range(2, top + 1)}
    passes, held = (8, 2) if clamp else (6, 1)
    total = Work()
    for level in range(top, 2, -1):
        r = 2**level
        c, d, full, quarter = width[r], width[r // 2], r * r, r * r // 4
        ring = (r + 1) ** 2  # of the low-pass before the stride
        half = count > 0 and r >= first_half
        flops = 18 * c * c * full + 32 * c * ring + 18 * c * d * quarter
        flops += 32 * c * quarter + 2 * c * d * quarter
        moved = (2 + passes) * c * full + c * full + 2 * c * ring + (1 + passes) * d * quarter
        moved += c * full + 2 * c * quarter + (1 + 2 + 3) * d * quarter
        kept = c * full * (2 + held) + c * ring + c * quarter + held * d * quarter
        if r == size:
            flops += 2 * 6 * c * full
            moved += 6 * full + (1 + passes) * c * full
            kept += 6 * full + held * c * full
        total += _work(flops, moved, kept, half)
    c = width[4]
    layers = (D.get("mapping_kwargs") or {}).get("num_layers", 8)
    flops = 18 * 16 * (c + 1) * c + 2 * 16 * c * c + 2 * c * c
    flops += 2 * (D["c_dim"] * c + c * c + (layers - 1) * c * c)
    return total + _work(flops, 16 * c * (10 + passes), 16 * c * 6, False)


# ---------------------------------------------------------------------- density and reward


def sampler(G: Mapping[str, Any], shape: Sequence[int], resolution: int) -> Work:
    """Planes to sigma on a released grid of `resolution` a side of which `shape` cells are kept.

    A fit, for the tiles of a GPU: counted where cells are 1, 2 and 4 texels apart and the box is a
    unit wide. Cells of coarser grids cost more, since more texels lie between them.
    """
    size, count = G.get("plane_resolution", 256), math.prod(shape)
    stride = max(size / resolution, 1.0)
    wide, high, deep = (min(n / resolution, 1.0) * size for n in shape)
    tables = wide * (high + deep) * DECODER_HIDDEN
    return _work(
        count * (13000 - 6400 / stride), count * (1340 + 435 * stride), tables + count, False
    )


def unet(shape: Sequence[int], f_maps: Sequence[int]) -> Work:
    """Sigma slab [x, y, z] to slice maxima: the ResNet-SE-3D-UNet of the released reward."""
    sizes = [tuple(shape)]
    for _ in f_maps[1:]:
        sizes.append(tuple(n // 2 for n in sizes[-1]))
    volumes = [math.prod(size) for size in sizes]
    total = Work()
    for level, (c, n) in enumerate(zip(f_maps, volumes)):
        before = f_maps[level - 1] if level else 1
        total += _residual(before, c, n)
        if level:  # pooling
            total += _work(0, before * (volumes[level - 1] + n), before * n * 3, False)
    for level in range(len(f_maps) - 2, -1, -1):
        c, deep, n, below = f_maps[level], f_maps[level + 1], volumes[level], volumes[level + 1]
        made = math.prod(2 * size - 1 for size in sizes[level + 1])
        moved = deep * below + c * (2 * made + 4 * n)
        total += _work(54 * deep * c * below, moved, deep * below, False)
        total += _residual(c, c, n)
    c, n = f_maps[0], volumes[0]
    return total + _work(2 * c * 8 * n, (c + 8 + 4) * n, (c + 8) * n, False)


def _residual(cin: int, c: int, n: int) -> Work:
    flops = 108 * c * c * n + 2 * c * n + 4 * c * c + (2 * cin * c * n if cin != c else 0)
    moved = 24 * c * n + 4 * n + (cin * n + 2 * c * n if cin != c else 0)
    return _work(flops, moved, 7 * c * n + n + (cin * n if cin != c else 0), False)


def head(feature: int, trunk: Sequence[int], out: int, hidden: Sequence[int]) -> Work:
    """Global feature to score: operations alone."""
    pairs = [(feature, trunk[0]), (trunk[0], trunk[1]), (trunk[1], out)]
    pairs += [(out, hidden[0]), (hidden[0], hidden[1]), (hidden[1], 1)]
    return Work(sum(2.0 * a * b for a, b in pairs))


# ---------------------------------------------------------------------- weights


def generator_parameters(G: Mapping[str, Any]) -> int:
    """Weights of mapping, backbone, decoder and super-resolution."""
    w, layers = G["w_dim"], (G.get("mapping_kwargs") or {}).get("num_layers", 8)
    width = G["z_dim"] + (w if G["c_dim"] else 0)
    total = (G["c_dim"] + 1) * w + (width + 1) * w + (layers - 1) * (w + 1) * w
    base, most = G.get("channel_base", 32768), G.get("channel_max", 512)
    below = 0
    for level in range(2, int(math.log2(G.get("plane_resolution", 256))) + 1):
        c = min(base // 2**level, most)
        total += _block_parameters(below, c, w, 3 * CHANNELS) + (0 if below else 16 * c)
        below = c
    total += (CHANNELS + 1) * DECODER_HIDDEN + (DECODER_HIDDEN + 1) * DECODER_OUT
    a, b = _head(G)[0]
    return total + _block_parameters(CHANNELS, a, w, 3) + _block_parameters(a, b, w, 3)


def _block_parameters(cin: int, cout: int, w_dim: int, image: int) -> int:
    total = _layer_parameters(cout, cout, 9, w_dim) + 1 + _layer_parameters(cout, image, 1, w_dim)
    return total + (_layer_parameters(cin, cout, 9, w_dim) + 1 if cin else 0)


def _layer_parameters(cin: int, cout: int, taps: int, w_dim: int) -> int:
    """Weight, bias, and the affine map of its style."""
    return cin * cout * taps + cout + (w_dim + 1) * cin


def discriminator_parameters(D: Mapping[str, Any]) -> int:
    """Weights of blocks, mapping and epilogue."""
    top = int(math.log2(D["img_resolution"]))
    base, most = D.get("channel_base", 32768), D.get("channel_max", 512)
    width = [min(base // 2**level, most) for level in range(top + 1)]
    total = 7 * width[top]
    for level in range(top, 2, -1):
        c, d = width[level], width[level - 1]
        total += 9 * c * c + c + 9 * c * d + d + c * d
    c, layers = width[2], (D.get("mapping_kwargs") or {}).get("num_layers", 8)
    total += (D["c_dim"] + 1) * c + layers * (c + 1) * c
    return total + 9 * (c + 1) * c + c + (16 * c + 1) * c + (c + 1) * c
