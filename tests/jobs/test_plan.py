"""What a dry run says of every task, and why."""

import dataclasses
import json
import os
import shutil

import pytest
import toys

from cluster.profile import SlurmProfile, SlurmWorkersProfile
from jobs.run.attempt import run_task
from jobs.store.claim import Claim
from jobs.store.stage import FileInput, Task
from jobs.store.store import Store
from jobs.sweep import nearest, plan
from jobs.sweep.config import load
from jobs.sweep.cost import Costs
from jobs.sweep.kinds import SweepConfig
from jobs.sweep.plan import plan_tasks
from sweeps import SCALES, launch, write_sweep


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def done(store, *tasks):
    for task in tasks:
        assert run_task(str(store.root), task).ok


def of(store, task):
    """(state, reason) of one task."""
    found = next(p for p in plan_tasks([task], store) if p.task == task)
    return found.state, found.reason


def test_an_empty_store_has_nothing(store):
    assert of(store, toys.counting()) == ("RUN", "no count in this store yet")


def test_what_is_finished_is_found(store):
    done(store, toys.counting())
    assert of(store, toys.counting()) == ("HIT", "")


def test_the_first_setting_that_differs_from_the_nearest(store):
    done(store, toys.counting(seed=1, extra={"a": 1}), toys.counting(seed=2, extra={"a": 5}))
    wanted = toys.counting(seed=1, extra={"a": 2.5})
    assert of(store, wanted) == ("RUN", "extra.a 2.5, cached has 1")
    assert of(store, toys.counting(seed=2, extra={"a": 5}, more=[1] * 9)) == (
        "RUN", "more [1 ... 1], cached has nothing",
    )  # fmt: skip


def kept(store, task):
    """As much of a finished result as a dry run looks at."""
    folder = store.path(task)
    folder.mkdir(parents=True)
    (folder / "task.json").write_text(json.dumps({**task.spec(), "key": task.key}))
    said = {"format": 1, "key": task.key, "files": {}, "seconds": 1, "finished": 1}
    (folder / "done.json").write_text(json.dumps(said))


def test_the_nearest_of_many_is_found_by_what_is_rare(store):
    """Also where no more than a few of a stage's results are compared."""
    for seed in range(40):
        for lr in (1.0, 2.0):
            kept(store, toys.counting(seed=seed, lr=lr, word=f"w{seed % 2}"))
    said = of(store, toys.counting(seed=33, lr=3.0, word="w1"))[1]
    assert said.startswith("lr 3.0, cached has ")  # both are as near
    assert of(store, toys.counting(seed=33, lr=2.0, word="w1", more=1))[1] == (
        "more 1, cached has nothing"
    )
    said = of(store, toys.counting(seed=77, lr=2.0, word="w1"))[1]
    assert said.startswith("seed 77, cached has ")
    assert of(store, Task(toys.COUNT, {"threads": 5}))[1].startswith("threads 5, cached has 1")


def test_a_dry_run_compares_few_whatever_the_store_holds(store, monkeypatch):
    """Counted, since the time of a comparison is the machine's affair."""
    for seed in range(60):
        kept(store, toys.counting(seed=seed))
    compared, differ = [], nearest._differ
    monkeypatch.setattr(nearest, "_differ", lambda *args: compared.append(0) or differ(*args))
    planned = plan_tasks([toys.counting(seed=seed, lr=1.0) for seed in range(50)], store)
    assert {p.state for p in planned} == {"RUN"}
    assert len(compared) <= nearest.BEST * 50


def test_a_raised_version(store):
    done(store, toys.counting())
    newer = dataclasses.replace(toys.COUNT, version=2)
    task = Task(newer, toys.counting().config)
    assert of(store, task) == ("RUN", "version 2 of the stage, cached has 1")


def test_siblings_of_the_same_graph_are_no_reason(store):
    graph = toys.graph(seeds=(1, 2, 3))
    done(store, *list(graph.needs())[:2])
    planned = {p.task.label: p for p in plan_tasks([graph], store)}
    states = [p.state for p in plan_tasks([graph], store)]
    assert states == ["HIT", "HIT", "RUN", "RUN"]
    assert planned["count"].reason == "no count in this store yet"


