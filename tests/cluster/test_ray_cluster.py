"""A Ray that is somebody else's: started by the tests, in processes of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from cluster import ray_cluster
from cluster.allocation import ports_of_head
from cluster.profile import RayProfile

HERE = Path(__file__).resolve().parent


class Theirs:
    """A Ray with a token, one CPU and one GPU of a kind a machine; none of the GPUs is there."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="th-")
        self.token = secrets.token_hex(16)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0",
        }  # fmt: skip
        with socket.socket() as probe, socket.socket() as other:
            probe.bind(("127.0.0.2", 0))
            other.bind(("127.0.0.2", 0))
            port, client = probe.getsockname()[1], other.getsockname()[1]
        self.address = f"127.0.0.2:{port}"
        self.head = self._node("127.0.0.2", "--head", *ports_of_head(port, client))
        self._until_answers(port)

    def more(self) -> subprocess.Popen:
        """One more machine."""
        return self._node("127.0.0.3", f"--address={self.address}")

    def _node(self, ip: str, *how: str) -> subprocess.Popen:
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *how,
            "--num-cpus=1", "--num-gpus=1", "--disable-usage-stats",
            f"--node-ip-address={ip}", "--object-store-memory=100000000",
            "--resources", json.dumps({"accelerator_type:GeForce-RTX-4090": 1}),
        ]  # fmt: skip
        if "--head" in how:
            command += [f"--temp-dir={self.folder}", "--include-dashboard=false"]
        with open(Path(self.folder) / f"{ip}.log", "ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, env=self.environment, start_new_session=True
            )

    def _until_answers(self, port: int) -> None:
        end = time.monotonic() + 90
        while time.monotonic() < end and self.head.poll() is None:
            try:
                with socket.create_connection(("127.0.0.2", port), 1):
                    return
            except OSError:
                time.sleep(0.3)
        raise RuntimeError(Path(self.folder, "127.0.0.2.log").read_text())

    @staticmethod
    def kill(node: subprocess.Popen) -> None:
        """At once, with all that it started."""
        try:
            family = psutil.Process(node.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return
        for process in family:
            with_suppressed(process.kill)
        node.kill()
        node.wait(30)

    def close(self) -> None:
        self.kill(self.head)
        shutil.rmtree(self.folder, ignore_errors=True)


def with_suppressed(call) -> None:
    try:
        call()
    except psutil.Error:
        pass


@pytest.fixture(scope="module")
def theirs():
    ray = Theirs()
    yield ray
    ray.close()


def joined(theirs, runs: Path, pause: float, *seeds: int, token: str = "", **keys):
    """`joining.py` in a process of its own, with an environment that knows of no token."""
    profile = {"kind": "ray", "address": theirs.address, **keys}
    packages = [str(HERE.parents[1]), str(HERE), str(HERE.parent / "jobs")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"PYTHONPATH": os.pathsep.join(packages), "RAY_worker_niceness": "0"}
    if token:
        environment["THEIR_TOKEN"] = token
    runs.mkdir(exist_ok=True)
    command = [sys.executable, str(HERE / "joining.py"), json.dumps(profile), str(runs), str(pause)]
    return subprocess.Popen(
        [*command, *map(str, seeds)], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def told(process) -> dict:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-3000:]
    return json.loads(out.splitlines()[-1])


def test_a_cluster_is_joined_used_and_left_as_it_was(theirs, tmp_path):
    keys = dict(token_env="THEIR_TOKEN")
    first = told(joined(theirs, tmp_path / "a", 0, 1, 2, token=theirs.token, **keys))
    assert first["statuses"] == ["done"] * 3 and not first["again"] and first["slots"] == 1
    assert not list((tmp_path / "a").glob(".probe-*"))
    written = [p for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert written and not [p for p in written if theirs.token in p.read_text()]
    assert theirs.head.poll() is None, "somebody else's Ray was stopped"

    # An accelerator that is declared without a driver must not become a training on a CPU.
    named = dict(keys, accelerator="RTX 4090")
    said = told(joined(theirs, tmp_path / "b", 0, 1, token=theirs.token, **named))
    assert said["statuses"] == ["done", "failed"] and not said["again"]
    assert "no driver" in said["error"]
    absent = dict(keys, accelerator="A100")
    said = told(joined(theirs, tmp_path / "c", 0, 1, token=theirs.token, **absent))
    assert "there are: GeForce-RTX-4090" in said["refused"]
    assert theirs.head.poll() is None


def test_without_its_token_a_cluster_is_not_joined(theirs, tmp_path):
    said = told(joined(theirs, tmp_path, 0, 1, token_env="THEIR_TOKEN"))
    assert "token_env: THEIR_TOKEN is not set" in said["refused"]
    said = told(joined(theirs, tmp_path, 0, 1, token="wrong" * 6, token_env="THEIR_TOKEN"))
    assert "token" in said["refused"] and "wrong" not in said["refused"]


def test_what_ran_on_a_lost_machine_goes_on_elsewhere(theirs, tmp_path):
    other = theirs.more()
    try:
        process = joined(
            theirs, tmp_path / "runs", 2.0, 1, 2, token=theirs.token, token_env="THEIR_TOKEN"
        )
        store = tmp_path / "runs" / "store"
        while len(list(store.glob("count/.claim-*"))) < 2:  # the machine may come later than we do
            assert process.poll() is None and other.poll() is None
            time.sleep(0.1)
        time.sleep(2)
        theirs.kill(other)
        said = told(process)
    finally:
        theirs.kill(other)
    assert said["statuses"] == ["done"] * 3, said["error"]
    assert [cause for cause, _ in said["again"]] == ["node_lost"] and said["again"][0][1]
    claims = list((tmp_path / "runs" / "store").glob("*/.claim-*"))
    assert not claims and theirs.head.poll() is None


# ---------------------------------------------------------------------- without a Ray


def test_machines_that_differ_are_named_with_the_remedy(tmp_path):
    (tmp_path / "probe").write_text("text")
    ours = ray_cluster.described(str(tmp_path / "probe"))
    assert ray_cluster._compare(ours, ours, tmp_path) == []
    theirs = {**ours, "probe": "", "sources": "other", "torch": "1.0", "numpy": ""}
    said = "\n".join(ray_cluster._compare(ours, theirs, tmp_path))
    assert f"does not see {tmp_path}; --runs must be on a disk that all machines share" in said
    assert "other sources" in said and "torch 1.0, this machine" in said and "numpy not" in said


def test_a_machine_that_joined_later_is_asked_too(tmp_path):
    from cluster.ray_worker import Conditions, call

    probe = tmp_path / "runs" / ".probe"
    with pytest.raises(RuntimeError, match="does not see .*runs as the one that launched"):
        call((Conditions(probe=(str(probe), "text")), len, ("abc",)))
    probe.parent.mkdir()
    probe.write_text("text")
    assert call((Conditions(probe=(str(probe), "text")), len, ("abc",))) == 3


@pytest.mark.parametrize(
    "keys, said",
    [
        ({"address": "ray://host:10001"}, "ray:// is not supported: .* host:port"),
        ({"address": "host"}, "host:port of the cluster's head"),
        ({"address": "host:6379", "cpus": 2}, "cpus is the cluster's own affair"),
        ({"token_env": "TOKEN"}, "token_env belongs to an address"),
    ],
)
def test_profiles_of_clusters_are_checked(keys, said):
    with pytest.raises(ValidationError, match=said):
        RayProfile(**keys)
