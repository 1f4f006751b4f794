"""Networks of a snapshot as ours, and as the folders that the rest of sigmaflow reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sigmaflow.atomic import write_folder_with
from sigmaflow.files import open_to_umask, sha256_file

from ..checkpoint import LABEL_STD, NETWORKS, GANCheckpoint, config_of
from ..discriminator import DualDiscriminator
from ..triplane import PLANE_AXES_EG3D, TriPlaneGenerator
from .errors import PickleError, shown
from .files import is_conversion
from .snapshot import Network, Snapshot, read_snapshot

PLANE_SETS = {
    "eg3d": PLANE_AXES_EG3D,
    "fixed": (*PLANE_AXES_EG3D[:2], ((0, 0, 1), (0, 1, 0), (1, 0, 0))),
}
"""Axes for a file that holds none: of EG3D's code, and of the retrainings that corrected it."""

G_MODULES = {"renderer", "ray_sampler", "backbone", "superresolution", "decoder"}
MAX_SIZE = 1 << 20  # of any size in the arguments; the largest of a public network is 32768
MAX_LAYERS = 64

# What the public classes take: kept here, of one known value there, or without effect.
MAPPING = ("num_layers", "embed_features", "layer_features", "lr_multiplier", "w_avg_beta")
SYNTHESIS = ("channel_base", "channel_max", "num_fp16_res", "conv_clamp", "fused_modconv_default")
FIXED = {
    "architecture": ("skip", "resnet"),
    "resample_filter": ([1, 3, 3, 1],),
    "kernel_size": (3,),
    "use_noise": (True,),
    "activation": ("lrelu",),
    "cmap_dim": (None,),
    "fp16_channels_last": (False, True),
}


def _known(kwargs: Mapping[str, Any], kept: tuple[str, ...], name: str) -> dict[str, Any]:
    """The kept arguments; PickleError for one that would make another network than ours."""
    for key, value in kwargs.items():
        if key not in kept and value not in FIXED.get(key, ()):
            raise PickleError(
                f"{name}: {shown(key)} = {shown(value)} makes a network that is not built yet;"
                " open an issue with the name of the checkpoint"
            )
        _bounded(key, value, name)
    return {key: value for key, value in kwargs.items() if key in kept}


def _section(kwargs: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    """A dictionary among the arguments, empty where it is absent."""
    value = kwargs.get(key)
    value = {} if value is None else value
    if not isinstance(value, dict):
        raise PickleError(f"{name}: {shown(key)} = {shown(value)} is no dictionary")
    return dict(value)


def _bounded(key: str, value: Any, name: str) -> None:
    most = MAX_LAYERS if key == "num_layers" else MAX_SIZE
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, int | float) and not 0 <= part <= most:
            raise PickleError(f"{name}: {shown(key)} = {shown(value)} is no size of a network")


def generator_kwargs(network: Network, name: str, plane_axes: Any = None) -> dict[str, Any]:
    """Arguments of our TriPlaneGenerator. PickleError for a generator that it is not.

    Sizes of the planes come from the backbone itself, which may have been swapped; rendering
    options are the live ones.
    """
    backbone, modules = network.backbone_kwargs, network.modules
    extra = sorted(set(modules) - G_MODULES)
    channels = backbone.get("img_channels", 96)
    if network.class_name != "TriPlaneGenerator" or extra or channels != 96:
        what = f"with {', '.join(extra)}" if extra else f"of {channels} plane channels"
        raise PickleError(
            f"{name}: a {network.class_name} {shown(what)} is read, but not built yet; EG3D's is"
        )
    axes = network.plane_axes or plane_axes
    if axes is None:
        raise PickleError(
            f"{name}: its renderer holds no plane_axes; say which with --axes"
            f" ({' or '.join(PLANE_SETS)})"
        )
    order = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")
    outer = {**dict(zip(order, network.init_args)), **network.init_kwargs}
    mapping = _section(outer, "mapping_kwargs", name)
    mapping |= _section(backbone, "mapping_kwargs", name)
    sr = _section(outer, "sr_kwargs", name)
    rendering = _section(network.attributes, "rendering_kwargs", name)
    for key in ("mapping_kwargs", "sr_kwargs", "rendering_kwargs"):
        outer.pop(key, None)
    head = modules.get("superresolution", "")
    if str(rendering.get("superresolution_module", "")).rpartition(".")[2] != head:
        rendering["superresolution_module"] = head
    inner = {k: v for k, v in backbone.items() if k in (*SYNTHESIS, *FIXED)}
    kept = (*order, "sr_num_fp16_res", *SYNTHESIS)
    for key, value in sr.items():
        _bounded(key, value, f"{name}.sr_kwargs")
    sides = {
        "plane_resolution": backbone.get("img_resolution", 256),
        "neural_rendering_resolution": network.attributes.get("neural_rendering_resolution", 64),
    }
    return {
        **_known({**outer, **inner}, kept, name),
        **_known(sides, tuple(sides), name),
        "mapping_kwargs": _known(mapping, MAPPING, f"{name}.mapping_kwargs"),
        "sr_kwargs": sr,
        "rendering_kwargs": rendering,
        "plane_axes": axes,
    }


