"""Generators on disk: safetensors for numbers, JSON for how to build the classes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from .discriminator import DualDiscriminator
from .triplane import TriPlaneGenerator

FORMAT = 1
NETWORKS = ("G", "D", "G_ema")
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


def _config(checkpoint: GANCheckpoint) -> dict[str, Any]:
    g = checkpoint.G_ema
    return {
        "format": FORMAT,
        "G": {
            **g.init_kwargs,
            "rendering_kwargs": g.rendering_kwargs,
            "plane_axes": g.plane_axes.tolist(),
            "neural_rendering_resolution": g.neural_rendering_resolution,
        },
        "D": checkpoint.D.init_kwargs,
        "meta": checkpoint.meta,
    }


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
    (folder / "config.json").write_text(json.dumps(_config(checkpoint), indent=1) + "\n")


def digest(folder: str | Path) -> str:
    """sha256 over the files of a checkpoint folder, names included."""
    h = hashlib.sha256()
    for name in (*(f"{n}.safetensors" for n in NETWORKS), "config.json"):
        path = Path(folder) / name
        if not path.is_file():
            held = ", ".join(NETWORKS)
            raise CheckpointError(f"{path}: missing; a checkpoint folder holds {held}")
        h.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return h.hexdigest()


def read_config(folder: str | Path) -> dict[str, Any]:
    """The parsed config.json of a checkpoint folder; CheckpointError where it can't be used."""
    path = resolve(folder) / "config.json"
    try:
        config = json.loads(path.read_text())
    except OSError as e:
        raise CheckpointError(f"{path}: {e.strerror}; give the folder of a checkpoint") from e
    except ValueError as e:
        said = f"{path}: not JSON ({e}); convert or copy the checkpoint again"
        raise CheckpointError(said) from e
    if config.get("format") != FORMAT:
        found = config.get("format")
        raise CheckpointError(f"{path}: format {found!r}, this version reads {FORMAT}")
    return config


def _load_into(module: nn.Module, path: Path) -> None:
    try:
        state = load_file(path)
    except Exception as e:  # safetensors has one error type of its own, and OSError
        raise CheckpointError(f"{path}: unreadable ({e}); copy the checkpoint again") from e
    state.pop("dataset_label_std", None)  # added by EG3D's training loop, used by nothing here
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
    """Read a checkpoint folder, or `mini`. Nothing in it is executed."""
    folder = resolve(source)
    checkpoint = build(read_config(folder))
    for name in NETWORKS:
        _load_into(getattr(checkpoint, name), folder / f"{name}.safetensors")
    return checkpoint


def load_generator(source: str | Path) -> TriPlaneGenerator:
    """G_ema of a checkpoint folder, or of `mini`, in eval mode without gradients."""
    folder = resolve(source)
    G = TriPlaneGenerator(**read_config(folder)["G"])
    _load_into(G, folder / "G_ema.safetensors")
    return G.eval().requires_grad_(False)
