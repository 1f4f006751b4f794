import json
import os

import pytest
import toys

from jobs.run.attempt import run_task, try_task
from jobs.run.queue import TRIES, Queue
from jobs.run.stop import Stop
from jobs.run.worker import main, work
from jobs.store.spec import SpecError, dump_task, load_task, read_task
from jobs.store.stage import FileInput, Stage, Task, walk
from jobs.store.staging import (
    READERS,
    VARIABLE,
    StagingError,
    data_workers,
    local_copy,
    read_with,
    stage_to,
)
from jobs.store.store import Store
from jobs.sweep.config import load, load_kind
from jobs.sweep.graph import SweepGraph
from jobs.sweep.kinds import KINDS, SweepConfig
from sweeps import SCALES, write_sweep


def test_a_whole_sweep_survives_json(tmp_path, tiny_checkpoint, tiny_images):
    path = write_sweep(tmp_path, tiny_checkpoint, tiny_images)
    graph = SweepGraph(load(path, SweepConfig, scales=SCALES))
    trial = graph.trial(0, {"lambda_r": 10.0, "lambda_c": 1e-2})
    tables = graph.tables([trial], [0])
    again = read_task(json.dumps(dump_task(tables), sort_keys=True))
    assert again.key == tables.key
    again = read_task(json.dumps(dump_task(tables)))
    assert again == tables and again.key == tables.key
    pairs = list(zip(walk(tables), walk(again)))
    assert len(pairs) == 20
    for one, two in pairs:
        assert (one.key, one.label, one.stage) == (two.key, two.label, two.stage)
        files = [[(f.path, f.digest) for f in task.files()] for task in (one, two)]
        assert files[0] == files[1]
        assert json.dumps(one.config) == json.dumps(two.config)  # types and order too


@pytest.mark.parametrize("name", ["lambda", "pretrain_mini", "rehearsal", "smoke"])
def test_what_a_job_is_told_gives_the_same_configuration(name):
    config = load_kind(SCALES.parent / f"{name}.yaml", KINDS)
    text = json.dumps(config.model_dump(mode="json"))
    again = KINDS[config.kind].model_validate(json.loads(text))
    assert again == config and json.dumps(again.model_dump(mode="json")) == text


def test_shared_inputs_stand_in_it_once():
    task = toys.counting(seed=1)
    for depth in range(30):  # 2^30 paths lead to the first
        task = Task(toys.JOIN, {"threads": 1, "depth": depth}, {"a": task, "b": task})
    spec = dump_task(task)
    assert len(spec["tasks"]) == 31 and load_task(spec).key == task.key


def test_digests_travel_and_are_not_taken_again(tmp_path):
    file = tmp_path / "data.bin"
    file.write_bytes(b"one")
    task = Task(toys.COUNT, {"threads": 1}, {"data": FileInput(file)})
    spec = dump_task(task)
    file.unlink()
    assert load_task(spec).key == task.key


@pytest.mark.parametrize(
    "text, said",
    [
        ("{", "damaged"),
        ("[]", "format 'list'"),
        ('{"format": 9}', "format 9"),
        ('{"format": 1, "task": "x", "tasks": []}', "damaged"),
        ('{"format": 1, "task": "x", "tasks": [{}]}', "damaged"),
    ],
)
def test_what_is_no_task_is_refused(text, said):
    with pytest.raises(SpecError, match=said):
        read_task(text)


def test_a_changed_task_is_refused():
    spec = dump_task(toys.counting(seed=1))
    spec["tasks"][0]["config"]["seed"] = 2
    with pytest.raises(SpecError, match="its key is"):
        load_task(spec)


def test_another_version_of_a_stage_is_refused():
    newer = Stage("reward", 999, "jobs.stages.reward:run_reward")
    with pytest.raises(SpecError, match="version 999 was asked for.*one checkout"):
        load_task(dump_task(Task(newer, {"threads": 1})))


PLANTED = {"name": "planted", "version": 1}


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (PLANTED, "no stage of this code is called 'planted'"),
        ({**PLANTED, "run": "os:system", "sources": []}, "no stage of this code"),
        ({**PLANTED, "name": "../../outside"}, "no stage of this code"),
        ({**PLANTED, "name": "/outside"}, "no stage of this code"),
        ({"name": "count", "version": 1, "run": "os:system"}, None),
        ({"name": ["count"], "version": 1}, "damaged"),
        ({"version": 1}, "damaged"),
        ("count", "damaged"),
        (None, "damaged"),
    ],
)
def test_a_text_says_neither_what_runs_nor_where(stage, said):
    """A stage that is known runs its own function, whatever the text says."""
    spec = dump_task(toys.counting(seed=1))
    spec["tasks"][0]["stage"] = stage
    if said is None:
        assert load_task(spec).stage == toys.COUNT
        return
    with pytest.raises(SpecError, match=said):
        load_task(spec)


