"""Files from outside that a sweep names, each looked through on its own before any work."""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

from sigmaflow.jsontext import loads, read_json
from sigmaflow.rewards.config import RewardConfig

# What a validator's context may ask to be left out: looking at outside files (a prefetch looks
# itself), or building networks (a plan does without torch).
NO_FILES, NO_NETWORKS = {"files": False}, {"networks": False}
SCORED_FILES = ("config.json", "G_ema.safetensors")
MOST_HEADER = 16 * 2**20  # bytes of a safetensors header
CHECKPOINT_FILES = (*SCORED_FILES, "G.safetensors", "D.safetensors")


def left_out(info: ValidationInfo, what: str) -> bool:
    """Whether the context asks to do without."""
    return bool(info.context) and not info.context.get(what, True)


def _checkpoint(value: str, info: ValidationInfo) -> str:
    return value if left_out(info, "files") else _holds(value, CHECKPOINT_FILES)


def _scored(value: str, info: ValidationInfo) -> str:
    return value if left_out(info, "files") else _holds(value, SCORED_FILES)


def _holds(value: str, files: tuple[str, ...]) -> str:
    """A checkpoint with these files; ValueError with the remedy where some are missing."""
    if value == "mini":
        return value
    if value.endswith(".pkl"):
        raise ValueError(f"{value!r} is a pickle; convert it once: python -m jobs.convert {value}"
                         f" {Path(value).stem}, and give that folder")
    missing = [name for name in files if not (Path(value) / name).is_file()]
    if missing and not set(missing) & set(SCORED_FILES):
        raise ValueError(f"{value!r} can be scored but not trained on (no {', '.join(missing)} in"
                         " it); convert a full snapshot, one that holds G and D too")
    if missing:
        raise ValueError(f"{value!r} is no checkpoint folder (no {', '.join(missing)} in it); give"
                         " `mini` or the folder of a converted checkpoint")
    checkpoint_config(value, "D" in "".join(files[2:]))
    held = {name: whole_safetensors(Path(value) / name) for name in files[1:]}
    average, trained = "G_ema.safetensors", "G.safetensors"
    if held.get(trained, held.get(average)) != held.get(average):
        raise ValueError(f"{Path(value) / trained}: holds other tensors than its average,"
                         f" {average}; copy both of one snapshot again")  # fmt: skip
    return value


def checkpoint_config(value: str, trained: bool) -> dict[str, Any]:
    """config.json of a checkpoint folder, looked at without torch: the format, the arguments of G,
    and of D where it is ``trained`` on. Raises ValueError with file, key and remedy."""
    path = Path(value) / "config.json"
    try:
        config = read_json(path)
    except ValueError as error:
        raise ValueError(f"{error}; convert or copy the checkpoint again") from error
    again = "convert the checkpoint again: python -m jobs.convert"
    if not isinstance(config, dict) or config.get("format") != 1:
        raise ValueError(f"{path}: format is not 1; {again}")
    sides = {}
    for name in ("G", "D") if trained else ("G",):
        given = config.get(name)
        if not isinstance(given, dict):
            raise ValueError(f"{path}: holds no arguments of {name}; {again}")
        sides[name] = given.get("img_resolution")
        if type(sides[name]) is not int or not 1 <= sides[name] <= 4096:
            raise ValueError(f"{path}: {name}.img_resolution is {sides[name]!r}; {again}")
    if len(set(sides.values())) > 1:
        raise ValueError(f"{path}: G makes pictures of {sides['G']} pixels and D judges those of"
                         f" {sides['D']}; {again}")  # fmt: skip
    return config


