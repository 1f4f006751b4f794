"""One word to a webhook when a sweep has ended."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.output import redact
from jobs.search.outcomes import objectives, read_summary
from jobs.status import STATES, Sweep, look
from jobs.store.ledger import SWEEPS, launches
from jobs.store.store import Store

TOLD = ("done", "failed")  # ends that nobody asked for
TIMEOUT = 10.0  # seconds
log = logging.getLogger(__name__)


def tell_end(variable: str, runs: Path, name: str, launch: Path) -> None:
    """`send` how a sweep stands, if the launch in that folder came to an end of its own."""
    with contextlib.suppress(LookupError):
        ended = [one for one in launches(runs / SWEEPS / name) if one.folder == launch]
        if ended and ended[0].state in TOLD:
            send(variable, outcome(look(runs, name), ended[0].state, runs))


def outcome(sweep: Sweep, state: str, runs: Path) -> dict[str, Any]:
    """What there is to tell of a sweep: no host, no path, no setting but the best trials'."""
    record, states = sweep.latest.record, {one.entry.key: one for one in sweep.tasks}
    store = Store(runs / "store")
    measured = {}
    for number, said in sweep.plan.trials.items():
        last = states.get(said["last"])
        if last is not None and last.state == "done":
            measured[number] = objectives(read_summary(store.path(last.entry)), said["params"])
    said = {
        "name": sweep.latest.name, "state": state, "kind": record["kind"],
        "seconds": round(record.get("ended", record["begun"]) - record["begun"], 1),
        "stages": {one: sweep.counts[one] for one in STATES if sweep.counts[one]},
    }  # fmt: skip
    if record.get("trials"):
        said["trials"] = {"wanted": record["trials"], "measured": len(measured)}
    if measured:
        gain = max(measured, key=lambda number: measured[number][0])
        fid = min(measured, key=lambda number: measured[number][1])
        said["best"] = {
            "reward": {"trial": gain, "gain": measured[gain][0], "fid": measured[gain][1]},
            "fid": {"trial": fid, "gain": measured[fid][0], "fid": measured[fid][1]},
        }
    return {**said, **_words(said)}


def _words(said: Mapping[str, Any]) -> dict[str, str]:
    """The same as one sentence, by the names of Slack (`text`) and Discord (`content`)."""
    line = f"sigmaflow: {said['name']} {said['state']} after {said['seconds']:g} s"
    if trials := said.get("trials"):
        line += f", {trials['measured']} of {trials['wanted']} trials measured"
    if best := said.get("best"):
        line += (
            f"; largest gain {best['reward']['gain']:+.3g} in trial {best['reward']['trial']},"
            f" smallest FID {best['fid']['fid']:.4g} in trial {best['fid']['trial']}"
        )
    return {"text": line, "content": line}


def send(variable: str, said: Mapping[str, Any]) -> bool:
    """POST ``said`` as JSON to the URL in an environment variable; whether it was taken.

    A failure is one warning, without the URL, and nothing more.
    """
    url = os.environ.get(variable, "")
    try:
        if not url.startswith(("http://", "https://")):
            raise ValueError("it holds no http URL" if url else "it is not set here")
        request = urllib.request.Request(
            url, json.dumps(said, allow_nan=False).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            return True
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = redact.text(str(error), [variable])
        log.warning("the webhook in %s was not told of the end: %s", variable, why)
        return False
