"""The way back: our weights under EG3D's names, for code that has NVIDIA's classes."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sigmaflow.atomic import write_with
from sigmaflow.files import open_to_umask

from .checkpoint import LABEL_STD, CheckpointError, networks_in, read_tensors, resolve


def export_state(
    source: nn.Module | str | Path, network: str = "G_ema", label_std: bool = False
) -> dict[str, Tensor]:
    """State dict that EG3D's class of the same arguments takes with strict=True, on the CPU.

    source: one of our modules, or a checkpoint folder (or `mini`), of which `network` is taken.
    It has every buffer of the public class; plane axes are no part of its state. label_std: keep
    the buffer `dataset_label_std`, which EG3D's training adds and a fresh class does not have.
    Raises CheckpointError where the folder has no such network.
    """
    if isinstance(source, nn.Module):
        state = {k: v.detach().cpu().contiguous() for k, v in source.state_dict().items()}
    else:
        folder = resolve(source)
        held = networks_in(folder)
        if network not in held:
            raise CheckpointError(f"{folder}: has no {network}; it holds {', '.join(held)}")
        state = read_tensors(folder / f"{network}.safetensors")
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in state.items()
        if label_std or name != LABEL_STD
    }


def write_state(state: dict[str, Tensor], path: str | Path) -> None:
    """Write an exported state atomically: `.safetensors`, or `.pt` as a plain dict of tensors.

    Raises ValueError for another ending, OSError where it can't be written.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        write_with(path, lambda temporary: _save(state, temporary))
    elif path.suffix == ".pt":
        write_with(path, lambda temporary: torch.save(state, temporary))
    else:
        raise ValueError(f"{path}: give a name that ends in .safetensors or .pt")


def _save(state: dict[str, Tensor], path: Path) -> None:
    save_file(state, path)
    open_to_umask(path)