def test_other_inputs(store, tmp_path):
    done(store, *toys.graph(seeds=(1, 2)).needs(), toys.graph(seeds=(1, 2)))
    assert of(store, toys.graph(seeds=(1, 3))) == ("RUN", "needs count, which runs")
    done(store, toys.counting(seed=3, runs=""))
    state, reason = of(store, toys.graph(seeds=(1, 3)))
    assert (state, reason) == ("RUN", "other parts: count")
    file = tmp_path / "images.zip"
    file.write_text("one")
    first = Task(toys.COUNT, {"threads": 1, "steps": 1}, {"images": FileInput(file)})
    done(store, first)
    file.write_text("other")
    second = Task(toys.COUNT, {"threads": 1, "steps": 1}, {"images": FileInput(file)})
    assert of(store, second) == ("RUN", f"other images: {file}")


def test_a_failure_is_remembered_with_its_last_line(store, tmp_path):
    task = Task(toys.FAIL, {"threads": 1, "mended": str(tmp_path / "mended")})
    assert run_task(str(store.root), task).status == "failed"
    assert of(store, task) == ("RUN", "failed last time: ValueError: not mended yet")


def test_a_result_that_lost_bytes(store):
    task = toys.counting()
    done(store, task)
    (store.path(task) / "metrics.jsonl").write_text("")
    assert of(store, task) == ("RUN", "its files are not whole; made again")
    shutil.rmtree(store.path(task))
    assert of(store, task) == ("RUN", "no count in this store yet")


def test_a_checkpoint_is_resumed(store):
    task = toys.counting(steps=20)
    work = store.claim(task)
    (work.folder / "checkpoint").mkdir()
    (work.folder / "checkpoint" / "000000000011").write_bytes(b"1")
    assert of(store, task)[0] == "BLOCKED"
    store.release(task, work.claim)
    assert of(store, task) == ("RESUME", "checkpoint at step 11")
    (work.folder / "progress.json").write_text(json.dumps({"done": 11, "total": 20}))
    assert of(store, task) == ("RESUME", "checkpoint at step 11 of 20")
    (work.folder / "progress.json").write_text(json.dumps({"done": 13, "total": 20}))
    (found,) = plan_tasks([task], store)
    assert found.reason == "checkpoint at step 11, 13 of 20 done"
    assert found.left == pytest.approx(7 / 20)


def test_what_another_process_makes_blocks(store):
    graph = toys.graph(seeds=(1, 2))
    first = next(graph.needs())
    store.path(first).parent.mkdir(parents=True)
    claim = Claim(store.path(first).parent / f".claim-{first.key[:20]}")
    assert claim.take()
    by = {p.task.key: p for p in plan_tasks([graph], store)}
    assert by[first.key].state == "BLOCKED"
    assert by[first.key].reason.endswith(f":{os.getpid()} works on it")
    assert (by[graph.key].state, by[graph.key].reason) == ("BLOCKED", "needs count")
    claim.release()
    assert of(store, first)[0] == "RUN"


def test_ranges():
    assert plan._ranges([2, 3, 4, 7]) == "2-4, 7"
    assert plan._ranges([5]) == "5"


def test_planning_leaves_the_store_alone(store):
    plan_tasks([toys.graph()], store)
    assert not os.path.exists(store.root)


# ---------------------------------------------------------------------- estimates


def finished(store, task, seconds, **changes):
    done(store, task)
    path = store.path(task) / "done.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": seconds, **changes}))


def test_history_gives_the_median_and_the_range(store):
    for seed, seconds in ((1, 10.0), (2, 20.0), (3, 60.0)):
        finished(store, toys.counting(seed=seed), seconds)
    cost = Costs(store.root, "mini").of(toys.counting(seed=4))
    assert not cost.guessed
    spans = (cost.seconds.low, cost.seconds.middle, cost.seconds.high)
    assert spans == (10.0, 20.0, 60.0) and cost.bytes.middle > 0
    half = Costs(store.root, "mini").of(toys.counting(seed=4), left=0.5)
    assert half.seconds.middle == 10.0


def test_one_finished_task_gives_a_wide_interval(store):
    finished(store, toys.counting(seed=1), 10.0)
    span = Costs(store.root, "mini").of(toys.counting(seed=4)).seconds
    assert (span.low, span.middle, span.high) == (5.0, 10.0, 20.0)


