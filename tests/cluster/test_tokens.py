"""Ray's tokens: for their owner's eyes, in no log and no command line."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import allocation, ray_local
from cluster.allocation import TOKEN, Rank


@pytest.fixture
def environment(monkeypatch):
    """What is set of Ray's variables goes again."""
    for name in (
        "RAY_AUTH_MODE",
        "RAY_AUTH_TOKEN_PATH",
        "RAY_AUTH_TOKEN",
        "RAY_ADDRESS",
        "RAY_USAGE_STATS_ENABLED",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",
        "RAY_worker_niceness",
        "RAY_memory_monitor_refresh_ms",
    ):
        monkeypatch.setenv(name, "before")
        monkeypatch.delenv(name)


@pytest.mark.parametrize("left", [None, 0o644])
def test_the_token_of_an_allocation_is_a_file_of_its_owner(
    tmp_path, monkeypatch, environment, left
):
    """Also where somebody left a file of that name that all may read."""
    started = []
    monkeypatch.setattr(allocation._Node, "_start", lambda self, *more: started.append(more))
    monkeypatch.setattr(allocation._Node, "_answers", lambda self, port: True)
    monkeypatch.setattr(allocation, "node_address", lambda node: "127.0.0.1")
    path = tmp_path / TOKEN
    if left is not None:
        path.touch()
        path.chmod(left)
    before = os.umask(0)
    node = allocation._Node(Rank("1", 0, 0, 1, "here", 1, 0, None), 100, tmp_path)
    try:
        address = node.start_head()
        token = path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and len(token) >= 32
        assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(path)
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert token not in " ".join([*started[0], address, *os.environ.values()])
    finally:
        os.umask(before)
        node.stop()


def test_the_token_of_a_local_ray_is_this_processs_own_and_gone_after(environment):
    with ray_local._environment():
        assert os.environ["RAY_AUTH_MODE"] == "token"
        token = os.environ["RAY_AUTH_TOKEN"]
    assert "RAY_AUTH_TOKEN" not in os.environ and len(token) >= 32
    with ray_local._environment():
        assert os.environ["RAY_AUTH_TOKEN"] == token


TWO = """
from cluster.executor import start
from cluster.profile import RayProfile
for word in ("one", "three"):
    with start(RayProfile(cpus=1, gpus=0)) as executor:
        handle = executor.submit(len, word)
        while not executor.wait([handle], 10):
            pass
        print(executor.result(handle))
"""


def test_a_second_ray_in_one_process_starts_too():
    """As in a notebook. Ray reads its token once a process."""
    root = str(Path(ray_local.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", TWO], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert done.stdout.split() == ["3", "5"], done.stderr[-2000:]


def test_the_folder_of_a_local_ray_is_its_owners(tmp_path):
    folder, lock = ray_local.own_folder(str(tmp_path))
    lock.close()
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
