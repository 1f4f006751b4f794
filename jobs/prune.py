"""``python -m jobs.prune``: how much disk is taken by results that no launch of this code can find.

They are of older versions of stages, or made of such, or were set aside as damaged or to be made
anew. Deletes nothing unless --yes is given. Tables, figures and models under their names stay.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs.output import redact
from jobs.stages import ALL
from jobs.store.orphans import Orphan, orphans, remove
from jobs.store.store import Store
from jobs.store.verify import running


def main(argv: Sequence[str] | None = None) -> int:
    """0; 1 where something could not be deleted, 2 where there is nothing to look at."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.prune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument("--yes", action="store_true", help="delete them")
    args = parser.parse_args(argv)
    runs = Path(args.runs)
    store = Store(runs / "store")
    if not store.root.is_dir():
        print(f"{runs}: no folder of results (no store/ in it); give --runs", file=sys.stderr)
        return 2
    if args.yes and (alive := running(runs)):
        print(
            f"--yes: a launch of {', '.join(alive)} runs; wait for its end, or look without --yes",
            file=sys.stderr,
        )
        return 2
    found = orphans(store, ALL)
    for line in _told(found):
        print(line)
    total = _bytes(sum(one.size for one in found))
    if not found:
        print(f"nothing: every result in {store.root} is of today's stages")
        return 0
    if not args.yes:
        print(f"{len(found)} folders, {total}; nothing was deleted: --yes deletes them")
        return 0
    failed = 0
    for one in found:
        try:
            remove(one)
        except OSError as error:
            failed += 1
            print(f"{one.folder}: cannot be deleted ({error.strerror})", file=sys.stderr)
    print(f"{len(found) - failed} of {len(found)} folders deleted, {total} in all")
    return 1 if failed else 0


def _told(found: Sequence[Orphan]) -> list[str]:
    """A line for each stage and reason."""
    groups: dict[tuple[str, str], list[Orphan]] = {}
    for one in found:
        groups.setdefault((one.stage, one.why), []).append(one)
    return [
        f"{stage}: {len(ones)} x {why}, {_bytes(sum(one.size for one in ones))}"
        for (stage, why), ones in groups.items()
    ]


def _bytes(count: float) -> str:
    """In decimal units, as disks are sold."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} bytes"


if __name__ == "__main__":
    sys.exit(redact.guarded(main))
