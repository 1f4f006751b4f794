"""``python -m jobs.track.ingest RUNS NAME``: bring MLflow up to date with what lies on disk.

What it shows is a function of the files alone (`jobs.track.view`), so it may run at any time,
anywhere that sees them, and again: a launch starts it beside itself, `report` and `ui` catch up
first.

    runs/.mlflow/lock          one at a time
    runs/.mlflow/home          a name for this folder, since several may share a server
    runs/.mlflow/<name>.json   what was entered last, and where
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import secrets
import select
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote

from jobs.output import redact
from jobs.store.ledger import SWEEPS, launches, sweeps
from jobs.track import view
from sigmaflow.atomic import write_json, write_text

FORMAT = 1  # of <name>.json
FOLDER, LOCK, HOME = ".mlflow", "lock", "home"
VARIABLE, LOCAL = "MLFLOW_TRACKING_URI", "local"
LATER = "later"  # of `--track`: nothing is entered now
EVERY, LOOK = 5.0, 0.5  # seconds between two passes beside a launch, two looks at whether it ended
DAMAGED = ("file is not a database", "malformed")  # in what SQLite says
LEISURE = 10  # times as long as a pass took, we rest at least
PATIENCE = (0.2, 0.5, 1.0, 2.0)  # seconds between attempts on a locked database
GRACE = 2.0  # seconds for a launch to be gone that has left us
SETTLE = 3.0  # seconds for the workers of a launch to be gone that has ended
AWAY = 120.0  # seconds that the end of a launch waits for MLflow
ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger(__name__)


def tracking_uri(runs: Path, name: str | None = None, said: str | None = None) -> str:
    """Where a sweep is tracked: ``said`` (`--track`), else MLFLOW_TRACKING_URI, else where its
    latest launch was, else ``runs/mlflow.db``; "local" is that too, and "later" says nothing.
    """
    uri = (said if said != LATER else "") or os.environ.get(VARIABLE, "")
    if not uri and name is not None:
        known = launches(runs / SWEEPS / name)
        uri = known[0].record.get("track", "") if known else ""
    return local_uri(runs) if uri in ("", LOCAL) else uri


def local_uri(runs: Path) -> str:
    """That of ``runs/mlflow.db``."""
    return f"sqlite:///{quoted(Path(os.path.abspath(runs)) / 'mlflow.db')}"


def quoted(path: Path) -> str:
    """A path within a URI of SQLite: MLflow takes ? for the end of it and decodes %."""
    return str(path).replace("%", "%25").replace("?", "%3F")


def _drop_copy(runs: Path, uri: str) -> None:
    """Remove the empty folder that MLflow makes where `quoted` changed a name of the path: it makes
    the parents of a database by its URI as it stands."""
    made = Path(uri.removeprefix("sqlite:///")).parent
    if made != Path(os.path.abspath(runs)):
        with contextlib.suppress(OSError):
            os.removedirs(made)  # ends at the first that holds anything


def current(runs: Path, name: str, uri: str) -> bool:
    """Whether a local database is known to show all that there is. Loads nothing heavy.

    Of a server that cannot be known.
    """
    if uri != local_uri(runs) or not (runs / "mlflow.db").is_file():
        return False
    rows = view.rows(runs, name)
    return _shown(runs, name) >= len(rows) and _stamp(runs, name) == {
        "format": FORMAT,
        "uri": _place(uri),
        "digest": view.digest(rows),
    }


def ingest(runs: Path, name: str, uri: str, rows: list[view.Row] | None = None) -> int:
    """Enter what is missing of one sweep; how many runs were touched.

    ``rows`` are those of `view`, where they are known already. Raises whatever MLflow raises;
    nothing is lost by that.
    """
    from jobs.track.track import Tracker

    rows = view.rows(runs, name) if rows is None else rows
    if not rows:
        return 0
    digest = view.digest(rows)  # before it is entered: files may grow meanwhile
    artifacts = runs / "mlartifacts" if uri == local_uri(runs) else None
    for pause in (*PATIENCE, None):
        try:
            with _locked(runs):
                tracker = Tracker(uri, name, home_id(runs), artifacts)
                if artifacts is not None:
                    _drop_copy(runs, uri)
                touched = tracker.sync(rows)
                write_json(
                    runs / FOLDER / f"{name}.json",
                    {"format": FORMAT, "uri": _place(uri), "digest": digest},
                )
                return touched
        except Exception as error:
            if pause is None or "locked" not in str(error).lower():
                raise
            time.sleep(pause)
    raise AssertionError("unreachable")


def catch_up(runs: Path, names: Sequence[str], said: str | None = None) -> None:
    """`ingest` what is not `current`, unless ``said`` is "later". A failure is one warning."""
    if said == LATER:
        return
    for name in names:
        uri = tracking_uri(runs, name, said)
        try:
            if not current(runs, name, uri):
                ingest(runs, name, uri)
        except Exception as error:
            log.warning("%s", warning(error, uri))
            if uri != local_uri(runs):
                return  # a server that is away stays away for the next one


def settle(runs: Path, name: str, seconds: float) -> None:
    """`catch_up` of a sweep whose launches were ended, perhaps with their followers, so that it
    says so; nothing where none of it was ever entered. Claims of other machines count until they
    are old, which is awaited for ``seconds`` at most."""
    if not _stamp(runs, name):
        return
    try:
        _settled(runs, name, seconds)
    except OSError as error:
        log.warning("%s", warning(error, tracking_uri(runs, name)))
        return
    catch_up(runs, [name])


def _settled(runs: Path, name: str, seconds: float) -> list[view.Row]:
    """All rows, once none of them runs or after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        rows = view.rows(runs, name)
        if time.monotonic() >= end or not any(row.status == "RUNNING" for row in rows):
            return rows
        time.sleep(LOOK)


