"""``python -m jobs.verify [NAME]``: are the finished results still what was published?

Reads every byte of every result in the store, or of one sweep or stage, names each damaged file and
what will make it again. Moves nothing away unless --quarantine is given. Stop it when you like; it
keeps nothing and begins again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from jobs.output import redact
from jobs.output.show import duration
from jobs.store.ledger import SWEEPS, launches, read_plan, sweeps
from jobs.store.store import Store
from jobs.store.verify import Damage, Finished, Told, damage, found, makers, quarantine, running

EVERY = 10.0  # seconds between lines of progress; in a terminal a tenth of that


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all that was read is whole, 1 when something is damaged, 2 for a name or stage that is
    not there, 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.verify", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("name", nargs="?", help="results of one sweep; without it all")
    parser.add_argument("--stage", help="results of one stage, such as slabs")
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument(
        "--quarantine",
        action="store_true",
        help="move damaged results to .broken-*, so that launches make them again",
    )
    args = parser.parse_args(argv)
    runs = Path(args.runs)
    store = Store(runs / "store")
    if problem := _problem(args, runs, store):
        print(problem, file=sys.stderr)
        return 2
    keys = None
    if args.name:
        keys = set(read_plan(launches(runs / SWEEPS / args.name)).tasks)
    try:
        return _verify(list(found(store, args.stage, keys)), runs, store, args.quarantine)
    except KeyboardInterrupt:
        print("stopped; nothing was kept, the same command begins again", file=sys.stderr)
        return 130


def _problem(args: argparse.Namespace, runs: Path, store: Store) -> str | None:
    """Why there is nothing to do, with the remedy."""
    if not store.root.is_dir():
        return f"{runs}: no folder of results (no store/ in it); give --runs"
    stages = sorted(p.name for p in store.root.glob("[!.]*") if p.is_dir())
    if args.stage is not None and args.stage not in stages:
        return f"--stage {args.stage}: no results of it; there are: {', '.join(stages) or 'none'}"
    if args.name is not None and args.name not in (known := sweeps(runs)):
        return f"no launch of {args.name!r} in {runs}; there are: {', '.join(known) or 'none'}"
    alive = running(runs) if args.quarantine else []
    if alive:
        return (
            f"--quarantine: a launch of {', '.join(alive)} runs and may read what would be"
            " moved; wait for its end, or look without --quarantine"
        )
    return None


def _verify(results: list[Finished | Told], runs: Path, store: Store, move: bool) -> int:
    whole = [one for one in results if isinstance(one, Finished)]
    told = [one for one in results if isinstance(one, Told)]
    show = _Progress(sum(one.size for one in whole), len(whole))
    print(f"{len(whole)} results of {_bytes(show.total)} in {store.root}", flush=True)
    bad: list[Damage] = []
    for one in whole:
        show.now = f"{one.stage}/{one.folder.name}"
        if (wrong := damage(one, show.read)) is not None:
            bad.append(wrong)
            show.say(_lines(wrong))
        show.done += 1
    show.end()
    for note in told:
        print(f"{'damaged' if note.damaged else 'note'}: {note.folder} {note.said}")
    bad += [Damage(one.folder.parent.name, one.folder, (one.said,)) for one in told if one.damaged]
    print(
        f"read {_bytes(show.seen)} of {show.done} results in {duration(show.seconds)}:"
        f" {len(bad) or 'none'} damaged"
    )
    if bad:
        _remedies(bad, runs, move)
    return 1 if bad else 0


def _lines(wrong: Damage) -> str:
    return "\n".join(f"damaged: {wrong.folder}/{file}" for file in wrong.files)


def _remedies(bad: Sequence[Damage], runs: Path, move: bool) -> None:
    """What makes each of the damaged results again, and where they went."""
    by = makers(runs)
    for one in bad:
        place = f"{one.stage}/{one.folder.name}"
        if move:
            aside = quarantine(one.folder)
            place += f", moved to {aside.name}," if aside else ", gone meanwhile,"
        commands = by.get(one.folder.name, {})
        if not commands:
            print(
                f"{place} is made again by a launch with the same settings; none of those in"
                f" {runs / SWEEPS} has it"
            )
        for name, command in list(commands.items())[:3]:
            again = f": python -m jobs.launch {command}" if command else ""
            print(f"{place} is made again by the next launch of {name}{again}")
    if not move:
        print(
            "nothing was moved. A launch notices damage by itself in files up to 256 KB and where"
            " a file's times changed; with --quarantine all of the above is made again"
        )


class _Progress:
    """How far the reading is: one changing line in a terminal, now and then a line elsewhere."""

    def __init__(self, total: int, count: int) -> None:
        self.total, self.count = total, count
        self.seen = self.done = 0
        self.now = ""
        self._begun = self._told = time.monotonic()
        self._live = sys.stdout.isatty()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def read(self, count: int) -> None:
        self.seen += count
        if time.monotonic() - self._told < (EVERY / 10 if self._live else EVERY):
            return
        self._told = time.monotonic()
        left = self.seconds * (self.total - self.seen) / max(self.seen, 1)
        line = (
            f"{_bytes(self.seen)} of {_bytes(self.total)}, {self.done} of {self.count} results,"
            f" about {duration(max(left, 0))} left, now {self.now}"
        )
        if self._live:
            print(f"\r\x1b[2K{line}", end="", flush=True)
        else:
            print(line, flush=True)

    def say(self, text: str) -> None:
        self.end()
        print(text, flush=True)

    def end(self) -> None:
        if self._live:
            print("\r\x1b[2K", end="")


def _bytes(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


if __name__ == "__main__":
    sys.exit(redact.guarded(main))
