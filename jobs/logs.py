"""``python -m jobs.logs [NAME]``: the last lines of failed stages, equal tracebacks once."""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobs.output import redact
from jobs.run.retry import told
from jobs.status import Standing, asked

# What tells equal failures apart without meaning anything: addresses, keys, attempts, processes.
_PASSING = (
    (re.compile(r"0x[0-9a-fA-F]+"), "0x..."),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,64}\b"), "<key>"),
    (re.compile(r"(/[\w.+~-]+)+/(?=[\w.+~-]+)"), ".../"),
    (re.compile(r"\d+(\.\d+)? ?([KMGT]i?B|bytes)\b"), "<size>"),
    (re.compile(r"\b(pid|process|worker|node|seeds?)[ =:]*\d+(, ?\d+)*\b", re.I), r"\1 <n>"),
)


@dataclass(frozen=True)
class Group:
    """Stages that failed alike: the traceback of the first, their labels, and why and where."""

    error: str
    labels: tuple[str, ...]
    why: str = ""


def grouped(failed: Iterable[Standing]) -> list[Group]:
    """Failures by equal traceback, the commonest first."""
    groups: dict[str, list[Standing]] = {}
    for one in failed:
        groups.setdefault(normal(one.error), []).append(one)
    ordered = sorted(groups.values(), key=len, reverse=True)
    return [
        Group(g[0].error.strip(), tuple(one.entry.label for one in g), _why(g)) for g in ordered
    ]


def _why(failed: Sequence[Standing]) -> str:
    """ "cause: node lost 2 times on n1, n2; 3 attempts before: preempted 3 times"."""
    causes = Counter(one.cause for one in failed if one.cause)
    if not causes:
        return ""
    nodes = ", ".join(sorted({one.node for one in failed if one.node}))
    before = Counter(cause for one in failed for cause in one.again)
    count = before.total()
    earlier = f"; {count} attempt{'s' * (count > 1)} before: {told(before)}" if before else ""
    return f"cause: {told(causes)}" + (f" on {nodes}" if nodes else "") + earlier


def normal(error: str) -> str:
    """An error without what differs from one run to the next."""
    for pattern, word in _PASSING:
        error = pattern.sub(word, error)
    return error.strip()


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 2 where there is nothing by that name."""
    parser = argparse.ArgumentParser(prog="python -m jobs.logs", description=__doc__)
    parser.add_argument("name", nargs="?", help="one sweep; without it the latest launched")
    parser.add_argument(
        "-n",
        "--lines",
        type=int,
        default=20,
        metavar="LINES",
        help="last lines of each traceback (default: 20)",
    )
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    args = parser.parse_args(argv)
    if args.lines < 1:
        parser.error("--lines must be at least 1")
    try:
        sweep = asked(args.runs, args.name)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    groups = grouped(one for one in sweep.tasks if one.state == "failed")
    blocked = sweep.counts["blocked"]
    for group in groups:
        count = len(group.labels)
        print(
            f"{count} stage{'s' * (count > 1)} failed: {'; '.join(group.labels[:8])}"
            + (f"; and {count - 8} more" if count > 8 else "")
        )
        if group.why:
            print(f"    {group.why}")
        rows = group.error.splitlines()
        if len(rows) > args.lines:
            print(f"    ... {len(rows) - args.lines} lines before")
        for row in rows[-args.lines :]:
            print(f"    {row}")
        print()
    if blocked:
        print(f"{blocked} stage{'s' * (blocked > 1)} blocked by these")
    if not groups:
        print(
            f"{sweep.latest.name}: no stage has failed"
            + (
                f"; the launch itself said: {sweep.latest.record['error']}"
                if sweep.latest.record.get("error")
                else ""
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(redact.guarded(main))
