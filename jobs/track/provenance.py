"""What a launch was made with: code, packages, command and machine, as files beside its ledger.

    <launch>/provenance.json   commit, command, profile, host, Python
    <launch>/diff.patch        what tracked files had in them besides, where there was anything
    <launch>/environment.txt   installed packages, one a line

Written when the first stage begins; a launch that finds all done leaves none.
"""

from __future__ import annotations

import logging
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from jobs.output import redact
from sigmaflow.atomic import write_json, write_text

FORMAT = 1
PROVENANCE, DIFF, ENVIRONMENT = "provenance.json", "diff.patch", "environment.txt"
LONGEST = 1_000_000  # characters of a diff that are kept
ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger(__name__)


def write(folder: Path, command: Sequence[str], profile: str, root: Path = ROOT) -> None:
    """Write the three files. Where that fails a warning says so."""
    try:
        git, diff = _git(root)
        said = {
            "format": FORMAT, "git": git, "command": redact.command(command), "profile": profile,
            "host": platform.node(), "system": platform.platform(),
            "python": platform.python_version(), "executable": sys.executable,
            "written": time.time(),
        }  # fmt: skip
        write_text(folder / ENVIRONMENT, "\n".join(packages()) + "\n")
        if diff:
            write_text(folder / DIFF, diff)
        write_json(folder / PROVENANCE, redact.value(said))
    except OSError as error:
        log.warning("%s: %s; the launch goes on without its provenance", folder, error)


def packages() -> list[str]:
    """Installed packages as name==version, sorted."""
    found = {
        f"{one.metadata['Name']}=={one.version}"
        for one in metadata.distributions()
        if one.metadata["Name"]
    }
    return sorted(found, key=str.lower)


def _git(root: Path) -> tuple[dict[str, Any] | None, str]:
    """Commit and state of the checkout, and its redacted diff; None for an installed package."""
    try:
        if not _ask(root, "ls-files", Path(__file__).relative_to(ROOT).as_posix()):
            return None, ""  # somebody else's checkout, around a place of installed packages
        changed = _ask(root, "status", "--porcelain").splitlines()
        said = {
            "commit": _ask(root, "rev-parse", "HEAD").strip(),
            "branch": _ask(root, "rev-parse", "--abbrev-ref", "HEAD").strip(),
            "dirty": bool(changed),
            "untracked": [line[3:] for line in changed if line.startswith("??")][:100],
        }
        diff = redact.text(_ask(root, "diff", "HEAD", "--no-ext-diff", "--no-textconv"))
    except (OSError, subprocess.SubprocessError):
        return None, ""
    if len(diff) > LONGEST:
        diff = f"{diff[:LONGEST]}\n[cut: {len(diff) - LONGEST} more characters]\n"
    return said, diff


def _ask(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, timeout=30, check=True
    )
    return done.stdout.decode("utf-8", "replace")
