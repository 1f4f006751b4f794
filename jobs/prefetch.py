"""``python -m jobs.prefetch SWEEP.yaml``: all that a run needs from outside, checked and fetched.

For nodes without a network: run it where there is one, then launch. Nothing is fetched at run time.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.output import redact
from jobs.sweep.config import ConfigError, load_with_places
from jobs.sweep.kinds import KINDS
from jobs.sweep.lines import read, spread
from jobs.sweep.outside import (
    CHECKPOINT_FILES,
    NO_FILES,
    NO_NETWORKS,
    SCORED_FILES,
    check_checkpoint,
)
from jobs.sweep.weights import whole_safetensors
from sigmaflow.atomic import write_text, write_with
from sigmaflow.files import sha256_file

SHIPPED = Path(__file__).resolve().parent.parent
SCALES = SHIPPED / "sweeps" / "scales"
RENDERING = ("anny", "roma")  # the extra `faces`
INCEPTION = "inception-2015-12-05.pt"
INCEPTION_URL = (
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/" + INCEPTION
)
# As in k-diffusion's record of the same file; clean-fid itself checks none.
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
# clean-fid's statistics, fetched by name; nobody publishes their digests.
STATISTICS_URL = "https://www.cs.cmu.edu/~clean-fid/stats/"
PUBLISHED = re.compile(
    r"[a-z0-9_]+_(clean|legacy_tensorflow)_(train|test|trainval|trainval70k)_"
    r"\d+\.npz"
)
CHECKPOINT_HELP = "convert a snapshot (python -m jobs.convert) and give its folder"
IMAGES_HELP = "give a zip or folder in EG3D's layout: pictures and dataset.json (docs/users.md)"


@dataclass(frozen=True)
class Item:
    """One thing from outside: what key asks for it, whether it is there, and what to do if not."""

    key: str
    good: bool
    text: str
    remedy: str = ""


def items(config: Any, network: bool = True) -> Iterator[Item]:
    """Everything the sweep needs from outside. Fetches what may be fetched, where ``network``."""
    paper = config.kind == "sweep" and config.scale == "paper"
    fids = config.kind == "score" and config.fid
    if config.images == "mini" and (paper or fids and config.scale == "paper"):
        yield Item("images", False, "not given", IMAGES_HELP)
    elif config.kind in ("sweep", "pretrain", "card") or fids:
        yield from _images(config)
    if paper and config.checkpoint == "mini":
        yield Item("checkpoint", False, "not given", CHECKPOINT_HELP)
    elif config.kind == "sweep":
        yield from _checkpoint("checkpoint", config.checkpoint)
    if config.kind == "sweep":
        if config.rankings.file is not None:
            yield from _rankings(config.rankings.file)
        yield from _extractor(config.evaluation, network)
    if config.kind == "card":
        yield from _checkpoint("checkpoint", config.checkpoint, SCORED_FILES)
        yield from _optional(config.card)
    if config.kind == "rewards":
        yield from _checkpoint("checkpoint", config.checkpoint, SCORED_FILES)
        if config.rankings.file is not None:
            yield from _rankings(config.rankings.file)
    if config.kind == "rehearsal":
        yield Item("checkpoint", True, "made by the run itself")
        if config.rankings.file is not None:
            yield from _rankings(config.rankings.file)
        yield from _extractor(config.evaluation, network)
    if fids:
        yield from _extractor(config.evaluation, network)
    if config.kind == "score":
        for key in ("before", "after", "control"):
            if (value := getattr(config, key)) is not None:
                yield from _checkpoint(key, value, SCORED_FILES)
        yield from _reward(config.reward_model)


def _optional(card: Any) -> Iterator[Item]:
    """What a card does without, saying so, where it is not installed."""
    from sigmaflow.card.providers import find_embedder, find_heads, find_landmarks

    for key, found in (("card.landmarks", find_landmarks(card.landmarks)),
                       ("card.embedder", find_embedder(card.embedder)),
                       ("card.truth_seeds", find_heads())):  # fmt: skip
        yield Item(key, True, f"will be skipped: {found.why}" if found.why else "installed")


def _all(config: Any, network: bool) -> Iterator[Item]:
    """`items`, and where each is good by itself, what they say against each other."""
    good = True
    for item in items(config, network):
        good &= item.good
        yield item
    for keys, said in config.misfits() if good else ():
        yield Item(".".join(keys), False, said)


def _checkpoint(key: str, value: str, files: tuple[str, ...] = CHECKPOINT_FILES) -> Iterator[Item]:
    shipped = value == "mini"
    folder = SHIPPED / "sigmaflow" / "generators" / "weights" / "mini" if shipped else Path(value)
    remedy = "install the package again" if shipped else CHECKPOINT_HELP
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        yield Item(key, False, f"{value}: no {', '.join(missing)}", remedy)
        return
    try:
        check_checkpoint(folder, files)
    except ValueError as error:
        yield Item(key, False, f"{value}: {error}", remedy)
    else:
        yield Item(key, True, f"{value}: {len(files)} files, whole")


def _images(config: Any) -> Iterator[Item]:
    value = config.images
    if value == "mini" and config.kind == "pretrain":
        yield Item("images", True, "mini: rendered by the run itself")
        missing = [name for name in RENDERING if importlib.util.find_spec(name) is None]
        if missing:
            yield Item("packages", False, f"no {', '.join(missing)}", "pip install -e '.[faces]'")
        return
    from sigmaflow.datasets.index import ImageIndex

    path = SHIPPED / "sigmaflow" / "datasets" / "faces64.zip" if value == "mini" else Path(value)
    remedy = "install the package again" if value == "mini" else IMAGES_HELP
    try:
        index = ImageIndex(path)
        index.read(index.names[0]), index.read(index.names[-1])
        index.side()
    except ValueError as error:
        yield Item("images", False, str(error), remedy)
    else:
        yield Item("images", True, f"{value}: {len(index)} pictures")


def _rankings(value: str) -> Iterator[Item]:
    from sigmaflow.preferences.orders import Orders, read_preferences

    remedy = "give a CSV in the released format, or of whole orders (docs/users.md)"
    try:
        found = read_preferences(value)
    except (OSError, ValueError) as error:
        problems = [str(p) for p in getattr(error, "problems", [error])]
        yield Item("rankings.file", False, f"{value}: {'; '.join(problems[:3])}", remedy)
    else:
        what = "orders" if isinstance(found, Orders) else "pairs"
        yield Item("rankings.file", True, f"{value}: {len(found)} {what}")


def _reward(value: str) -> Iterator[Item]:
    path = Path(value)
    remedy = "give the reward of a sweep: runs/models/NAME-reward.safetensors, its .json beside it"
    missing = [str(p) for p in (path, path.with_suffix(".json")) if not p.is_file()]
    if missing:
        yield Item("reward_model", False, f"no {', '.join(missing)}", remedy)
        return
    try:
        whole_safetensors(path)
    except ValueError as error:
        yield Item("reward_model", False, str(error), remedy)
    else:
        yield Item("reward_model", True, f"{value}: whole")


def _extractor(evaluation: Any, network: bool) -> Iterator[Item]:
    key = "evaluation.extractor_weights"
    if evaluation.extractor == "stlpips-alex":
        yield Item("evaluation.extractor", True, f"{evaluation.extractor}: ships with the package")
    elif evaluation.extractor_weights is None:
        yield Item(key, False, "not given", f"--set {key}=FOLDER/{INCEPTION}; it is fetched there")
    elif (path := Path(evaluation.extractor_weights)).name != INCEPTION:
        yield Item(key, False, f"{path}: clean-fid wants it to be called {INCEPTION}", "rename it")
    else:
        yield _pinned(key, path, INCEPTION_URL, network, INCEPTION_SHA256)
    if evaluation.fid_reference is not None:
        yield _reference(Path(evaluation.fid_reference), network)


def _reference(path: Path, network: bool) -> Item:
    """Statistics of real images: a user's own, or clean-fid's published by their name."""
    from sigmaflow.metrics.reference import source_of

    key = "evaluation.fid_reference"
    if PUBLISHED.fullmatch(path.name):
        got = _pinned(key, path, STATISTICS_URL + path.name, network)
        if not got.good:
            return got
    try:
        source = source_of(path)
    except OSError:
        remedy = "make it: python -m jobs.reference IMAGES.zip FILE.npz"
        return Item(key, False, f"{path}: no such file", remedy)
    except ValueError as error:
        return Item(key, False, str(error), "make it again with python -m jobs.reference")
    return Item(key, True, f"{path}: statistics of {source[:19]}")


def _pinned(key: str, path: Path, url: str, network: bool, sha256: str | None = None) -> Item:
    """A file that may be fetched. Its digest is the published one, or where there is none, the
    one of its first fetch, which is kept beside it as FILE.sha256: other bytes are never taken."""
    by_hand = f"on a machine with a network: curl -fLo {path.name} {url}"
    pin = path.with_name(path.name + ".sha256")
    try:
        kept = pin.read_text().split()[0] if pin.is_file() else None
        wanted = sha256 or kept
        fetched = not path.is_file()
        if fetched and not network:
            return Item(key, False, f"{path}: no such file", by_hand)
        if fetched:
            fetch(url, path, wanted)
        found = sha256_file(path)
        if wanted is not None and found != wanted:
            said = f"{path}: sha256 {found[:12]}..., not {wanted[:12]}..."
            return Item(key, False, said, f"remove it (a download that was cut off?) and {by_hand}")
        if kept != found:
            write_text(pin, f"{found}  {path.name}\n")
    except (OSError, ValueError, IndexError) as error:
        return Item(key, False, f"{path}: {error}", by_hand)
    said = "as published" if sha256 else "as at its first fetch" if kept else "pinned now"
    return Item(key, True, f"{path}: {'fetched, ' if fetched else ''}sha256 {said}")


def fetch(url: str, path: Path, sha256: str | None, timeout: float = 60.0) -> None:
    """Download a file to ``path``, whole and with this digest (None: any) or not at all.

    Raises OSError where it cannot be had, ValueError for other bytes.
    """

    def download(temporary: Path) -> None:
        with urllib.request.urlopen(url, timeout=timeout) as answer, open(temporary, "wb") as file:
            while block := answer.read(1 << 20):
                file.write(block)
            length = answer.headers.get("Content-Length")
            if length is not None and int(length) != file.tell():  # urllib does not mind
                raise ValueError(f"{url} was cut off after {file.tell()} of {length} bytes")
        if (found := sha256_file(temporary)) != (sha256 or found):
            raise ValueError(f"{url} gave other bytes: sha256 {found}, not {sha256}")

    path.parent.mkdir(parents=True, exist_ok=True)
    write_with(path, download)


def main(argv: Sequence[str] | None = None) -> int:
    """0 when nothing is missing, 1 when something is, 2 for a bad sweep."""
    parser = argparse.ArgumentParser(prog="python -m jobs.prefetch", description=__doc__)
    parser.add_argument("sweep", help="what will be run: a file such as sweeps/lambda.yaml")
    parser.add_argument("--scale", choices=("mini", "paper"), help="how big, over the sweep file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set values of the sweep; may be repeated",
    )
    parser.add_argument("--offline", action="store_true", help="check only, fetch nothing")
    args = parser.parse_args(spread(sys.argv[1:] if argv is None else argv))
    path = Path(args.sweep)
    values, _, _ = read(path)
    kind = values.get("kind") if isinstance(values, dict) else None
    if not path.is_file() or kind not in KINDS:
        print(f"{path}: no sweep file with kind {', '.join(KINDS)}", file=sys.stderr)
        return 2
    scales = path.parent / "scales"
    try:
        config, _ = load_with_places(
            path, KINDS[kind], args.scale, args.set, scales if scales.is_dir() else SCALES,
            {**NO_FILES, **NO_NETWORKS},
        )  # fmt: skip
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    missing = 0
    for item in _all(config, not args.offline):
        missing += not item.good
        remedy = f"; {item.remedy}" if item.remedy and not item.good else ""
        print(f"{'ok' if item.good else 'MISSING':8} {item.key}: {item.text}{remedy}")
    where = os.path.relpath(path)
    print(f"{where} has all it needs" if not missing else f"{where} lacks {missing}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(redact.guarded(main, goes_on=True))
