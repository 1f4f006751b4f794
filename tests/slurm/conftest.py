import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT, JOBS = HERE.parents[1], HERE.parent / "jobs"  # the toy stages, the tiny sweep
for folder in (JOBS, HERE):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


FAKE = Path(__file__).parent / "fake"
SITE = {
    "queue": "", "busy": "", "last": "16", "most": "4", "partitions": "gpu\nlong\n", "calls": ""
}  # fmt: skip


class Site:
    """A cluster that exists only as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in SITE.items():
            (folder / name).write_text(text)

    def calls(self, word: str) -> list[str]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(word)]

    def says(self, *lines: str) -> None:
        (self.folder / "queue").write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    monkeypatch.setenv("PATH", f"{FAKE}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "3")  # as if we were in a job ourselves
    return Site(folder)


@pytest.fixture
def told(capsys):
    """Runs a command on a results folder: its exit code, and what it said."""

    def told(command, runs, *more) -> tuple[int, str]:
        code = command.main([*more, "--runs", str(runs)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return told


@pytest.fixture(scope="session")
def slurm() -> Iterator:
    """A real SLURM of three nodes, started for these tests and gone with them."""
    from real import missing, start_slurm

    pytest.importorskip("submitit")
    if reason := missing():
        pytest.skip(f"no real SLURM: {reason}")
    with start_slurm(nodes=3, cpus=2, memory_mb=4000, gpus=1) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, tiny_checkpoint, tiny_images):
    """The tiny sweep, and what it leaves when nothing disturbs it and one process runs it all."""
    from sweeps import launch_once, write_sweep

    folder = tmp_path_factory.mktemp("tiny")
    launched = launch_once(write_sweep(folder, tiny_checkpoint, tiny_images), folder / "runs")
    assert launched.code == 0, launched.said
    return launched


class Command:
    """``python -m jobs.launch`` in a process of its own, on the login node of a SLURM."""

    def __init__(self, cluster, sweep: Path, profile: Path, runs: Path) -> None:
        self.runs, self._cluster = runs, cluster
        self._log = runs.with_suffix(".log")
        path = [str(ROOT), str(JOBS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        self._environment = {
            **os.environ, **cluster.environment, "PYTHONPATH": os.pathsep.join(filter(None, path))
        }  # fmt: skip
        self._command = [
            sys.executable, "-m", "jobs.launch", str(sweep), "--on", str(profile), "--runs",
            str(runs),
        ]  # fmt: skip
        self.process = self.start()

    def start(self) -> subprocess.Popen:
        with open(self._log, "a") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment
            )
        return self.process

    def ask(self, name: str, *more: str) -> subprocess.CompletedProcess:
        """``python -m jobs.NAME`` on the same results, to its end."""
        return subprocess.run(
            [sys.executable, "-m", f"jobs.{name}", "--runs", str(self.runs), *more],
            env=self._environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def said(self) -> str:
        return self._log.read_text()

    def done(self) -> int:
        """How many stages have finished."""
        return len(list((self.runs / "store").glob("*/[!.]*/done.json")))

    def until(self, what, seconds: float = 600) -> None:
        """Wait for something that must happen while the command runs."""
        from real import wait_for

        wait_for(lambda: what() or self.process.poll() is not None, seconds)
        assert what(), f"it did not happen\n{self.said()[-3000:]}"


@pytest.fixture
def command(slurm, tmp_path):
    """Makes a `Command` with a profile given as keys; ends it and its jobs."""
    import yaml

    made = []

    def make(sweep: Path, **profile) -> Command:
        place = tmp_path / "site.yaml"
        place.write_text(yaml.safe_dump(profile))
        made.append(Command(slurm, sweep, place, tmp_path / "runs"))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
    slurm.empty()
