"""What a stage takes of its machine: its own process, its own GPU, no part of its result."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from launches import launch
from toys import counting, graph

from jobs.run import attempt as run
from jobs.run import system
from jobs.store.store import Store
from sweeps import outputs

FAKE = f"""#!{sys.executable}
import os, sys
with open(os.environ["FAKE_LOG"], "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
ids = next(a for a in sys.argv if a.startswith("--id=")).removeprefix("--id=").split(",")
if "9" in ids:
    sys.exit("No devices were found")
for one in ids:
    print(f"{{one}}, 93, 20480, [N/A]" if one == "3" else f"{{one}}, 5, 100, 60.5")
"""


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """An nvidia-smi of our own; gives the file where it notes how it was called."""
    path = tmp_path / "bin" / "nvidia-smi"
    path.parent.mkdir()
    path.write_text(FAKE)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "called"))
    return tmp_path / "called"


@pytest.mark.parametrize(
    "given, wanted, own",
    [("2,5", 1, ["2", "5"]), ("GPU-abc", 0.5, ["GPU-abc"]), ("", 1, []), ("-1", 1, []),
     (None, 1, ["0"]), ("2", 0, []), (None, 0, [])],
)  # fmt: skip
def test_only_the_gpus_that_it_was_given(monkeypatch, given, wanted, own):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert system.own_gpus(wanted) == own


def test_nvidia_smi_is_asked_for_these_alone(smi):
    assert system.gpu_sample(["1", "3"]) == {
        "gpu1_util": 5, "gpu1_mem_mb": 100, "gpu1_power_w": 60.5,
        "gpu3_util": 93, "gpu3_mem_mb": 20480,
    }  # fmt: skip
    assert "--id=1,3" in smi.read_text()


def samples(path, count, gpus):
    watch = system.Watch(path, gpus)
    assert all(watch.sample() for _ in range(count))
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_samples_are_lines_of_json(tmp_path, smi):
    said = samples(tmp_path / "s.jsonl", 3, ["3"])
    assert len(said) == 3
    assert set(said[0]) == {"time", "cpu_percent", "rss_mb", "gpu3_util", "gpu3_mem_mb"}
    assert said[0]["rss_mb"] > 10 and said[-1]["time"] >= said[0]["time"]


def test_a_gpu_that_cannot_be_asked_is_asked_once(tmp_path, smi):
    said = samples(tmp_path / "s.jsonl", 3, ["9"])
    assert all(set(one) == {"time", "cpu_percent", "rss_mb"} for one in said)
    assert len(smi.read_text().splitlines()) == 1


def test_samples_are_no_part_of_a_result(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "watched", lambda root, task: system.watched(root, task, 0.02))
    task = counting(pause=0.15)  # 8 steps: longer than a ticker looks away
    store = launch(tmp_path / "a", "toy", task)
    path = system.spool(store.root, task)
    assert path.is_file() and path.is_relative_to(tmp_path / "a" / "spool")
    monkeypatch.undo()
    launch(tmp_path / "b", "toy", task)
    assert not system.spool(Store(tmp_path / "b" / "store").root, task).exists()
    assert outputs(tmp_path / "a" / "store") == outputs(tmp_path / "b" / "store")
    marker = json.loads((store.path(task) / "done.json").read_text())
    assert set(marker["files"]) == {"metrics.jsonl", "deep/total.json"}


def test_short_stages_leave_no_samples(tmp_path):
    launch(tmp_path, "toy", graph())
    assert not (tmp_path / system.SPOOL).exists()


def test_samples_are_shown_as_system_metrics(tmp_path, monkeypatch):
    from jobs.track import ingest
    from jobs.track.track import Tracker

    task = counting()
    launch(tmp_path, "toy", task)
    path = system.spool(tmp_path / "store", task)
    path.parent.mkdir(parents=True)
    lines = [{"time": 1000.0 + 15 * i, "rss_mb": 100 + i, "gpu0_util": 90} for i in range(4)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ingest.ingest(tmp_path, "toy", ingest.local_uri(tmp_path))
    tracker = Tracker(ingest.local_uri(tmp_path), "toy", ingest.home_id(tmp_path))
    (run_,) = (r for r in tracker.runs().values() if r.info.run_name == "count")
    history = tracker.client.get_metric_history(run_.info.run_id, "system/rss_mb")
    assert [(m.step, m.value, m.timestamp) for m in sorted(history, key=lambda m: m.step)] == [
        (0, 100, 1000000), (15, 101, 1015000), (30, 102, 1030000), (45, 103, 1045000),
    ]  # fmt: skip
    assert run_.data.metrics["system/gpu0_util"] == 90


BLOCKS = """
import ctypes, resource, sys
from jobs.run.memory import keep_freed_blocks

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "keep" and not keep_freed_blocks():
    sys.exit("no mallopt")

def touch(size=64 * 2**20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

touch()
print(touch())
"""


def test_a_stage_finds_its_freed_blocks_again():
    def faults(how):
        done = subprocess.run([sys.executable, "-c", BLOCKS, how], capture_output=True, text=True)
        if "no mallopt" in done.stderr:
            pytest.skip("the C library has no mallopt")
        return int(done.stdout)

    assert faults("keep") < 100 < faults("not")


LEFT = """
import os
from jobs.run.memory import freed, keep_freed_blocks

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20

if not keep_freed_blocks():
    raise SystemExit("no mallopt")
before = resident()
with freed():
    circle = [[bytes(2**20) for _ in range(400)]]
    circle.append(circle)
    held = resident()
    del circle
print(held - before, resident() - before)
"""


def test_what_a_stage_held_is_given_back_before_the_next():
    done = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True)
    if "no mallopt" in done.stderr:
        pytest.skip("the C library has no mallopt")
    held, left = map(int, done.stdout.split())
    assert held > 390 and left < 80


def test_what_torch_holds_of_a_gpu_is_given_back(monkeypatch):
    from jobs.run import memory

    said = []
    gpu = SimpleNamespace(empty_cache=lambda: said.append("empty"))
    monkeypatch.setattr(memory, "cuda_in_use", lambda: gpu)
    with pytest.raises(ValueError), memory.freed():
        raise ValueError
    assert said == ["empty"]
