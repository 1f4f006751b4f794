"""Files from outside that a sweep names, each looked through on its own before any work."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

from jobs.sweep.weights import check_finite, check_shapes, whole_safetensors
from sigmaflow.jsontext import loads, read_json
from sigmaflow.rewards.config import RewardConfig

# What a validator's context may ask to be left out: looking at outside files (a prefetch looks
# itself), or building networks (a plan does without torch).
NO_FILES, NO_NETWORKS = {"files": False}, {"networks": False}
SCORED_FILES = ("config.json", "G_ema.safetensors")
CURVE_STEPS = ("kimg", "step", "images_seen")
MOST_TEXT = 64 * 2**20  # of a curve's lines of JSON
CHECKPOINT_FILES = (*SCORED_FILES, "G.safetensors", "D.safetensors")


def left_out(info: ValidationInfo, what: str) -> bool:
    """Whether the context asks to do without."""
    return bool(info.context and not info.context.get(what, True))


def _checkpoint(value: str, info: ValidationInfo) -> str:
    return value if left_out(info, "files") else _holds(value, CHECKPOINT_FILES)


def _scored(value: str, info: ValidationInfo) -> str:
    return value if left_out(info, "files") else _holds(value, SCORED_FILES)


def _holds(value: str, files: tuple[str, ...]) -> str:
    """A checkpoint with these files; ValueError with the remedy where some are missing."""
    if value == "mini":
        return value
    if value.endswith(".pkl"):
        raise ValueError(
            f"{value!r} is a pickle; convert it once: python -m jobs.convert {value}"
            f" {Path(value).stem}, and give that folder"
        )
    missing = [name for name in files if not (Path(value) / name).is_file()]
    if missing and not set(missing) & set(SCORED_FILES):
        raise ValueError(
            f"{value!r} can be scored but not trained on (no {', '.join(missing)} in"
            " it); convert a full snapshot, one that holds G and D too"
        )
    if missing:
        raise ValueError(
            f"{value!r} is no checkpoint folder (no {', '.join(missing)} in it); give"
            " `mini` or the folder of a converted checkpoint"
        )
    check_checkpoint(Path(value), files)
    return value


def check_checkpoint(folder: Path, files: tuple[str, ...]) -> None:
    """Raises ValueError where config.json, or one of the further ``files`` of a checkpoint folder,
    is not whole, they do not fit each other, or a weight is no number."""
    config = checkpoint_config(str(folder), len(files) > len(SCORED_FILES))
    found = {name.partition(".")[0]: whole_safetensors(folder / name) for name in files[1:]}
    check_shapes(folder, config, found)
    for name in files[1:]:
        check_finite(folder / name)


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
    sides: dict[str, Any] = {}
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


def _images(value: str, info: ValidationInfo) -> str:
    if value == "mini" or left_out(info, "files"):
        return value
    if not Path(value).exists():
        raise ValueError(
            f"{value!r} is no file; give `mini`, or a zip or folder in EG3D's layout"
            " (images and dataset.json)"
        )
    picture_side(value)
    return value


def picture_side(value: str) -> int:
    """Pixels a side of an image set, checked as far as its index and headers tell. ValueError names
    file and member."""
    return _looked_at(value)[0]


def picture_count(value: str) -> int:
    """How many pictures an image set holds, checked likewise."""
    return _looked_at(value)[1]


def _looked_at(value: str) -> tuple[int, int]:
    stat = Path(value).stat()
    return _side_and_count(value, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _side_and_count(value: str, *_: int) -> tuple[int, int]:
    from sigmaflow.datasets.index import ImageIndex

    index = ImageIndex(value)
    try:
        return index.side(), len(index.names)
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
    count, what = (
        (len(set(found.questions.tolist())), "questions")
        if isinstance(found, Orders)
        else (len(found), "pairs")
    )
    if count < 4:  # training, validation and test need one each
        raise ValueError(f"{value!r} has {count} {what}; give at least 4")
    return value


def _reward(value: str, info: ValidationInfo) -> str:
    if left_out(info, "files"):
        return value
    for path in (Path(value), Path(value).with_suffix(".json")):
        if not path.is_file():
            raise ValueError(
                f"{str(path)!r} is no file; give the `reward.safetensors` of a reward"
                " stage, with its `.json` beside it"
            )
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
    from sigmaflow.numbertable import check_numbers

    try:
        check_numbers(_file(value, info), ("images_seen", "seed", "reward"))
    except ValueError as error:
        raise ValueError(f"{error}; give the `ticks.parquet` of a fine-tune") from error
    return value


def _curve(value: str, info: ValidationInfo) -> str:
    """Metrics of a training, looked at before the hours of a card that end in drawing them."""
    if left_out(info, "files"):
        return value
    from sigmaflow.numbertable import check_numbers

    path = Path(_file(value, info))
    remedy = "give the metrics of a training stage"
    try:
        if path.suffix == ".parquet":
            names = check_numbers(path)
        else:
            if path.stat().st_size > MOST_TEXT:
                raise ValueError(f"{value!r} has more than {MOST_TEXT} bytes")
            with open(path, encoding="utf-8") as file:
                first = next((line for line in file if line.strip()), "{}")
            names = list(loads(first, constants=True))  # a loss may be NaN
    except (ValueError, TypeError) as error:
        raise ValueError(f"{value!r} holds no metrics ({error}); {remedy}") from error
    if not set(CURVE_STEPS) & set(map(str, names)):
        raise ValueError(f"{value!r} has no {' or '.join(CURVE_STEPS)}; {remedy}")
    return value


Checkpoint = Annotated[str, AfterValidator(_checkpoint)]
ScoredCheckpoint = Annotated[str, AfterValidator(_scored)]
"""A checkpoint of which only G_ema is used: G and D may be missing."""
Images = Annotated[str, AfterValidator(_images)]
File = Annotated[str, AfterValidator(_file)]
Curve = Annotated[str, AfterValidator(_curve)]
RankingsFile = Annotated[str, AfterValidator(_rankings)]
RewardFile = Annotated[str, AfterValidator(_reward)]
Ticks = Annotated[str, AfterValidator(_ticks)]