def slabs(seeds, resolution=16):
    from jobs.stages.shapes import SLABS

    grid = {"resolution": resolution, "kind": "regular", "length": 1.0, "pads": None}
    return Task(SLABS, {"threads": 1, "psi": 1.0, "grid": grid, "seeds": list(range(seeds))})


def past(store, task, seconds, size):
    """A finished folder as a stage would leave it."""
    work = store.claim(task)
    with work:
        (work.folder / "slabs.npy").write_bytes(b"0" * size)
        work.publish(seconds)


def test_history_is_scaled_by_size_and_needs_the_same_grid(store):
    past(store, slabs(10), 90.0, 40_000)
    cost = Costs(store.root, "mini").of(slabs(40))
    assert cost.seconds.middle == pytest.approx(360.0) and not cost.guessed
    assert cost.bytes.middle == pytest.approx(160_000, rel=0.02)
    assert Costs(store.root, "mini").of(slabs(40, resolution=32)).guessed


def test_a_first_small_task_is_believed_by_half(store):
    """It also compiles and imports; a second one tells how long that is."""
    table = Costs(store.root, "mini").of(slabs(40)).seconds
    past(store, slabs(10), 30.0, 40_000)
    cost = Costs(store.root, "mini").of(slabs(40))
    assert cost.seconds.middle == pytest.approx((120 * table.middle) ** 0.5) and cost.guessed
    assert (cost.seconds.low, cost.seconds.high) == (table.low, pytest.approx(240.0))
    past(store, slabs(20), 1.0, 80_000)
    cost = Costs(store.root, "mini").of(slabs(40))
    assert cost.seconds.low == pytest.approx(2.0) and not cost.guessed


def test_without_history_the_table_is_used_and_said_to_be(store):
    mini, paper = (Costs(store.root, scale).of(slabs(64, 256)) for scale in ("mini", "paper"))
    assert mini.guessed and paper.guessed
    assert mini.seconds.middle > 10 * paper.seconds.middle
    assert paper.bytes.middle == pytest.approx(64 * 256**3 * 4, rel=1e-3)


def finetune(tmp_path, networks, **settings):
    """A fine-tune of networks whose settings are in a checkpoint's config.json."""
    from jobs.sweep.graph import FINETUNE
    from sigmaflow.finetune.config import FinetuneConfig

    (tmp_path / "config.json").write_text(json.dumps(networks))
    grid = {"resolution": 256, "kind": "released", "length": 1.0, "pads": None}
    config = {
        "threads": 1,
        "grid": grid,
        "tick_seeds": 200,
        "finetune": FinetuneConfig(**settings).model_dump(mode="json"),
    }
    files = {
        "generator": (FileInput(tmp_path / "config.json"),),
        "reward": toys.counting(),
        "images": FileInput(tmp_path / "config.json"),
    }
    return Task(FINETUNE, config, files)


def paper_networks():
    import yaml

    found = yaml.safe_load((SCALES.parent / "rehearsal.yaml").read_text())
    return {"G": found["G"], "D": found["D"]}


def test_a_fine_tune_on_a_gpu_is_counted(store, tmp_path):
    one = Costs(store.root, "paper").of(finetune(tmp_path, paper_networks()))
    assert one.guessed and 0 < one.seconds.low < one.seconds.middle < one.seconds.high
    assert 4e9 < one.gpu_memory <= 24e9
    assert one.memory == Costs(store.root, "mini").of(finetune(tmp_path, paper_networks())).memory
    half = Costs(store.root, "paper").of(finetune(tmp_path, paper_networks(), kimg=10.0))
    assert half.seconds.middle == pytest.approx(one.seconds.middle / 2)
    small = Costs(store.root, "paper").of(
        finetune(tmp_path, paper_networks(), consistency_resolution=32)
    )
    assert small.seconds.middle < one.seconds.middle
    total = one + half
    assert total.gpu_memory == one.gpu_memory and (total * 3).gpu_memory == one.gpu_memory


def test_networks_that_cannot_be_counted_have_the_table(store, tmp_path):
    strange = paper_networks()
    strange["G"]["rendering_kwargs"]["superresolution_module"] = "Other"
    for networks in (strange, {"G": {}, "D": {}}, {"G": strange["G"], "D": None}, []):
        cost = Costs(store.root, "paper").of(finetune(tmp_path, networks))
        assert cost.guessed and cost.gpu_memory == 0
        assert (cost.seconds.low, cost.seconds.high) == (20 * 900.0, 20 * 1800.0)


