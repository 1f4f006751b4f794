"""Whether the tensors of a checkpoint folder fit its config.json and each other, by the headers of
its files, and whether its weights are numbers. Loads no torch."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sigmaflow.jsontext import loads

MOST_HEADER = 16 * 2**20  # bytes of a safetensors header
LABEL_STD = "dataset_label_std"  # a buffer of EG3D's training loop that generators may have
AGAIN = "convert or copy the checkpoint again"
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # numpy has no bfloat16
EXPONENT = 0x7F80  # of a bfloat16: all ones in NaN and infinity
CHUNK = 2**22  # numbers that are looked at together
Shape = tuple[int, ...]


def whole_safetensors(path: Path) -> dict[str, Shape]:
    """The shape of every tensor of a file. Raises ValueError where it or a tensor is not as long as
    its header says, or it has none."""
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MOST_HEADER:
                raise ValueError(f"a header of {length} bytes")
            header = loads(file.read(length))
        tensors = {k: v for k, v in header.items() if k != "__metadata__"}
        ends = [one["data_offsets"][1] for one in tensors.values()]
        shapes = {k: tuple(int(n) for n in v["shape"]) for k, v in tensors.items()}
        for name, one in tensors.items():
            begin, end = one["data_offsets"]
            bits = int("".join(c for c in one["dtype"].split("_")[0] if c.isdigit()) or 8)
            if (end - begin) * 8 != math.prod(shapes[name]) * bits:
                said = f"{list(shapes[name])} of {one['dtype']}"
                raise ValueError(f"{name}: {end - begin} bytes for {said}")
        found, told = path.stat().st_size, 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError,
            struct.error) as error:  # fmt: skip
        raise ValueError(f"{path}: no whole safetensors file ({error}); copy it again") from error
    if found != told:
        raise ValueError(f"{path}: {found} bytes, of {told} that its header tells; copy it again")
    return shapes


def check_finite(path: Path) -> None:
    """Raises ValueError, naming file and tensor, where a weight is NaN or infinite. Reads the whole
    file, which must be a whole one (`whole_safetensors`)."""
    import numpy as np

    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = loads(file.read(length))
    for name, one in header.items():
        if name == "__metadata__" or one["dtype"] not in FLOATS:
            continue
        begin, end = one["data_offsets"]
        kind = np.dtype(FLOATS[one["dtype"]])
        count = (end - begin) // kind.itemsize
        for start in range(0, count, CHUNK):
            part = np.fromfile(path, kind, min(CHUNK, count - start),
                               offset=8 + length + begin + start * kind.itemsize)  # fmt: skip
            bad = (part & EXPONENT) == EXPONENT if one["dtype"] == "BF16" else ~np.isfinite(part)
            if bad.any():
                raise ValueError(f"{path}: {name} holds NaN or infinity; take a snapshot from"
                                 " before its training diverged")  # fmt: skip


def check_shapes(
    folder: Path, config: Mapping[str, Any], networks: Mapping[str, Mapping[str, Shape]]
) -> None:
    """Raises ValueError, naming file, tensor and both shapes, where G is not as G_ema, or a network
    not as config.json has it: D as a whole, a generator by its backbone.

    Args:
        folder: of the checkpoint, for the text.
        config: its config.json.
        networks: what `whole_safetensors` says of its files, by network.
    """
    if "G" in networks:
        _alike(folder / "G.safetensors", networks["G"], networks["G_ema"], "G_ema.safetensors",
               whole=True)  # fmt: skip
    told = f"{folder / 'config.json'}"
    for name, shapes in networks.items():
        made = discriminator_shapes if name == "D" else backbone_shapes
        try:
            expected = dict(made(config["D" if name == "D" else "G"]))
        except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
            said = f"{type(error).__name__}: {error}"
            raise ValueError(f"{told}: its arguments of {'D' if name == 'D' else 'G'} make no"
                             f" network ({said}); {AGAIN}") from error  # fmt: skip
        _alike(folder / f"{name}.safetensors", shapes, expected, "config.json", whole=name == "D")


def _alike(file: Path, found: Mapping[str, Shape], wanted: Mapping[str, Shape], by: str,
           whole: bool) -> None:  # fmt: skip
    for name, shape in wanted.items():
        if name == LABEL_STD:
            continue
        if name not in found:
            raise ValueError(f"{file}: holds no tensor {name}, and by {by} it has one of"
                             f" {list(shape)}; {AGAIN}")  # fmt: skip
        if found[name] != shape:
            raise ValueError(f"{file}: {name} is {list(found[name])}, and by {by}"
                             f" {list(shape)}; {AGAIN}")  # fmt: skip
    if whole and (more := sorted(set(found) - set(wanted) - {LABEL_STD})):
        raise ValueError(f"{file}: holds {more[0]}, {list(found[more[0]])}, which by {by} it has"
                         f" not; {AGAIN}")  # fmt: skip


# ---------------------------------------------------------------------- the classes, in numbers


def discriminator_shapes(D: Mapping[str, Any]) -> Iterator[tuple[str, Shape]]:
    """Every tensor of `DualDiscriminator(**D)`."""
    side = D["img_resolution"]
    levels = [2**i for i in range(int(math.log2(side)), 2, -1)]
    width = _widths(D, [*levels, 4])
    for res in levels:
        hidden, out = width[res], width[res // 2]
        yield f"b{res}.resample_filter", (4, 4)
        if res >= side:
            yield from _conv(f"b{res}.fromrgb", 2 * D.get("img_channels", 3), hidden, 1)
        yield from _conv(f"b{res}.conv0", hidden, hidden, 3)
        yield from _conv(f"b{res}.conv1", hidden, out, 3)
        yield from _conv(f"b{res}.skip", hidden, out, 1, bias=False)
    last = width[4]
    yield from _conv("b4.conv", last + 1, last, 3)
    yield from _linear("b4.fc", 16 * last, last)
    yield from _linear("b4.out", last, last)
    yield from _mapping("mapping", 0, D["c_dim"], last, D.get("mapping_kwargs") or {})
    yield "resample_filter", (4, 4)


def backbone_shapes(G: Mapping[str, Any]) -> Iterator[tuple[str, Shape]]:
    """Mapping, first tensor and convolutions of the backbone of `TriPlaneGenerator(**G)`."""
    w, settings = G["w_dim"], G.get("mapping_kwargs") or {}
    yield from _mapping("backbone.mapping", G["z_dim"], G["c_dim"], w, settings)
    levels = [2**i for i in range(2, int(math.log2(G.get("plane_resolution", 256))) + 1)]
    width = _widths(G, levels)
    yield "backbone.synthesis.b4.const", (width[4], 4, 4)
    for res in levels:
        at = f"backbone.synthesis.b{res}"
        convs = [("conv1", width[res])] if res == 4 else [("conv0", width[res // 2]),
                                                          ("conv1", width[res])]  # fmt: skip
        for name, wide in convs:
            yield f"{at}.{name}.weight", (width[res], wide, 3, 3)
            yield from _linear(f"{at}.{name}.affine", w, wide)


def _widths(network: Mapping[str, Any], levels: list[int]) -> dict[int, int]:
    base, most = network.get("channel_base", 32768), network.get("channel_max", 512)
    return {res: min(base // res, most) for res in levels}


def _mapping(
    at: str, z: int, c: int, w: int, settings: Mapping[str, Any]
) -> Iterator[tuple[str, Shape]]:
    embed = (settings.get("embed_features") or w) if c > 0 else 0
    if c > 0:
        yield from _linear(f"{at}.embed", c, embed)
    layers = settings.get("num_layers", 8)
    inner = [settings.get("layer_features") or w] * (layers - 1)
    widths = [z + embed, *inner, w]
    for i in range(layers):
        yield from _linear(f"{at}.fc{i}", widths[i], widths[i + 1])


def _linear(at: str, into: int, out: int) -> Iterator[tuple[str, Shape]]:
    yield f"{at}.weight", (out, into)
    yield f"{at}.bias", (out,)


def _conv(
    at: str, into: int, out: int, side: int, bias: bool = True
) -> Iterator[tuple[str, Shape]]:
    yield f"{at}.weight", (out, into, side, side)
    yield f"{at}.resample_filter", (4, 4)
    if bias:
        yield f"{at}.bias", (out,)
