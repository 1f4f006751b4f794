"""Other users of the machine: what they can reach of ours, and what they can put in our way."""

import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import calls
import pytest

from cluster import ray_local

NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be a second user")


def as_another(function):
    """Run it as a second user; the names of the exceptions it raised, one a line."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            said = str(function())
        except BaseException as error:
            said = type(error).__name__
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


@as_root
def test_nobody_else_reaches_the_folder_of_a_ray_that_runs(ray_executor):
    handle = ray_executor.submit(calls.double, 2)
    while not ray_executor.wait([handle], 10):
        pass
    folder = Path(ray_executor._folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (session,) = [p for p in (folder / "r").glob("session_2*")]
    state = session / "logs" / "debug_state.txt"
    (sock,) = (session / "sockets").glob("raylet*")

    def replace_by_a_link():
        os.symlink("/etc/hostname", f"{state}.new")
        os.replace(f"{state}.new", state)

    def connect():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(sock))

    for what in (lambda: os.listdir(folder), replace_by_a_link, connect, state.read_text):
        assert as_another(what) == "PermissionError"


@as_root
def test_no_command_line_of_a_ray_that_runs_holds_its_token(ray_executor):
    handle = ray_executor.submit(calls.double, 2)
    while not ray_executor.wait([handle], 10):
        pass
    token, seen = ray_local._token().encode(), 0
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = one.read_bytes()
        except OSError:
            continue
        seen += str(ray_executor._folder).encode() in line
        assert token not in line
    assert seen


def kinds(place: Path):
    """Things in a shared folder that hold a launch up or make it remove what is not its own."""
    for number, what in enumerate(("pipe", "link", "folder", "socket", "file")):
        folder = place / f"sf-{number:08d}"
        if what == "file":
            folder.write_text("")
            continue
        folder.mkdir()
        alive = folder / "alive"
        if what == "pipe":
            os.mkfifo(alive)
        elif what == "link":
            alive.symlink_to(place / "victim")
        elif what == "folder":
            alive.mkdir()
        else:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(alive))


TAKE = """
import sys
from cluster.ray_local import own_folder
folder, lock = own_folder(sys.argv[1])
lock.close()
print(folder)
"""


def take(place: Path) -> Path:
    """`own_folder` in a process of its own, so that one that hangs is seen."""
    done = subprocess.run(
        [sys.executable, "-c", TAKE, str(place)], capture_output=True, text=True, timeout=20,
        cwd=Path(ray_local.__file__).resolve().parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_pipes_links_and_sockets_in_a_shared_folder_are_passed_by(tmp_path):
    (tmp_path / "victim").write_text("precious")
    kinds(tmp_path)
    (tmp_path / "sf-precious").symlink_to(tmp_path, target_is_directory=True)
    before = sorted(p.name for p in tmp_path.iterdir())
    made = take(tmp_path)
    assert sorted({p.name for p in tmp_path.iterdir()} - {made.name}) == before
    assert (tmp_path / "victim").read_text() == "precious"


@as_root
def test_folders_of_other_users_are_left_alone(tmp_path):
    theirs = tmp_path / "sf-theirs00"
    theirs.mkdir()
    (theirs / "alive").touch()
    os.chown(theirs, NOBODY, NOBODY)
    take(tmp_path)
    assert (theirs / "alive").exists()


@pytest.mark.parametrize(
    ("names", "age", "goes"),
    [
        (["alive", "r"], 0, True), (["r"], 7200, True), (["starting"], 7200, True),
        ([], 7200, True), (["r"], 0, False), (["r", "thesis.tex"], 7200, False),
    ],
)  # fmt: skip
def test_what_killed_launches_left_goes_and_nothing_else(tmp_path, names, age, goes):
    left = tmp_path / "sf-left0000"
    left.mkdir()
    for name in names:
        (left / name).touch()
    os.utime(left, (time.time() - age,) * 2)
    take(tmp_path)
    assert left.exists() is not goes


def test_a_folder_whose_owner_lives_stays(tmp_path):
    folder, lock = ray_local.own_folder(str(tmp_path))
    take(tmp_path)
    assert Path(folder, "alive").exists()
    lock.close()
    take(tmp_path)
    assert not Path(folder).exists()