def warning(error: BaseException, uri: str) -> str:
    """One line about a failure."""
    lines = redact.text(str(error)).strip().splitlines() or [""]
    remedy = "the next launch or python -m jobs.report enters it"
    folder = Path(unquote(uri.removeprefix("sqlite:///"))).is_dir()  # in place of a database
    if folder or any(word in str(error) for word in DAMAGED):  # nothing enters it there
        remedy = "the database is damaged: move it away, then " + remedy
    return (
        f"MLflow at {redact.text(uri)}: {type(error).__name__}: {lines[0][:300]}; all of it is "
        f"on disk, {remedy}"
    )


def home_id(runs: Path) -> str:
    """A random name for a results folder, made once."""
    path = runs / FOLDER / HOME
    with contextlib.suppress(OSError):
        if found := path.read_text().strip():
            return found
    made = secrets.token_hex(8)
    write_text(path, made + "\n")
    return made


@contextlib.contextmanager
def _locked(runs: Path) -> Iterator[None]:
    (runs / FOLDER).mkdir(parents=True, exist_ok=True)
    with open(runs / FOLDER / LOCK, "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _shown(runs: Path, name: str) -> int:
    """Our runs that MLflow's pages show: neither they nor the experiment were deleted there."""
    database = f"file:{quote(str(runs / 'mlflow.db'))}?mode=ro"
    try:
        with closing(sqlite3.connect(database, uri=True)) as connection:
            (found,) = connection.execute(
                "SELECT COUNT(*) FROM experiments AS e JOIN runs AS r USING (experiment_id)"
                " JOIN tags AS t USING (run_uuid) WHERE e.name = ? AND t.key = ?"
                " AND e.lifecycle_stage = 'active' AND r.lifecycle_stage = 'active'",
                (name, view.RUNS),
            ).fetchone()
    except sqlite3.Error:
        return 0
    return int(found)


def _stamp(runs: Path, name: str) -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((runs / FOLDER / f"{name}.json").read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def _place(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:16]


# ---------------------------------------------------------------------- beside a launch


class Follower:
    """A process that keeps MLflow up to date while a launch goes on, and a little longer.

    It watches files only, so it also sees its launch die.
    """

    def __init__(self, runs: Path, name: str, launch: Path, uri: str) -> None:
        self._runs, self._name, self._launch, self._uri = runs, name, launch, uri
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Once; again does nothing."""
        if self._process is not None:
            return
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {  # where a URI may hold a password, as no command line may
            VARIABLE: self._uri,
            "PYTHONPATH": os.pathsep.join(p for p in paths if p),
        }
        command = [
            sys.executable,
            "-m",
            "jobs.track.ingest",
            str(self._runs),
            self._name,
            "--beside",
            str(self._launch),
        ]
        try:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is not for it
            )
        except OSError as error:
            log.warning("MLflow is not kept up to date: %s", error)

    def finish(self) -> str:
        """Call when the ledger is closed: wait until all is entered; what it had to say.

        The end of its input says so too, since a ledger that cannot be written never does.
        """
        if self._process is None:
            if not (self._launch.exists() and not current(self._runs, self._name, self._uri)):
                return ""
            self.start()
        if self._process is None:
            return ""
        try:
            _, said = self._process.communicate(timeout=AWAY)
        except BaseException as error:
            self._process.kill()
            self._process.communicate()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return "MLflow did not answer in time; python -m jobs.report enters what is missing"
        lines = redact.text(said.decode("utf-8", "replace")).strip().splitlines()
        return lines[-1] if lines else ""


def follow(runs: Path, name: str, launch: Path, uri: str) -> None:
    """`ingest` every now and then until the launch in that folder has ended, and once more."""
    failed, seen, beside = "", "", _Beside(launch)
    cache: view.Cache = {}
    while True:
        alive, begun = beside.alive(), time.monotonic()
        try:
            rows = view.rows(runs, name, cache) if alive else _settled(runs, name, SETTLE)
            now = view.digest(rows)
            if now != seen or failed:
                ingest(runs, name, uri, rows)
                seen, failed = now, ""
        except Exception as error:
            failed = warning(error, uri)
        if not alive:
            break
        took = time.monotonic() - begun
        end = time.monotonic() + max(EVERY, LEISURE * took)
        while time.monotonic() < end and beside.alive():
            time.sleep(LOOK)
    if failed:
        print(failed, file=sys.stderr)


class _Beside:
    """The launch that this process was begun by, or told of."""

    def __init__(self, launch: Path) -> None:
        self._launch, self._left = launch, float("inf")

    def alive(self) -> bool:
        """Whether it goes on, by its files; not long after it has let go of our input."""
        if _input_ended():
            self._left = min(self._left, time.monotonic())
        if time.monotonic() - self._left > GRACE:
            return False
        return any(
            one.alive and one.folder == self._launch for one in launches(self._launch.parent)
        )


def _input_ended() -> bool:
    """Whether the launch that holds the other end of our input has closed it, or ended."""
    try:
        if not stat.S_ISFIFO(os.fstat(0).st_mode):
            return False  # begun by hand
        return bool(select.select([0], [], [], 0)[0])
    except (OSError, ValueError):
        return False


def main(argv: Sequence[str] | None = None) -> int:
    """0, 1 where MLflow could not be reached, 2 where there is nothing by that name."""
    parser = argparse.ArgumentParser(prog="python -m jobs.track.ingest", description=__doc__)
    parser.add_argument("runs", help="folder of results")
    parser.add_argument("name", nargs="?", help="one sweep; without it all")
    parser.add_argument("--track", metavar="URI", help="tracking server (else MLFLOW_TRACKING_URI)")
    parser.add_argument("--beside", metavar="FOLDER", help="go on until this launch has ended")
    args = parser.parse_args(argv)
    runs = Path(os.path.abspath(args.runs))
    names = [args.name] if args.name else sweeps(runs)
    if not names or not all((runs / SWEEPS / name).is_dir() for name in names):
        print(f"no such launch is recorded in {runs}", file=sys.stderr)
        return 2
    if args.beside:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        follow(runs, names[0], Path(args.beside), tracking_uri(runs, names[0], args.track))
        return 0
    for name in names:
        uri = tracking_uri(runs, name, args.track)
        try:
            touched = ingest(runs, name, uri)
        except Exception as error:
            print(warning(error, uri), file=sys.stderr)
            return 1
        print(f"{name}: {touched} runs brought up to date")
    return 0


if __name__ == "__main__":
    sys.exit(redact.guarded(main, goes_on=True))