def discriminator_kwargs(network: Network, name: str) -> dict[str, Any]:
    """Arguments of our DualDiscriminator. PickleError for a discriminator that it is not."""
    if network.class_name != "DualDiscriminator":
        raise PickleError(f"{name}: a {network.class_name} is read, but not built yet")
    order = ("c_dim", "img_resolution", "img_channels")
    kwargs = {**dict(zip(order, network.init_args)), **network.init_kwargs}
    rooms = {k: _section(kwargs, k, name) for k in ("block_kwargs", "epilogue_kwargs")}
    mapping = _known(_section(kwargs, "mapping_kwargs", name), MAPPING, f"{name}.mapping_kwargs")
    own = {k: v for k, v in kwargs.items() if k not in (*rooms, "mapping_kwargs")}
    kept = (*order, "channel_base", "channel_max", "num_fp16_res", "conv_clamp", "disc_c_noise")
    return {**_known(own, kept, name), **rooms, "mapping_kwargs": mapping}


def _build(kind: type[nn.Module], kwargs: dict[str, Any], network: Network, name: str) -> nn.Module:
    """The module without memory for its numbers, checked against the tensors of the file."""
    axes = kwargs.get("plane_axes")
    try:
        with torch.device("meta"):
            module = kind(**kwargs)
        if axes is not None:
            module.plane_axes = torch.as_tensor(axes, dtype=torch.float32)
            torch.linalg.inv(module.plane_axes)
    except Exception as error:  # whatever arguments of the wrong kind make of constructors
        raise PickleError(f"{name}: can't be built from its arguments: {error}") from error
    mine = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    theirs = {k: v.size for k, v in network.stored.items() if k != LABEL_STD}
    wrong = [k for k in {**mine, **theirs} if mine.get(k) != theirs.get(k)]
    if wrong:
        k = wrong[0]
        raise PickleError(
            f"{name}: {len(wrong)} tensors do not fit its arguments, the first {k}:"
            f" {theirs.get(k, 'missing')} in the file, {mine.get(k, 'none')} expected"
        )
    return module


def build_networks(snapshot: Snapshot, plane_axes: Any = None) -> dict[str, Any]:
    """Our modules for G, D and G_ema, those that the file has, on the meta device.

    plane_axes: for a file whose renderer holds none, as in PLANE_SETS. PickleError where a network
    is none of ours or does not fit its arguments.
    """
    built: dict[str, Any] = {}
    for key in NETWORKS:
        network = snapshot.networks.get(key)
        if network is None:
            continue
        name = f"{snapshot.path}: {key}"
        if key == "D":
            built[key] = _build(
                DualDiscriminator, discriminator_kwargs(network, name), network, name
            )
        else:
            kwargs = generator_kwargs(network, name, plane_axes)
            built[key] = _build(TriPlaneGenerator, kwargs, network, name)
    if "G_ema" not in built:
        raise PickleError(f"{snapshot.path}: has no G_ema, the generator that is scored and tuned")
    G, G_ema = built.get("G", built["G_ema"]), built["G_ema"]
    if not torch.equal(G.plane_axes, G_ema.plane_axes) or _frame(G) != _frame(G_ema):
        raise PickleError(f"{snapshot.path}: G and G_ema are of different architectures")
    return built


def _frame(G: TriPlaneGenerator) -> dict[str, Any]:
    """What G and G_ema must share; rendering options are live and may differ."""
    return {k: v for k, v in G.init_kwargs.items() if k != "rendering_kwargs"}


def _fill(module: Any, network: Network) -> Any:
    state = {k: v.float() for k, v in network.state().items() if k != LABEL_STD}
    module.load_state_dict(state, strict=True, assign=True)
    return module