def test_another_reward_is_not_counted_as_the_unet(store, tmp_path):
    unet = finetune(tmp_path, paper_networks())
    light = toys.counting(network={"backbone": "resnet3d"})
    other = Task(unet.stage, unet.config, {**unet.inputs, "reward": light})
    cost = Costs(store.root, "paper").of(other)
    assert (cost.gpu_memory, cost.seconds.low) == (0, 20 * 900.0)
    assert Costs(store.root, "paper").of(unet).gpu_memory > 0


# ---------------------------------------------------------------------- the command


def test_a_dry_run_at_paper_scale_tells_of_the_card(tmp_path):
    from cluster.profile import InlineProfile
    from jobs.sweep.kinds import RehearsalConfig

    config = load(SCALES.parent / "rehearsal.yaml", RehearsalConfig, scales=SCALES)
    said = list(plan.lines(config, InlineProfile(), tmp_path / "runs"))
    (line,) = [line for line in said if "not measured" in line]
    assert "estimated from counts" in line and "24 GB" in line and "micro-batches of 2 fit" in line
    assert any(line.startswith("GPU memory: about") for line in said)


def test_a_dry_run_of_a_whole_sweep(tmp_path, tiny_checkpoint, tiny_images, capsys):
    sweep = write_sweep(
        tmp_path, tiny_checkpoint, tiny_images,
        search={"trials": 6, "parallelism": 2,
                "space": {"lambda_r": {"low": 0.0, "high": 30.0}},
                "first": [{"lambda_r": 10.0}, {"lambda_r": 0.0}]},
    )  # fmt: skip
    runs = tmp_path / "runs"
    assert launch(sweep, runs, "--dry-run")[0] == 0
    said = launch(sweep, runs, "--dry-run")[1]
    assert not runs.exists()
    assert "fine-tune lambda_r=10" in said and "measure start" in said
    trials = "trials 2-5: 4 x (fine-tune, measure, images, FID, compare)"
    (row,) = [line for line in said.splitlines() if trials in line]
    assert "trial 2 is asked once trial 0 ended" in row
    assert "tables and figures" in said and "free" in said and "work: " in said
    assert "22 RUN, 4 trials not asked yet" in said
    assert not [line for line in said.splitlines() if " HIT" in line]
    assert "not measured" not in said and "GPU memory" not in said


def test_many_trials_are_shown_together(tmp_path, tiny_checkpoint, tiny_images):
    first = [{"lambda_r": float(i)} for i in range(20)]
    sweep = write_sweep(
        tmp_path, tiny_checkpoint, tiny_images,
        search={"trials": 20, "space": {"lambda_r": {"low": 0.0, "high": 30.0}}, "first": first},
    )  # fmt: skip
    said = launch(sweep, tmp_path / "runs", "--dry-run")[1]
    assert "fine-tune x20" in said and "20 RUN" in said and len(said.splitlines()) < 25


@pytest.mark.parametrize(
    "site, at_once",
    [(SlurmProfile(nodes=3, cpus_per_task=2), 6), (SlurmWorkersProfile(workers=5), 5)],
)
def test_the_batch_script_is_shown_where_there_is_one(
    tmp_path, tiny_checkpoint, tiny_images, site, at_once
):
    pytest.importorskip("submitit")
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images)
    config = load(sweep, SweepConfig, scales=SCALES)
    said = list(plan.lines(config, site, tmp_path / "runs"))
    assert any(f"at {at_once} at once" in line for line in said)
    script = said[said.index("#!/bin/bash") :]
    assert "#SBATCH --job-name=sigmaflow-tiny" in script
    assert any(f"{tmp_path / 'runs' / 'slurm' / 'tiny' / 'jobs'}" in line for line in script)


def test_a_bad_sweep_is_refused_as_ever(tmp_path, tiny_images, capsys):
    sweep = write_sweep(tmp_path, tmp_path / "nowhere", tiny_images)
    assert launch(sweep, tmp_path / "runs", "--dry-run")[0] == 2
    assert "no checkpoint folder" in capsys.readouterr().err
