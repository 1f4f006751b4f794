"""A fine-tune against its start: ``python -m jobs.compare [BEFORE] AFTER``.

Makes Table 2 (FID, rewards before and after) and Figures 7 to 10 of the paper, as Parquet, LaTeX,
PDF and PNG. BEFORE and AFTER are each a checkpoint folder, `mini`, the folder of a finished
fine-tune, or the first characters of its key in the store. What a fine-tune's record says need not
be said again: its start, its reward, its images, and its control, which is the fine-tune in the
same store that differs in lambda_r = 0 alone. It runs as a sweep of `kind: score`, so what is there
is not made again, and it may run wherever sweeps do.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.output import redact
from jobs.store.store import MARKER, SHORT, SPEC
from jobs.sweep.lines import spread
from jobs.sweep.outside import network_of

SWEEP = Path(__file__).resolve().parent.parent / "sweeps" / "score.yaml"
PAPER = 128  # grids from this many points a side are of the paper's scale


@dataclass(frozen=True)
class Found:
    """A generator: `mini` or its checkpoint folder, and the result that it is part of, if any."""

    checkpoint: str
    result: Path | None = None

    @property
    def record(self) -> dict[str, Any]:
        """The task that made it: stage, config and inputs; empty where nobody knows."""
        path = self.result and self.result / SPEC
        return json.loads(path.read_text()) if path and path.is_file() else {}

    @property
    def ticks(self) -> Path | None:
        path = self.result and self.result / "ticks.parquet"
        return path if path and path.is_file() else None

    @property
    def name(self) -> str:
        return (self.result or Path(self.checkpoint)).name[:12]


def find(text: str, runs: Path) -> Found:
    """The generator at a path, or of the result whose key begins so. Raises LookupError."""
    if text == "mini":
        return Found("mini")
    path = Path(text)
    if (path / "config.json").is_file():
        inside = path.name == "gan" and (path.parent / SPEC).is_file()
        return Found(str(path), path.parent if inside else None)
    if path.is_dir():
        if (path / "gan" / "config.json").is_file():
            return Found(str(path / "gan"), path)
        raise LookupError(
            f"{text}: no checkpoint (config.json) and no finished fine-tune (gan/) is in it"
        )
    keyed = [p for p in runs.glob(f"store/*/{text[:SHORT]}*") if (p / "gan").is_dir()]
    if len(keyed) == 1:
        return Found(str(keyed[0] / "gan"), keyed[0])
    known = keyed or [p.parent for p in sorted(runs.glob(f"store/finetune/[!.]*/{MARKER}"))]
    said = "; ".join(f"{p.name[:8]} ({_label(p)})" for p in known) or "none"
    what = "several keys begin so" if keyed else "no such folder, and no key begins so"
    raise LookupError(f"{text}: {what}; fine-tunes in {runs / 'store'}: {said}")


def _label(result: Path) -> str:
    return json.loads((result / SPEC).read_text())["label"]


def control_of(tuned: Found) -> Found | None:
    """The finished fine-tune of the same store that differs in lambda_r = 0 alone."""
    task = tuned.record
    if (
        tuned.result is None
        or task.get("stage") != "finetune"
        or not task["config"]["finetune"].get("lambda_r")
    ):
        return None
    matched = {**task["config"], "finetune": {**task["config"]["finetune"], "lambda_r": 0.0}}
    for path in sorted(tuned.result.parent.glob(f"[!.]*/{MARKER}")):
        other = json.loads((path.parent / SPEC).read_text())
        same = [other[k] == task[k] for k in ("version", "inputs")]
        if all(same) and other["config"] == matched:
            return Found(str(path.parent / "gan"), path.parent)
    return None


def input_of(result: Found, name: str) -> Path | None:
    """Where an input of the result's task is: a result of the store, or a file known by its
    digest (for one of several, that file); None where it is not known any more."""
    value = result.record.get("inputs", {}).get(name)
    if value is None or result.result is None:
        return None
    store = result.result.parent.parent
    digests = [v.removeprefix("file:") for v in (value if isinstance(value, list) else [value])]
    if isinstance(value, str) and not value.startswith("file:"):
        return next(iter(store.glob(f"*/{value[:SHORT]}")), None)
    return next((path for path in _known_files(store.parent, digests)), None)


def _known_files(runs: Path, wanted: Sequence[str]) -> Iterator[Path]:
    """Files of these digests among what ships and what launches were given."""
    from jobs.store.ledger import SWEEPS, launches, sweeps
    from jobs.sweep.graph import checkpoint_files, image_file

    given = [
        launch.record["config"]
        for name in sweeps(runs)
        for launch in launches(runs / SWEEPS / name)
    ]
    for config in [{"checkpoint": "mini", "images": "mini"}, *given]:
        # Of a checkpoint the weights: others may have its config.json.
        files = [*checkpoint_files(config["checkpoint"])[1:], image_file(config["images"])]
        yield from (Path(f.path) for f in files if Path(f.path).exists() and f.digest in wanted)


def start_of(tuned: Found) -> str | None:
    """The checkpoint that a fine-tune began from."""
    place = input_of(tuned, "generator")
    if place is None:
        return None
    folder = place / "gan" if place.is_dir() else place.parent
    shipped = folder.name == "mini" and folder.parent.name == "weights"
    return "mini" if shipped else str(folder)


def reward_of(text: str | None, tuned: Found, runs: Path) -> Path:
    """The reward's `.safetensors`: a path, a key's beginning, or the one that was followed."""
    if text is None:
        folder = input_of(tuned, "reward")
        if folder is None:
            raise LookupError(
                "--reward: the fine-tune's own is not known; give a trained reward"
                " (reward.safetensors, its folder or its key)"
            )
        return folder / "reward.safetensors" if folder.is_dir() else folder
    path = Path(text)
    if path.is_dir():
        path /= "reward.safetensors"
    elif not path.exists():
        keyed = [p / "reward.safetensors" for p in runs.glob(f"store/reward/{text[:SHORT]}*")]
        path = keyed[0] if len(keyed) == 1 else path
    if not path.with_suffix(".json").is_file():
        raise LookupError(
            f"--reward {text}: no trained reward is there; give reward.safetensors,"
            " its folder, or the beginning of its key"
        )
    return path


def settings(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The scale, and the values over those of sweeps/score.yaml. Raises LookupError."""
    runs = Path(args.runs).absolute()
    *first, last = args.places
    after = find(last, runs)
    before = find(first[0], runs).checkpoint if first else start_of(after)
    if before is None:
        raise LookupError(
            f"{last}: what it began from is not known; say it: python -m jobs.compare BEFORE {last}"
        )
    reward = reward_of(args.reward, after, runs)
    grid = json.loads(reward.with_suffix(".json").read_text())["config"]["grid"]
    control = control_of(after) if args.control == "auto" else None
    if args.control not in ("auto", "none"):
        control = find(args.control, runs)
    values: dict[str, Any] = {
        "name": args.name or f"compare-{after.name}", "before": before, "after": after.checkpoint,
        "reward_model": str(reward), "fid": not args.no_fid,
        "control": control and control.checkpoint, "ticks": after.ticks and str(after.ticks),
        "control_ticks": control and control.ticks and str(control.ticks),
    }  # fmt: skip
    network = network_of(str(reward))
    if network is None or network.representation == "sigma":
        values["slab"] = grid
    rays = after.record.get("config", {}).get("view_resolution", {}).get("reward")
    if rays is not None and args.reward is None:
        values["reward.view_resolution"] = rays
    images = input_of(after, "images")
    if images is not None and not args.no_fid:
        zipped = images / "faces.zip"
        images = zipped if zipped.is_file() else images
        values["images"] = "mini" if images.name == "faces64.zip" else str(images)
    return ("paper" if grid["resolution"] >= PAPER else "mini"), values


