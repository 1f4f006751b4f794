"""What a user sees at the end: tables and figures in place, and a summary worth reading.

``python -m jobs.report [NAME]`` makes them at any time of what is finished, without a launch.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from jobs.output import redact
from jobs.output.show import Show, duration
from jobs.run.attempt import Result
from jobs.search.outcomes import LEAST, feasible, shown
from jobs.store.sound import damage
from jobs.store.stage import Task
from jobs.store.store import Store
from sigmaflow import atomic

PARTIAL = ".{}.partial.json"  # in tables/: the files that a report of an unfinished sweep wrote
PART = "+partial-"  # in their names, where no name of a sweep can have it


def publish(folder: Path, runs: Path, name: str) -> None:
    """Copy a result's tables and figures to `runs/tables/<name>-*` and `runs/figures/<name>-*`.

    Partial ones, of an earlier report, go. A trained generator goes to `runs/models/<name>/`.
    """
    for kind in ("tables", "figures"):
        if (folder / kind).is_dir():
            for path in sorted((folder / kind).iterdir()):
                _copy(path, runs / kind / f"{name}-{path.name}")
    if (folder / "tables").is_dir():
        drop_partial(runs, name)
    _copy_gan(folder / "gan", runs / "models" / name)


def drop_partial(runs: Path, name: str) -> None:
    """Remove what `jobs.output.partial` wrote for a sweep, and nothing else."""
    listed = runs / "tables" / PARTIAL.format(name)
    try:
        written = list(json.loads(listed.read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    for one in written:
        kind, _, file = str(one).partition("/")
        ours = kind in ("tables", "figures") and file.startswith(name + PART)
        if ours and "/" not in file:
            (runs / kind / file).unlink(missing_ok=True)
    listed.unlink(missing_ok=True)


def publish_models(reward: Path, finetune: Path, runs: Path, name: str) -> None:
    """A sweep's reward and its strongest generator under names that a sweep file can say:
    `runs/models/<name>-reward.safetensors` (and `.json`) and `runs/models/<name>-strongest/`.
    """
    for end in (".safetensors", ".json"):
        _copy(reward / f"reward{end}", runs / "models" / f"{name}-reward{end}")
    _copy_gan(finetune / "gan", runs / "models" / f"{name}-strongest")


def _copy_gan(folder: Path, target: Path) -> None:
    """config.json last: without it a folder is no checkpoint."""
    for path in sorted(folder.glob("*"), key=lambda p: (p.name == "config.json", p.name)):
        _copy(path, target / path.name)


def _copy(path: Path, target: Path) -> None:
    """Whole or not at all; nothing where it is there already."""
    data = path.read_bytes()
    if not target.exists() or target.read_bytes() != data:
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(target, data)


def summary(
    config,
    graph,
    values: Mapping[int, Mapping[str, Any]],
    result: Result | None,
    store,
    runs: Path,
    show: Show,
    uri: str,
) -> Iterator[str]:
    """Lines of the closing summary."""
    yield ""
    for event in show.failed:
        where = store.work(event.task) if event.kind == "failed" else ""
        yield f"[red]{event.kind}[/]: {escape(event.task.label)}  {escape(str(where or ''))}"
    reward = graph.reward
    path = store.find(reward)
    if path is not None:
        yield accuracy_line(path)
    yield from _anchors(graph, store)
    if values:
        s = config.search
        yield from trial_table(list(s.space), graph.fid_name, values, s.limits())
    if result is None or not result.ok:
        yield "[yellow]no tables: something above did not finish; the same command goes on[/]"
        return
    new = show.counts["done"]
    if new == 0:
        yield "[bold]nothing to do[/]: every result of this sweep was here already"
    yield (
        f"{new} stages run, {show.counts['hit']} found, {duration(show.elapsed)}; "
        f"tables in {escape(str(runs / 'tables'))}, figures in {escape(str(runs / 'figures'))}"
    )
    yield escape(f"MLflow: python -m jobs.ui --runs {runs}   ({uri})")


def accuracy_line(reward: Path) -> str:
    """How good a finished reward is, beside trivial scorers (of slabs) and what noise allows."""
    from pyarrow.parquet import ParquetFile  # read_table would load pandas

    rows = ParquetFile(reward / "accuracy.parquet").read().to_pylist()
    regular = {row["scorer"]: row for row in rows if row["pairs"] == "regular"}
    own = regular["reward"]
    line = (
        f"[bold]reward[/]  right on {100 * own['share']:.0f} % of {own['n']} held-out pairs "
        f"({100 * own['low']:.0f} to {100 * own['high']:.0f} %)"
    )
    trivial = [s for s in ("slab_mean", "total_variation", "fraction_above") if s in regular]
    if trivial:  # they are of slabs: a reward that sees depth or points has none beside it
        best = max(trivial, key=lambda scorer: regular[scorer]["share"])
        line += f"; best trivial scorer ({best}) {100 * regular[best]['share']:.0f} %"
    if "noise_ceiling" in regular:
        line += f", noise ceiling {100 * regular['noise_ceiling']['share']:.0f} %"
    return line


def _anchors(graph, store) -> Iterator[str]:
    """Whether the high-quality anchors took part, where the synthetic annotator was asked."""
    folder = store.find(graph.rankings) if isinstance(graph.rankings, Task) else None
    if folder is not None:
        said = json.loads((folder / "anchors.json").read_text())
        state = "on" if said["on"] else "off"
        yield (
            f"anchors {state}: the annotator prefers them to both shapes "
            f"in {100 * said['preferred']:.0f} % of the questions"
        )


def trial_line(number: int, params: Mapping[str, Any], v: Mapping[str, Any], fid_name: str) -> str:
    """A trial that has just ended."""
    setting = ", ".join(f"{k} {shown(x)}" for k, x in params.items())
    return (
        f"         [bold]trial {number}[/] ({escape(setting)}): reward "
        f"{v['reward_delta_mean']:+.2f}, held-out {v['heldout_delta_mean']:+.2f}, {fid_name} "
        f"{v['fid']:.2f}, annotator prefers tuned {100 * v['preference_share_tuned']:.0f} %"
    )


def trial_table(
    params: Sequence[str],
    fid_name: str,
    values: Mapping[int, Mapping[str, Any]],
    limits: Mapping[str, Mapping[str, float]],
) -> Iterator[str]:
    """Summaries of trials, by number, as a table of text."""
    start = next(iter(values.values()))["fid_start"]
    yield f"[bold]trials[/]  {fid_name} of the start: {start:.2f}"
    bounded = ["feasible"] if limits else []
    head = ["trial", *params, "reward", "rising", "held-out", fid_name, "prefers", "own", *bounded]
    rows = []
    for n, v in sorted(values.items()):
        rows.append(
            [
                str(n),
                *(shown(v[p]) for p in params),
                f"{v['reward_delta_mean']:+.2f}",
                f"{100 * v['reward_share_positive']:.0f} %",
                f"{v['heldout_delta_mean']:+.2f}",
                f"{v['fid']:.2f}",
                f"{100 * v['preference_share_tuned']:.0f} %",
                f"{100 * v['closeness_share_closer']:.0f} %",
                *(["yes" if feasible(v, limits) else "no"] if limits else []),
            ]
        )
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        yield "  " + "  ".join(escape(cell.rjust(w)) for cell, w in zip(row, widths))
    yield (
        "  [dim]reward: mean gain on held-out seeds; prefers: synthetic annotator for the tuned "
        "shape; own: nearer to own original than to the mean face[/]"
    )
    if len(values) < LEAST:
        yield f"  [dim]importances: from {LEAST} finished trials on; {len(values)} are[/]"


def set_aside_damaged(sweep: Any, store: Store) -> tuple[list[str], list[str]]:
    """Set aside finished results of a `jobs.status.Sweep` that are not as they were published.

    Lines about those, and about such as cannot be moved.
    """
    aside, kept = [], []
    for one in sweep.tasks:
        if one.state != "done" or (name := store.damaged(one.entry)) is None:
            continue
        file = store.path(one.entry) / name
        try:
            place = store.set_aside(one.entry)
        except OSError as error:
            kept.append(f"{one.entry.label}: {file} is not as it was published, and cannot be set"
                        f" aside ({error.strerror}); move its folder away")  # fmt: skip
        else:
            said = damage(one.entry.label, file, place).removesuffix("; it is made again")
            aside.append(f"{said}; the next launch makes it again")
    return aside, kept


def main(argv: Sequence[str] | None = None) -> int:
    """0, 1 where nothing is finished yet, 2 where there is nothing by that name."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.report", description="Tables and figures of what is finished now."
    )
    parser.add_argument("name", nargs="?", help="one sweep; without it the latest launched")
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument(
        "--track",
        metavar="URI",
        help="MLflow's server, brought up to date first "
        "(default: MLFLOW_TRACKING_URI, else the one of the launch)",
    )
    args = parser.parse_args(argv)
    from rich.console import Console

    from jobs.output.partial import report
    from jobs.status import asked
    from jobs.track.ingest import catch_up

    try:
        sweep = asked(args.runs, args.name)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    aside, kept = set_aside_damaged(sweep, Store(Path(args.runs).absolute() / "store"))
    for line in (*aside, *kept):
        print(redact.text(line), file=sys.stderr)
    if kept:
        return 1
    if aside:
        sweep = asked(args.runs, sweep.latest.name)
    catch_up(Path(os.path.abspath(args.runs)), [sweep.latest.name], args.track)
    made, said = report(sweep, Path(args.runs).absolute())
    for line in said:
        Console().print(line, highlight=False, soft_wrap=True)
    return 0 if made else 1


if __name__ == "__main__":
    sys.exit(redact.guarded(main, goes_on=True))
