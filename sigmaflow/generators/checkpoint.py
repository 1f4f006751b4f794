"""Generators on disk: safetensors for numbers, JSON for how to build the classes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sigmaflow.files import open_to_umask
from sigmaflow.jsontext import read_json

from .discriminator import DualDiscriminator
from .triplane import TriPlaneGenerator

FORMAT = 1
NETWORKS = ("G", "D", "G_ema")
LABEL_STD = "dataset_label_std"  # a buffer of EG3D's training loop, used by nothing here
MOST_LAYERS, MOST_SIZE = 100, 2**20  # of a mapping network; of any other argument
MINI = Path(__file__).parent / "weights" / "mini"


class CheckpointError(ValueError):
    """A generator folder that can't be used; the text says which file and what to do."""


@dataclass
class GANCheckpoint:
    """Generator, discriminator and the moving average of the generator.

    `meta` is free-form provenance; `latent_cameras` [n, 25] are camera labels to condition and
    render on where no image set is at hand.
    """

    G: TriPlaneGenerator
    D: DualDiscriminator
    G_ema: TriPlaneGenerator
    meta: dict[str, Any] = field(default_factory=dict)


def resolve(source: str | Path) -> Path:
    """Folder of a checkpoint; the word `mini` names the one that ships with the package."""
    return MINI if str(source) == "mini" else Path(source)


def config_of(
    G_ema: TriPlaneGenerator,
    D: DualDiscriminator | None,
    meta: Mapping[str, Any],
    networks: Sequence[str] = NETWORKS,
) -> dict[str, Any]:
    """What config.json says of these networks; `networks` are those that the folder holds."""
    config = {
        "format": FORMAT,
        "G": {
            **G_ema.init_kwargs,
            "rendering_kwargs": G_ema.rendering_kwargs,
            "plane_axes": G_ema.plane_axes.tolist(),
            "neural_rendering_resolution": G_ema.neural_rendering_resolution,
        },
        "D": None if D is None else D.init_kwargs,
        "meta": dict(meta),
    }
    if set(networks) != set(NETWORKS):
        config["networks"] = list(networks)
    return config


def save_gan(checkpoint: GANCheckpoint, folder: str | Path, dtype: torch.dtype | None = None):
    """Write `{G,D,G_ema}.safetensors` and `config.json` into `folder` (created).

    dtype: cast of floating tensors for shipping, e.g. torch.float16; they load as float32.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        state = getattr(checkpoint, name).state_dict()
        state = {k: v.detach().to("cpu", dtype or v.dtype).contiguous() for k, v in state.items()}
        save_file(state, folder / f"{name}.safetensors")
        open_to_umask(folder / f"{name}.safetensors")
    config = config_of(checkpoint.G_ema, checkpoint.D, checkpoint.meta)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def networks_in(folder: str | Path) -> tuple[str, ...]:
    """Which of G, D and G_ema a checkpoint folder holds; G_ema always."""
    config = read_config(folder)
    held = config.get("networks", NETWORKS)
    if not (isinstance(held, list | tuple) and "G_ema" in held and set(held) <= set(NETWORKS)):
        path = resolve(folder) / "config.json"
        raise CheckpointError(f"{path}: networks {held!r} must name G_ema, and of {NETWORKS} only")
    return tuple(name for name in NETWORKS if name in held)


def digest(folder: str | Path) -> str:
    """sha256 over the files of a checkpoint folder, names included."""
    h = hashlib.sha256()
    networks = networks_in(folder) if (Path(folder) / "config.json").is_file() else NETWORKS
    for name in (*(f"{n}.safetensors" for n in networks), "config.json"):
        path = Path(folder) / name
        if not path.is_file():
            held = ", ".join(networks)
            raise CheckpointError(f"{path}: missing; a checkpoint folder holds {held}")
        h.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return h.hexdigest()


def read_config(folder: str | Path) -> dict[str, Any]:
    """The parsed config.json of a checkpoint folder; CheckpointError where it can't be used."""
    path = resolve(folder) / "config.json"
    try:
        config = read_json(path)
    except ValueError as e:
        said = f"{e}; give the folder of a checkpoint, or convert or copy it again"
        raise CheckpointError(said) from e
    found = config.get("format") if isinstance(config, dict) else None
    if found != FORMAT:
        raise CheckpointError(f"{path}: format {found!r}, this version reads {FORMAT}")
    return config


