"""Whether finished results were made by the sources that are here now.

A result is found by its stage's version, not by its code. Whoever edits a source and raises no
version would be told that there is nothing to do. So each marker says by which sources the result
was made, and the record of `jobs.versions`, which ships with the package, says which sources give
the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


@lru_cache(maxsize=1)
def _record(root: Path) -> tuple[dict[str, Any], dict[str, list[Path]]]:
    """The record, and the source files of each stage; both empty where they did not come along."""
    try:
        record = json.loads((root / "jobs" / "stage_sources.json").read_bytes())
        listed = json.loads((root / "jobs" / "stage_files.json").read_bytes())
        files: dict[str, list[Path]] = {}
        for name, stages in listed.items():
            for stage in stages.split():
                files.setdefault(stage, []).append(root / name)
        record = {stage: one for stage, one in record.items() if "sha256" in one}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}, {}
    return record, {stage: sorted(paths) for stage, paths in files.items()}


@lru_cache(maxsize=64)
def sources_now(stage: str, root: Path = ROOT) -> str | None:
    """sha256 of a stage's sources as they are, once a process; None where they are not known."""
    from jobs.versions import digest_of

    files = _record(root)[1].get(stage)
    try:
        return digest_of(files, root) if files else None
    except OSError:  # a listed source is gone: another state than any recorded
        return "" if any(path.exists() for path in files or ()) else None


def is_stale(marker: Mapping[str, Any], root: Path = ROOT) -> bool:
    """Whether a finished result may be another than the sources here would make.

    Sources that are recorded for the result's version give the same bytes. A marker that says no
    sources is of a version that was recorded.
    """
    stage = str(marker.get("stage", ""))
    now, made = sources_now(stage, root), marker.get("sources")
    known = _record(root)[0].get(stage)
    if now is None or not known or made == now:
        return False
    same = {known["sha256"], *(w[end] for w in known["waivers"] for end in ("from", "to"))}
    return now not in same or (made is not None and made not in same)


def told(stages: Mapping[str, int]) -> list[str]:
    """What to say of stages with stale results, by how many: one line, or none."""
    if not stages:
        return []
    counts = ", ".join(f"{stage} ({count})" for stage, count in stages.items())
    return [
        f"may be stale: found results of {counts}: other sources made them than are here now"
        f" under the same version; --rerun {' '.join(stages)} makes them and what depends"
        " on them anew (docs/contributing.md: raise a stage's version to do so for everybody)"
    ]


def stale_lines(hits: Iterable[Any], store: Any) -> list[str]:
    """What is said of finished tasks that the sources here may not have made."""
    markers = (store.marker(task) for task in hits)
    return told(Counter(one["stage"] for one in markers if one is not None and is_stale(one)))


def retire(tasks: Iterable[Any], store: Any, stages: Iterable[str]) -> list[str]:
    """Move stale results of these stages away, and all that was made of them; their labels.

    ``tasks``: inputs before those who need them. Nothing else is touched, so that a second call
    finds nothing to do.
    """
    wanted, anew, labels = set(stages), set(), []
    for task in tasks:
        marker = store.marker(task)
        stale = marker is not None and task.stage.name in wanted and is_stale(marker)
        if stale or any(need.key in anew for need in task.needs()):
            anew.add(task.key)
            if marker is not None:
                store.retire(task)
                labels.append(task.label)
    return labels