def whole_safetensors(path: Path) -> dict[str, list[int]]:
    """Names and shapes of a file's tensors, by its header.

    Raises ValueError where the file or a tensor is not as long as the header says.
    """
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MOST_HEADER:
                raise ValueError(f"a header of {length} bytes")
            header = loads(file.read(length))
        header.pop("__metadata__", None)
        ends = [v["data_offsets"][1] for v in header.values()]
        found, told = path.stat().st_size, 8 + length + max(ends, default=0)
        shapes = {k: v["shape"] for k, v in header.items()}
        for name, one in header.items():
            begin, end = one["data_offsets"]
            bits = int("".join(c for c in one["dtype"].split("_")[0] if c.isdigit()) or 8)
            if (end - begin) * 8 != math.prod(one["shape"]) * bits:
                told = f"{one['shape']} of {one['dtype']}"
                raise ValueError(f"{name}: {end - begin} bytes for {told}")
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError,
            struct.error) as error:  # fmt: skip
        raise ValueError(f"{path}: no whole safetensors file ({error}); copy it again") from error
    if found != told:
        raise ValueError(f"{path}: {found} bytes, of {told} that its header tells; copy it again")
    return shapes


def _images(value: str, info: ValidationInfo) -> str:
    if value == "mini" or left_out(info, "files"):
        return value
    if not Path(value).exists():
        raise ValueError(f"{value!r} is no file; give `mini`, or a zip or folder in EG3D's layout"
                         " (images and dataset.json)")
    picture_side(value)
    return value


def picture_side(value: str) -> int:
    """Pixels a side of an image set, checked as far as its index and headers tell. ValueError names
    file and member."""
    stat = Path(value).stat()
    return _picture_side(value, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _picture_side(value: str, *_: int) -> int:
    from sigmaflow.datasets.index import ImageIndex

    index = ImageIndex(value)
    try:
        return index.side()
    finally:
        index.close()


def _file(value: str, info: ValidationInfo) -> str:
    if not left_out(info, "files") and not Path(value).is_file():
        raise ValueError(f"{value!r} is no file; give the path of an existing one")
    return value


def _rankings(value: str, info: ValidationInfo) -> str:
    from sigmaflow.preferences.orders import Orders, read_preferences

    if left_out(info, "files"):
        return value
    found = read_preferences(_file(value, info))
    orders = isinstance(found, Orders)
    count, what = (len(set(found.questions.tolist())), "questions") if orders else (
        len(found), "pairs")
    if count < 4:  # training, validation and test need one each
        raise ValueError(f"{value!r} has {count} {what}; give at least 4")
    return value


def _reward(value: str, info: ValidationInfo) -> str:
    if left_out(info, "files"):
        return value
    for path in (Path(value), Path(value).with_suffix(".json")):
        if not path.is_file():
            raise ValueError(f"{str(path)!r} is no file; give the `reward.safetensors` of a reward"
                             " stage, with its `.json` beside it")
    whole_safetensors(Path(value))
    if network_of(value) is None:
        raise ValueError(f"{str(Path(value).with_suffix('.json'))!r} is no record of a reward; give"
                         " the one that lay beside it")  # fmt: skip
    return value


def network_of(reward: str) -> RewardConfig | None:
    """Settings of a trained reward by its `.safetensors`; None where they cannot be read."""
    try:
        said = read_json(Path(reward).with_suffix(".json"))
        return RewardConfig.model_validate(said["config"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ticks(value: str, info: ValidationInfo) -> str:
    if left_out(info, "files"):
        return value
    from pyarrow import ArrowException, parquet

    lacks = {"images_seen", "seed", "reward"}
    try:
        lacks -= set(parquet.read_schema(_file(value, info)).names)
    except (OSError, ArrowException) as error:
        raise ValueError(f"{value!r} is no Parquet file ({error}); give the `ticks.parquet` of a"
                         " fine-tune") from error
    if lacks:
        raise ValueError(f"{value!r} has no column {', '.join(sorted(lacks))}; give the"
                         " `ticks.parquet` of a fine-tune")
    return value


Checkpoint = Annotated[str, AfterValidator(_checkpoint)]
ScoredCheckpoint = Annotated[str, AfterValidator(_scored)]
"""A checkpoint of which only G_ema is used: G and D may be missing."""
Images = Annotated[str, AfterValidator(_images)]
File = Annotated[str, AfterValidator(_file)]
RankingsFile = Annotated[str, AfterValidator(_rankings)]
RewardFile = Annotated[str, AfterValidator(_reward)]
Ticks = Annotated[str, AfterValidator(_ticks)]