def load_pickle(path: str | Path, plane_axes: Any = None) -> GANCheckpoint:
    """G, D and G_ema of an EG3D snapshot pickle in float32 on the CPU; nothing in it is executed.

    plane_axes as in `build_networks`. Raises PickleError where the file can't be read or is no
    EG3D generator, and where G or D is missing (`load_pickle_generator` reads such files).
    """
    snapshot = read_snapshot(path)
    built = build_networks(snapshot, plane_axes)
    missing = [name for name in NETWORKS if name not in built]
    if missing:
        raise PickleError(f"{path}: has no {' and no '.join(missing)}; its G_ema can be scored")
    G, D, G_ema = (_fill(built[name], snapshot.networks[name]) for name in NETWORKS)
    meta = {"source": Path(path).name}
    return GANCheckpoint(
        G.requires_grad_(True), D.requires_grad_(True), G_ema.eval().requires_grad_(False), meta
    )


def load_pickle_generator(path: str | Path, plane_axes: Any = None) -> TriPlaneGenerator:
    """G_ema of an EG3D snapshot pickle, in eval mode without gradients. Errors as `load_pickle`."""
    snapshot = read_snapshot(path)
    G_ema = build_networks(snapshot, plane_axes)["G_ema"]
    return _fill(G_ema, snapshot.networks["G_ema"]).eval().requires_grad_(False)


def axes_name(plane_axes: Tensor) -> str:
    """The planes by the world axes along their width and height, such as `XY, XZ, ZX`."""
    rows = plane_axes.abs().argmax(dim=2).tolist()
    return ", ".join("XYZ"[wide] + "XYZ"[high] for wide, high, _ in rows)


@dataclass(frozen=True)
class Conversion:
    """What was converted: sizes for people, and what stayed behind."""

    folder: Path
    class_name: str
    img_resolution: int
    plane_resolution: int
    plane_axes: str
    parameters: dict[str, int]
    left_out: list[str]


def convert_pickle(path: str | Path, folder: str | Path, plane_axes: Any = None) -> Conversion:
    """Write an EG3D snapshot pickle as a checkpoint folder, whole or not at all.

    Tensors keep the dtypes of the file. A pickle with G_ema only becomes a folder that can be
    scored and not trained on. Raises PickleError as `load_pickle`, CheckpointError where `folder`
    holds anything but an earlier conversion of the same file, and OSError where it can't be
    written.
    """
    path, folder = Path(path), Path(folder)
    snapshot = read_snapshot(path)
    built = build_networks(snapshot, plane_axes)
    source = sha256_file(path)
    left_out = [
        *(f"{n} ({len(w.stored)} tensors)" for n, w in snapshot.networks.items() if n not in built),
        *snapshot.left_out,
    ]
    if "G" in built and built["G"].rendering_kwargs != built["G_ema"].rendering_kwargs:
        left_out.append("rendering_kwargs of G, which differ from those of G_ema")
    if not is_conversion(folder, source, _source_of):
        meta = {
            "source": path.name,
            "source_sha256": source,
            "classes": {n: w.class_name for n, w in snapshot.networks.items()},
            "plane_axes": axes_name(built["G_ema"].plane_axes),
            "training_set_kwargs": snapshot.training_set_kwargs,
            "left_out": left_out,
        }
        write_folder_with(folder, lambda unfinished: _write(snapshot, built, unfinished, meta))
    G = built["G_ema"]
    return Conversion(
        folder,
        snapshot.networks["G_ema"].class_name,
        G.img_resolution,
        G.init_kwargs["plane_resolution"],
        axes_name(G.plane_axes),
        {name: sum(p.numel() for p in module.parameters()) for name, module in built.items()},
        left_out,
    )


def _write(snapshot: Snapshot, built: dict[str, Any], folder: Path, meta: dict[str, Any]) -> None:
    digests = {}
    for name in built:
        file = folder / f"{name}.safetensors"
        save_file(snapshot.networks[name].state(), file)
        open_to_umask(file)
        digests[file.name] = sha256_file(file)
    meta = {**meta, "sha256": digests}
    config = config_of(built["G_ema"], built.get("D"), meta, tuple(built))
    (folder / "config.json").write_text(json.dumps(config, indent=1, allow_nan=False) + "\n")


def _source_of(folder: Path) -> str:
    return json.loads((folder / "config.json").read_text())["meta"]["source_sha256"]