@pytest.mark.parametrize("field, value", [
    ("key", 17), ("key", "../x"), ("key", None), ("config", []), ("config", {"threads": 0}),
    ("config", {}), ("inputs", []), ("inputs", {"data": {"task": ["x"]}}),
    ("inputs", {"data": {"file": 3, "digest": "x"}}), ("inputs", {"data": {"task": "other"}}),
])  # fmt: skip
def test_a_damaged_entry_is_refused_and_nothing_else_is_raised(field, value):
    spec = dump_task(toys.counting(seed=1))
    spec["tasks"][0][field] = value
    with pytest.raises(SpecError):
        load_task(spec)


# ---------------------------------------------------------------------- stopping


def test_a_stopped_task_goes_on_where_it_was_and_gives_the_same_bytes(tmp_path):
    store, stop = Store(tmp_path / "a"), Stop(str(tmp_path / "stop"))
    task = toys.counting(steps=9, every=3, runs=str(tmp_path / "ran"))
    stop.ask()
    for saved in (2, 5, 8):
        result = try_task(str(store.root), task, stop)
        assert result.status == "stopped" and not result.ok and store.error(task) is None
        newest = max(p.name for p in (store.work(task) / "checkpoint").iterdir())
        assert int(newest.partition(".")[0]) == saved
    assert not (tmp_path / "ran").exists()
    done = run_task(str(store.root), task)
    whole = run_task(str(tmp_path / "b"), task)
    for name in ("metrics.jsonl", "deep/total.json"):
        assert (done.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_stop_is_a_file_or_a_time(tmp_path):
    stop = Stop(str(tmp_path / "stop"))
    assert not stop.asked() and not Stop(stop.path, deadline=4e9).asked()
    assert Stop(stop.path, deadline=1.0).asked()
    stop.ask()
    stop.ask()
    assert stop.asked() and not Stop(str(tmp_path / "no" / "folder" / "stop")).asked()


# ---------------------------------------------------------------------- node-local inputs


def test_inputs_come_from_the_nodes_own_disk(tmp_path, monkeypatch):
    source = tmp_path / "shared"
    source.mkdir()
    (source / "a.json").write_text("{}")
    (source / "a.bin").write_bytes(b"weights")
    files = [FileInput(source / name) for name in ("a.bin", "a.json")]
    copies = [local_copy(f.path, f.digest, tmp_path / "local") for f in files]
    assert copies[0].parent == copies[1].parent and copies[0].name == "a.bin"
    assert copies[0].read_bytes() == b"weights"
    before = copies[0].stat().st_mtime_ns
    assert local_copy(files[0].path, files[0].digest, tmp_path / "local") == copies[0]
    assert copies[0].stat().st_mtime_ns == before

    monkeypatch.setenv(VARIABLE, str(tmp_path / "local"))
    from jobs.run.attempt import Context

    task = Task(toys.COUNT, {"threads": 1}, {"data": files})
    assert Context(Store(tmp_path), task, tmp_path).input("data") == copies


def test_a_variable_that_a_node_does_not_have_is_an_error(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("SCRATCH_OF_JOB", "/local")
    stage_to(None)
    assert VARIABLE not in os.environ
    stage_to("$SCRATCH_OF_JOB/inputs")
    assert os.environ.pop(VARIABLE) == "/local/inputs"
    with pytest.raises(StagingError, match="local_folder.*not set on this node"):
        stage_to("$NO_SUCH_VARIABLE")


def test_who_says_how_many_threads_decode(monkeypatch):
    monkeypatch.setenv(READERS, "")
    assert 1 <= data_workers() <= 4
    read_with(None)
    assert os.environ[READERS] == ""
    read_with(0)
    assert data_workers() == 0
    monkeypatch.setenv(READERS, "many")
    with pytest.raises(StagingError, match="SIGMAFLOW_DATA_WORKERS is 'many'; set it to a whole"):
        data_workers()


def test_a_folder_is_read_where_it_is(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a")
    digest = FileInput(folder).digest
    assert local_copy(folder, digest, tmp_path / "local") == folder
    with pytest.raises(StagingError, match="was changed after this run began"):
        local_copy(folder, "0" * 64, tmp_path / "local")


def test_a_copy_is_never_of_another_content(tmp_path):
    file = tmp_path / "data.bin"
    file.write_bytes(b"one")
    digest = FileInput(file).digest
    copy = local_copy(file, digest, tmp_path / "local")
    file.write_bytes(b"two")
    assert local_copy(file, digest, tmp_path / "local").read_bytes() == b"one"
    newer = FileInput(file).digest
    assert local_copy(file, newer, tmp_path / "local").read_bytes() == b"two"
    with pytest.raises(StagingError, match="was changed"):
        local_copy(file, digest, tmp_path / "local")
    assert not [p for p in copy.parent.iterdir() if p.name.startswith(".tmp-")]


@pytest.mark.parametrize("how", ["others may write", "a link", "of somebody else"])
def test_a_copy_that_others_could_exchange_is_not_used(tmp_path, how):
    file = tmp_path / "data.bin"
    file.write_bytes(b"one")
    place = local_copy(file, FileInput(file).digest, tmp_path / "local").parent
    assert place.stat().st_mode & 0o777 == 0o700
    if how == "others may write":
        place.chmod(0o777)
    elif how == "a link":
        place.rename(tmp_path / "elsewhere")
        place.symlink_to(tmp_path / "elsewhere")
    elif os.getuid() == 0:
        os.chown(place, 65534, 65534)
    else:
        pytest.skip("needs root, to be a second user")
    assert local_copy(file, FileInput(file).digest, tmp_path / "local") == file
    with pytest.raises(StagingError):
        local_copy(file, "0" * 64, tmp_path / "local")


def test_a_full_disk_of_a_node_is_done_without(tmp_path, monkeypatch):
    from jobs.store import staging

    file = tmp_path / "data.bin"
    file.write_bytes(b"one")
    monkeypatch.setattr(staging, "SPARE", 1 << 60)
    assert local_copy(file, FileInput(file).digest, tmp_path / "local") == file
    with pytest.raises(StagingError):
        local_copy(file, "0" * 64, tmp_path / "local")


# ---------------------------------------------------------------------- the queue


def lay_out(runs, *tasks):
    queue = Queue(runs)
    for task in tasks:
        queue.put(run_task, ("store", task))
    return queue


def test_a_worker_empties_the_queue_and_failures_keep_their_reason(tmp_path):
    good = toys.counting(seed=1)
    bad = Task(toys.FAIL, {"threads": 1, "mended": str(tmp_path / "mended")})
    queue = lay_out(tmp_path, good, bad)
    assert main([str(tmp_path), "--idle-s", "0"]) == 1
    assert set(queue.finished([good.key, bad.key])) == {good.key, bad.key}
    assert queue.take(good.key).ok and "not mended yet" in queue.take(bad.key).error
    assert [p.name for p in queue.folder.iterdir()] == [f"{bad.key}.ended.json"]
    (tmp_path / "mended").touch()
    queue.put(run_task, ("store", bad))
    assert queue.finished([bad.key]) == []
    assert main([str(tmp_path), "--idle-s", "0"]) == 0 and queue.take(bad.key).ok
    assert not list(queue.folder.iterdir())


def test_a_folder_without_a_queue_is_an_error(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2 and "no queue in it" in capsys.readouterr().err


def test_a_busy_task_is_left_to_its_worker(tmp_path):
    one, two = toys.counting(seed=1), toys.counting(seed=2)
    queue = lay_out(tmp_path, one, two)
    with queue.store.claim(one):
        done = work(tmp_path, 0)
        assert [r.key for r in done] == [two.key]
    assert [r.key for r in work(tmp_path, 0)] == [one.key]


def test_a_task_that_kills_its_workers_is_given_up(tmp_path):
    task = toys.counting()
    queue = lay_out(tmp_path, task)
    for _ in range(TRIES):
        queue.begin(task)
    (result,) = work(tmp_path, 0)
    assert result.status == "failed" and f"{TRIES} workers were killed" in result.error
    assert queue.finished([task.key]) == [task.key]


def test_a_worker_that_is_told_to_stop_leaves_the_task_to_others(tmp_path):
    task, stop = toys.counting(pause=0.02, steps=30, every=1), Stop(str(tmp_path / "stop"))
    queue = lay_out(tmp_path, task)
    import threading

    timer = threading.Timer(0.3, stop.ask)
    timer.start()
    assert work(tmp_path, 0, stop) == [] and queue.store.find(task) is None
    assert [p.name for p in queue.folder.iterdir()] == [f"{task.key}.json"]
    assert [r.status for r in work(tmp_path, 0)] == ["done"]


def test_an_offer_that_cannot_be_read_is_a_failure_not_a_loop(tmp_path):
    task = toys.counting()
    queue = lay_out(tmp_path, task)
    (queue.folder / f"{task.key}.json").write_text("{")
    assert work(tmp_path, 0) == []
    assert "damaged" in queue.take(task.key).error


@pytest.mark.parametrize("how", ["another name", "pipe", "link", "folder", "deep", "not a text"])
def test_an_offer_that_somebody_planted_fails_alone(tmp_path, how):
    """A worker neither hangs nor goes round for ever, and the next offer is taken."""
    task = toys.counting(seed=1)
    queue = lay_out(tmp_path, toys.counting(seed=2))
    planted = queue.folder / ("0" * 64 + ".json")
    if how == "another name":
        planted.write_text(json.dumps(dump_task(task)))
    elif how == "pipe":
        os.mkfifo(planted)
    elif how == "link":
        (tmp_path / "elsewhere").write_text(json.dumps(dump_task(task)))
        planted.symlink_to(tmp_path / "elsewhere")
    elif how == "folder":
        planted.mkdir()
    else:
        planted.write_bytes(b"[" * 100_000 if how == "deep" else b"\xff\xfe")
    assert [r.key for r in work(tmp_path, 0)] == [toys.counting(seed=2).key]
    assert queue.store.find(task) is None
    if how != "folder":
        assert json.loads((queue.folder / ("0" * 64 + ".ended.json")).read_text())["error"]
