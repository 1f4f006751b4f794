"""The released reward bundle, read as numbers: `best_model.pt` and its training's configuration."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from sigmaflow.atomic import write_folder_with, write_json
from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.fields.slab import UPPER
from sigmaflow.files import sha256_file
from sigmaflow.generators.pickles import PickleError
from sigmaflow.generators.pickles.files import is_conversion
from sigmaflow.generators.pickles.torchfile import read_torch_file
from sigmaflow.rewards.model import RewardConfig, RewardModel

WEIGHTS = "best_model.pt"
CONFIGS = ("run_config.yaml", "release_config.yaml")  # documented is the second, read the first
HEADS = {
    "bt": "scalar_rwd_head_BT", "scalar": "scalar_rwd_head", "pairs": "scalar_rwd_head_pairs",
}  # fmt: skip
MAX_CONFIG = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """A reward and where it comes from: plain JSON values, with the files' sha256."""

    reward: RewardModel
    provenance: dict[str, Any]


def is_bundle(folder: str | Path) -> bool:
    """Whether a folder has the two files of a reward bundle."""
    folder = Path(folder)
    return (folder / WEIGHTS).is_file() and any((folder / c).is_file() for c in CONFIGS)


def read_bundle(folder: str | Path) -> Bundle:
    """The reward of a released bundle, on the CPU and in eval mode.

    Sizes of the network come from the weights; the grid is the released one of 256 with the slab
    of section 3.1, the upper bound what the configuration says, 100 where it does not. Classes that
    the configuration names are not made. Raises PickleError (a ValueError) naming the file.
    """
    folder = Path(folder)
    found = [folder / c for c in CONFIGS if (folder / c).is_file()]
    if not is_bundle(folder):
        raise PickleError(f"{folder}: no {WEIGHTS} with {' or '.join(CONFIGS)}; unzip the release")
    said = _read_config(found[0])
    dtypes = resolve(said, "data.dset_dict.selected_dtypes")
    kind = dtypes[0] if isinstance(dtypes, list) and dtypes else None
    if kind not in (None, "sigma_field_256"):
        raise PickleError(f"{found[0]}: a reward of {kind!r}; that of sigma_field_256 is read")
    upper = resolve(said, "data.augmentations.upper_norm")
    if upper is not None and not (_is_number(upper) and upper > 0):
        raise PickleError(f"{found[0]}: data.augmentations.upper_norm is {upper!r}, no number")
    state = read_torch_file(folder / WEIGHTS)
    path = folder / WEIGHTS
    try:
        config = RewardConfig(
            grid=Grid(resolution=256, kind="released", pads=SLAB_ENTIRE),
            upper=UPPER if upper is None else float(upper),
            **network_sizes(state),
        )
        with torch.device("meta"):  # sizes of a damaged file claim no memory
            reward = RewardModel(config)
        floats = {name: value.float() for name, value in state.items()}
        reward.load_state_dict(floats, strict=True, assign=True)
    except (KeyError, ValueError, RuntimeError, IndexError, TypeError) as error:
        raise PickleError(f"{path}: not the released reward network: {error}") from error
    provenance = {
        "weights": WEIGHTS,
        "config": found[0].name,
        "sha256": {f.name: sha256_file(f) for f in (path, found[0])},
        "upper_norm_in_config": upper,
        "dtype_in_config": kind,
    }
    return Bundle(reward.eval(), provenance)


def network_sizes(state: dict[str, Tensor]) -> dict[str, Any]:
    """Fields of RewardConfig as the shapes of a released state dict tell them.

    Raises KeyError or ValueError where it is another network's.
    """
    count = sum(
        bool(re.fullmatch(r"Conv3DModule\.encoders\.\d+\.basic_module\.conv2\.conv\.weight", k))
        for k in state
    )
    maps = (f"Conv3DModule.encoders.{i}.basic_module.conv2.conv.weight" for i in range(count))
    return dict(
        f_maps=tuple(len(state[name]) for name in maps),
        feature_size=state["MLP.input_layer.weight"].shape[1],
        trunk=_hidden(state, "MLP"),
        trunk_out=len(state["MLP.output_layer.weight"]),
        head=_hidden(state, HEADS["scalar"]),
        heads=tuple(h for h, name in HEADS.items() if f"{name}.input_layer.weight" in state),
    )


def _hidden(state: dict[str, Tensor], name: str) -> tuple[int, int]:
    first, second = f"{name}.input_layer.weight", f"{name}.hidden_layers.0.0.weight"
    return len(state[first]), len(state[second])


def convert_bundle(folder: str | Path, target: str | Path) -> Bundle:
    """Write a bundle's reward as `reward.safetensors` and `.json` into `target`, whole or not.

    `provenance.json` beside them says where it comes from. Raises PickleError as `read_bundle`,
    CheckpointError where `target` holds anything but a conversion of the same weights.
    """
    target = Path(target)
    bundle = read_bundle(folder)

    def write(unfinished: Path) -> None:
        bundle.reward.save(unfinished / "reward.safetensors")
        written = sha256_file(unfinished / "reward.safetensors")
        outputs = {"sha256_written": {"reward.safetensors": written}}
        write_json(unfinished / "provenance.json", {**bundle.provenance, **outputs})

    if not is_conversion(target, bundle.provenance["sha256"][WEIGHTS], _source_of):
        write_folder_with(target, write)
    return bundle


def _source_of(folder: Path) -> str:
    return json.loads((folder / "provenance.json").read_text())["sha256"][WEIGHTS]


# Configurations


def _read_config(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_CONFIG:
            raise PickleError(f"{path}: larger than any configuration; unzip the release again")
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (
        OSError,
        UnicodeDecodeError,
        yaml.YAMLError,
        RecursionError,
        ValueError,
        ArithmeticError,
    ) as error:
        if isinstance(error, PickleError):
            raise
        raise PickleError(f"{path}: can't be read ({str(error)[:200]}); unzip it again") from error
    if not isinstance(said, dict):
        raise PickleError(f"{path}: no configuration; unzip the release again")
    return said


def resolve(said: Any, path: str, depth: int = 8) -> Any:
    """The value at a dotted path, None where there is none.

    `${a.b}` is the value there and `${multiply:a,b}` a product of numbers; any other
    interpolation stays the text it is.
    """
    value = said
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return _resolved(said, value, depth)


def _resolved(said: Any, value: Any, depth: int) -> Any:
    if not isinstance(value, str) or depth == 0:
        return value
    if match := re.fullmatch(r"\$\{([\w.]+)\}", value):
        return resolve(said, match[1], depth - 1)
    if match := re.fullmatch(r"\$\{multiply:([^,]+),([^,]+)\}", value):
        factors = [_factor(said, part.strip(), depth - 1) for part in match.groups()]
        if all(_is_number(f) for f in factors):
            return factors[0] * factors[1]
    return value


def _factor(said: Any, text: str, depth: int) -> Any:
    try:
        return float(text)
    except ValueError:
        return _resolved(said, text, depth)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
