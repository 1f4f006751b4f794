"""``python -m jobs.shapes mini --seeds 0-3``: shapes of a generator as files, without a sweep."""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import math
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from jobs.output import redact
from jobs.output.refusals import answered
from jobs.sweep.config import ConfigError
from jobs.sweep.outside import network_of

FORMATS = {
    "ply": "mesh, binary PLY",
    "glb": "mesh with normals, for browsers and Blender",
    "mrc": "the density itself, for ChimeraX",
    "png": "five lit views side by side",
    "mp4": "a turn as video; needs pip install 'sigmaflow[video]'",
    "webp": "the same turn as an animated picture",
    "depth": "depth maps [3, 128, 128], yaw +1, 0, -1 rad, as .npy",
    "points": "the frontal view's 16,384 points, as PLY",
}
SHIPPED = Path(__file__).resolve().parent.parent / "sigmaflow" / "generators" / "weights"
BORDERS = ("paper", "released", "thin")
LARGEST = 1024  # of --resolution; 4 GiB of density
MOST_SEEDS = 100_000


@dataclass(frozen=True)
class Order:
    """Checked arguments."""

    checkpoint: str  # what the user said, `mini` or a folder
    folder: Path  # and where that is
    seeds: tuple[int, ...]
    formats: tuple[str, ...]
    psi: float
    out: Path
    resolution: int
    grid: str
    level: float
    border: str
    released_orientation: bool
    reward: Path | None


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all files are there, 1 when a seed has no surface, 2 for bad input, 130 on Ctrl-C."""
    given = parser().parse_args(argv)
    return answered(lambda: _run(check(given), Console()))


def parser() -> argparse.ArgumentParser:
    """The command line; `check` takes what it parses."""
    lines = "\n".join(f"  {name:<7} {what}" for name, what in FORMATS.items())
    parser = argparse.ArgumentParser(
        prog="python -m jobs.shapes",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Write the shapes of a generator's seeds as files, with a manifest.\n"
        "Files that are there already, as this command wrote them, are kept.",
        epilog=f"formats:\n{lines}\n\nexample:\n  python -m jobs.shapes mini --seeds 0-3 "
        "--psi 0.7 --out shapes --format ply,png",
    )
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT", help="mini, or a checkpoint folder")
    add("--seeds", default="0-3", metavar="LIST", help="such as 0-3,7 (default: 0-3)")
    add("--psi", default="0.7", metavar="X", help="truncation (default: 0.7)")
    add("--out", default="shapes", metavar="FOLDER", help="where to (default: shapes)")
    add("--format", default="ply,png", metavar="LIST", help="of the below (default: ply,png)")
    add("--resolution", default="256", metavar="N", help="points an edge of the cube (256)")
    add(
        "--grid",
        default="regular",
        metavar="KIND",
        help="regular, or released for the slight shear of the released code (regular)",
    )
    add("--level", default="10", metavar="X", help="raw sigma at the surface (10)")
    add(
        "--border",
        default="paper",
        metavar="NAME",
        help="cut off the cube before meshing: paper (its figures), released (30/256 of each "
        "side), thin (one cell) (paper)",
    )
    add(
        "--released-orientation",
        action="store_true",
        help="PLY, GLB and MRC as EG3D's script writes them: voxels, axes turned",
    )
    add("--reward", metavar="FILE", help="a trained reward (.safetensors): adds its score")
    return parser


def check(args: argparse.Namespace) -> Order:
    """Arguments as an `Order`. Raises ConfigError with all that is wrong. Loads no torch."""
    problems: list[str] = []
    folder = checkpoint_folder(args.checkpoint, problems)
    seeds = _seeds(args.seeds, problems)
    formats = _formats(args.format, problems)
    psi = number("--psi", args.psi, problems, "such as 0.7")
    level = number("--level", args.level, problems, "such as 10")
    if level is not None and level <= -1000:
        problems.append(f"--level {args.level}: must be above -1000, the value of the border")
    resolution = int(args.resolution) if re.fullmatch(r"\d{1,6}", args.resolution) else 0
    if not 16 <= resolution <= LARGEST:
        problems.append(f"--resolution {args.resolution}: give a whole number from 16 to {LARGEST}")
    choice("--grid", args.grid, ("regular", "released"), problems)
    choice("--border", args.border, BORDERS, problems)
    reward = Path(args.reward) if args.reward is not None else None
    for file in (reward, reward.with_suffix(".json")) if reward else ():
        if not file.is_file():
            problems.append(
                f"--reward {args.reward}: {file} is missing; give the .safetensors of "
                "a trained reward, with its .json beside it"
            )
    network = network_of(str(reward)) if reward else None
    if network is not None and network.representation != "sigma":
        problems.append(
            f"--reward {args.reward}: it sees {network.representation}, and here slabs"
            " of density are scored; python -m jobs.compare shows it what it knows"
        )
    out = Path(os.path.abspath(args.out))
    problems += writable(args.out, out)
    if problems or psi is None or level is None:
        raise ConfigError(problems)
    return Order(
        args.checkpoint,
        folder,
        seeds,
        formats,
        psi,
        out,
        resolution,
        args.grid,
        level,
        args.border,
        args.released_orientation,
        reward,
    )


def checkpoint_folder(given: str, problems: list[str]) -> Path:
    folder = SHIPPED / "mini" if given == "mini" else Path(given)
    if not folder.is_dir():
        problems.append(f"{given}: no such checkpoint folder; give one, or mini")
        return folder
    for name in ("config.json", "G_ema.safetensors"):
        if not (folder / name).is_file():
            problems.append(
                f"{given}: {name} is missing; a checkpoint folder holds config.json, "
                "G, D and G_ema.safetensors"
            )
    return folder


def _seeds(given: str, problems: list[str]) -> tuple[int, ...]:
    seeds: dict[int, None] = {}
    for part in given.split(","):
        found = re.fullmatch(r"\s*(\d{1,10})(?:\s*-\s*(\d{1,10}))?\s*", part)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not low <= high < 2**32:
            problems.append(
                f"--seeds {given}: {part.strip() or 'an empty part'}: give numbers "
                "from 0 to 4294967295 and rising ranges, such as 0-3,7"
            )
        elif high - low >= MOST_SEEDS:
            problems.append(f"--seeds {given}: {part}: more than {MOST_SEEDS} seeds")
        else:
            seeds |= dict.fromkeys(range(low, high + 1))
    return tuple(seeds)


def _formats(given: str, problems: list[str]) -> tuple[str, ...]:
    names = [name.strip().lower() for name in given.split(",")]
    for name in names:
        if name not in FORMATS:
            near = difflib.get_close_matches(name, FORMATS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(FORMATS)}"
            problems.append(f"--format {given}: {name or 'an empty name'} is unknown; {hint}")
    if "mp4" in names and importlib.util.find_spec("av") is None:
        problems.append(
            f"--format {given}: mp4 needs PyAV: pip install 'sigmaflow[video]', or ask "
            "for webp instead"
        )
    return tuple(name for name in FORMATS if name in names)  # the density before its mesh


def number(option: str, given: str, problems: list[str], such: str) -> float | None:
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        problems.append(f"{option} {given}: not a number; give one, {such}")
        return None
    return value


def choice(option: str, given: str, known: Sequence[str], problems: list[str]) -> None:
    if given not in known:
        problems.append(f"{option} {given}: must be one of {', '.join(known)}")


def writable(given: str, out: Path) -> list[str]:
    place = out
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        return [f"--out {given}: {place} is no folder; give another place"]
    if not os.access(place, os.W_OK | os.X_OK):
        return [f"--out {given}: {place} cannot be written; give another folder"]
    return []


def _run(order: Order, console: Console) -> int:
    from jobs.output.shapefiles import Manifest, Settings, checkpoint_digest
    from sigmaflow.files import sha256_file

    order.out.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        checkpoint_digest(order.folder), order.psi, order.resolution, order.grid, order.level,
        order.border, "released" if order.released_orientation else "world",
    )  # fmt: skip
    try:
        manifest = Manifest(order.out)
    except ValueError as error:
        raise ConfigError([str(error)]) from error
    scorer = sha256_file(order.reward) if order.reward else ""
    todo: dict[int, list[str]] = {}
    for seed in order.seeds:
        kinds = [k for k in order.formats if not manifest.done(seed, k, settings)]
        if kinds or (scorer and manifest.score(seed, scorer, settings) is None):
            todo[seed] = kinds
    files = len(order.seeds) * len(order.formats)
    made = sum(len(kinds) for kinds in todo.values())
    say = _sayer(console)
    if files > made:
        say(f"[dim]{files - made} of {files} files are there already[/]")
    empty = _make(order, settings, manifest, scorer, todo, console) if todo else []
    known = [s for s in order.seeds if s not in todo and any(
        manifest.rows.get((s, k), {}).get("note") for k in order.formats)]  # fmt: skip
    for seed in known:
        notes = {manifest.rows[seed, k]["note"] for k in order.formats}
        say(f"[yellow]seed {seed}[/]: {escape(max(notes))}")
    say(f"[bold]{made - len(empty)}[/] new, {files} in all: {escape(str(order.out))}")
    return 1 if empty or known else 0


def _sayer(console: Console) -> Any:
    return lambda text: console.print(text, highlight=False, soft_wrap=True)


def _make(
    order: Order,
    settings: Any,
    manifest: Any,
    scorer: str,
    todo: dict[int, list[str]],
    console: Console,
) -> list[tuple[int, str]]:
    """Write what is missing; returns the (seed, format) pairs that have no surface."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from jobs.output.shapefiles import SURFACE, NotFinite, Shape
    from jobs.stages.shapes import device
    from sigmaflow.fields.mesh import EmptySurface
    from sigmaflow.generators import CheckpointError, load_generator

    try:
        G = load_generator(order.folder).to(device())
        reward = _reward(order, G)
    except (CheckpointError, ValueError, FileNotFoundError) as error:
        raise ConfigError([str(error)]) from error
    say, empty = _sayer(console), []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("shapes", total=sum(len(kinds) for kinds in todo.values()))
        for seed, kinds in todo.items():
            try:
                shape = Shape(G, seed, settings, order.out)
                score = (shape.reward(reward), scorer) if reward else None
            except NotFinite as error:
                raise ConfigError([f"{order.folder}: {error}"]) from error
            notes = []
            for kind in kinds:
                bar.update(task, description=f"seed {seed} {kind}")
                path, note, mesh = None, "", None
                try:
                    path = shape.write(kind)
                    mesh = shape.mesh() if kind in SURFACE else None
                except EmptySurface as error:
                    note = str(error)
                    notes.append(note)
                    empty.append((seed, kind))
                except NotFinite as error:
                    raise ConfigError([f"{order.folder}: {error}"]) from error
                manifest.add(seed, kind, settings, path, note, mesh)
                bar.advance(task)
            if score:
                manifest.set_reward(seed, settings, score)
            manifest.write()
            line = f"seed {seed}: {', '.join(kinds) or 'reward'}"
            line += f"  [dim]reward {score[0]:.4f}[/]" if score else ""
            say(f"[yellow]seed {seed}[/]: {escape(notes[0])}" if notes else line)
    return empty


def _reward(order: Order, G: Any) -> Any:
    if order.reward is None:
        return None
    from jobs.stages.shapes import device
    from sigmaflow.rewards.model import RewardModel

    return RewardModel.load(order.reward).to(device()).eval()


if __name__ == "__main__":
    sys.exit(redact.guarded(main, goes_on=True))