def read_tensors(path: Path) -> dict[str, Tensor]:
    """One network's file as it is; CheckpointError where it can't be read."""
    try:
        return load_file(path)
    except Exception as e:  # safetensors has one error type of its own, and OSError
        raise CheckpointError(f"{path}: unreadable ({e}); copy the checkpoint again") from e


def _check_buildable(config: Mapping[str, Any], name: str, folder: Path) -> None:
    """Raise CheckpointError where a network's arguments are not those of its class, or ask for more
    than its file can fill. Allocates no weights."""
    path, key = folder / "config.json", "D" if name == "D" else "G"
    kind = DualDiscriminator if key == "D" else TriPlaneGenerator
    again = "convert or copy the checkpoint again"
    kwargs = config.get(key)
    if not isinstance(kwargs, dict):
        raise CheckpointError(f"{path}: holds no arguments of {key}; {again}")
    if said := _excess(kwargs, key):
        raise CheckpointError(f"{path}: {said}; {again}")
    try:
        with torch.device("meta"):
            numbers = sum(p.numel() for p in kind(**kwargs).parameters())
    except Exception as error:  # whatever a class says of arguments that nobody checked
        said = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{path}: {key} can't be built ({said}); {again}") from error
    file = folder / f"{name}.safetensors"
    if file.is_file() and numbers > file.stat().st_size:
        raise CheckpointError(
            f"{path}: {key} has {numbers} weights, more than {file} can hold; {again}"
        )


def _excess(value: Any, key: str, depth: int = 0) -> str:
    """An argument that no network has; empty where there is none."""
    most = MOST_LAYERS if key.endswith("num_layers") else MOST_SIZE
    if isinstance(value, (int, float)) and not abs(value) <= most:
        return f"{key} is {str(value)[:40]}, of {most} at most"
    if isinstance(value, (dict, list)) and (depth > 8 or len(value) > 1000):
        return f"{key} is nested deeper or longer than arguments are"
    pairs = (
        value.items()
        if isinstance(value, dict)
        else (enumerate(value) if isinstance(value, list) else ())
    )
    return next((said for k, v in pairs if (said := _excess(v, f"{key}.{k}", depth + 1))), "")


def _load_into(module: nn.Module, path: Path) -> None:
    state = read_tensors(path)
    state.pop(LABEL_STD, None)
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f"{path}: {name} holds NaN or infinity, so the network draws"
                " nothing; take a checkpoint from before its training diverged"
            )
    try:
        module.load_state_dict({k: v.float() for k, v in state.items()}, strict=True)
    except RuntimeError as e:
        raise CheckpointError(f"{path}: does not fit its config.json: {e}") from e


def build(config: dict[str, Any]) -> GANCheckpoint:
    """Fresh networks from a parsed config.json; weights come from torch's generator."""
    G = TriPlaneGenerator(**config["G"])
    G_ema = TriPlaneGenerator(**config["G"])
    G_ema.load_state_dict(G.state_dict())
    D = DualDiscriminator(**config["D"])
    return GANCheckpoint(G, D, G_ema.eval().requires_grad_(False), config.get("meta", {}))


def load_gan(source: str | Path) -> GANCheckpoint:
    """Read a checkpoint folder, or `mini`. Nothing in it is executed.

    Raises CheckpointError where it is damaged, or holds G_ema only: that can be scored
    (`load_generator`) but not trained on.
    """
    folder = resolve(source)
    missing = [name for name in NETWORKS if name not in networks_in(folder)]
    if missing:
        raise CheckpointError(
            f"{folder}: has no {' and no '.join(missing)}, which training needs; its G_ema can be"
            " scored. Convert a full snapshot to train on it"
        )
    config = read_config(folder)
    for name in NETWORKS:
        _check_buildable(config, name, folder)
    checkpoint = build(config)
    for name in NETWORKS:
        _load_into(getattr(checkpoint, name), folder / f"{name}.safetensors")
    return checkpoint


def load_generator(source: str | Path) -> TriPlaneGenerator:
    """G_ema of a checkpoint folder, or of `mini`, in eval mode without gradients."""
    folder = resolve(source)
    config = read_config(folder)
    _check_buildable(config, "G_ema", folder)
    G = TriPlaneGenerator(**config["G"])
    _load_into(G, folder / "G_ema.safetensors")
    return G.eval().requires_grad_(False)