def said(runs: Path, name: str) -> Iterator[str]:
    """The numbers of Table 2 and Figure 9 in words."""
    from pyarrow import parquet

    table, slope = (
        parquet.read_table(runs / "tables" / f"{name}-{one}.parquet").to_pylist()
        for one in ("table2", "slope")
    )
    for row in table:
        line = f"{row['configuration']:9} reward {row['reward_mean']:+.3f}"
        if row["gain"] is not None and row["gain"] == row["gain"]:
            line += (f", gain {row['gain']:+.3f} [{row['gain_low']:+.3f}, {row['gain_high']:+.3f}],"
                     f" {100 * row['share_rising']:.0f} % rising")  # fmt: skip
        if row["fid_name"]:
            line += f"; {row['fid_name']} {row['fid']:.3f}"
        yield line
    for row in slope:
        yield (f"{row['configuration']:9} slope of final on initial {row['slope']:.3f} "
               f"[{row['slope_low']:.3f}, {row['slope_high']:.3f}], p = {row['p']:.2g} against "
               f"b = 1; spread x {row['sd_ratio']:.3f} [{row['sd_ratio_low']:.3f}, "
               f"{row['sd_ratio_high']:.3f}]")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """As `jobs.launch`: 0 when all is done, 1 when something failed, 2 when it cannot be asked."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.compare", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("places", nargs="+", metavar="[BEFORE] AFTER")
    parser.add_argument("--reward", help="a trained reward; without it the one that AFTER followed")
    parser.add_argument(
        "--control",
        default="auto",
        metavar="PLACE",
        help="the fine-tune without reward, `auto` (default) or `none`",
    )
    parser.add_argument("--no-fid", action="store_true", help="rewards and figures alone")
    parser.add_argument("--name", help="of the tables and figures (default: compare-KEY)")
    parser.add_argument(
        "--scale",
        choices=("mini", "paper"),
        help="of meshes and FIDs (default: from the reward's grid)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any other values of sweeps/score.yaml; may be repeated",
    )
    parser.add_argument("--on", default="local", metavar="PROFILE", help="as in jobs.launch")
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and its cost")
    args = parser.parse_args(spread(sys.argv[1:] if argv is None else argv))
    if len(args.places) > 2:
        parser.error("give AFTER, or BEFORE and AFTER")
    try:
        scale, values = settings(args)
    except (LookupError, OSError, ValueError, KeyError) as error:
        print(error.args[0] if isinstance(error, LookupError) else error, file=sys.stderr)
        return 2
    from jobs.launch import main as launch

    sets = [f"{key}={json.dumps(value)}" for key, value in values.items()] + args.set
    code = launch([str(SWEEP), "--scale", args.scale or scale, "--on", args.on, "--runs", args.runs,
                   *(["--dry-run"] if args.dry_run else []),
                   *(part for one in sets for part in ("--set", one))])  # fmt: skip
    runs = Path(args.runs).absolute()
    if code == 0 and (runs / "tables" / f"{values['name']}-table2.parquet").is_file():
        print("\n".join(said(runs, values["name"])))
    return code


if __name__ == "__main__":
    sys.exit(redact.guarded(main, goes_on=True))
