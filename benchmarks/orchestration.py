"""What orchestration costs: fan-outs, gaps, resuming, memory, and a trial beside Ray Tune's.

    python benchmarks/orchestration.py            # some minutes; --quick: fewer of everything

Stages here do nothing or sleep, so all that is measured is the way to them. Everything goes through
the code that launches use: driver, claims, publication, Ray, the search, MLflow. The finished
sweep of 200 trials is `sweeps/lambda.yaml` launched once with stages that write small files in the
place of the real ones, and then recognised by the unchanged command. Ray Tune needs `ray[tune]`.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = str(ROOT)  # of commands and children that are started elsewhere

from cluster.executor import NOTHING_SPECIAL, Executor, Resources, start  # noqa: E402
from cluster.profile import RayProfile  # noqa: E402
from jobs.run.attempt import Context, Result  # noqa: E402
from jobs.run.driver import Driver  # noqa: E402
from jobs.store.stage import Stage, Task  # noqa: E402
from jobs.store.store import Store  # noqa: E402

HERE = "benchmarks.orchestration"
BLOCK = Stage("block", 1, f"{HERE}:run_block", torch=False)
TRAINING = Stage("training", 1, f"{HERE}:run_block", torch=False, actor=True)
NOTHING = Stage("nothing", 1, f"{HERE}:run_nothing", torch=False, actor=True)
SLOTS = 4
SPACE = {"lambda_r": (0.0, 10.0), "lambda_c": (0.001, 1.0)}


def run_block(ctx: Context) -> None:
    """Sleeps; when it began and ended lies outside of the store."""
    begun = time.time()
    time.sleep(ctx.config["seconds"])
    (ctx.folder / "out.txt").write_text("x")
    with open(ctx.config["log"], "a") as file:
        file.write(f"{begun} {time.time()}\n")


def run_nothing(ctx: Context) -> None:
    params = ctx.config["params"]
    (ctx.folder / "summary.json").write_text(json.dumps(measure(**params)))


def measure(lambda_r: float, lambda_c: float) -> dict[str, float]:
    """What a trial that does nothing says of itself, here and in Ray Tune."""
    return {"gain": lambda_r - lambda_c, "fid": lambda_r * lambda_c}


# In this process: driver and Ray


def warm(executor: Executor, actors: int = 0) -> None:
    """Ray's first processes take seconds, whoever starts them."""
    handles = [executor.submit(len, "x") for _ in range(SLOTS)]
    handles += [executor.submit(len, "x", resources=Resources(actor=True)) for _ in range(actors)]
    while handles:
        done = executor.wait(handles, 10)
        handles = [one for one in handles if one not in done]


def drive(executor: Executor, root: Path, tasks: Sequence[Task]) -> float:
    """Seconds until all are done."""
    driver = Driver(Store(root), executor)
    begun = time.perf_counter()
    driver.add(tasks)
    while driver.busy:
        driver.step()
    seconds = time.perf_counter() - begun
    assert all(result.status == "done" for result in driver.results.values())
    return seconds


def fan_out(folder: Path, blocks: int) -> dict[str, float]:
    """Blocks of a second on four slots, against blocks / slots seconds."""
    folder.mkdir()
    with start(RayProfile(cpus=SLOTS, gpus=0)) as executor:
        warm(executor)
        log = str(folder / "fan.log")
        first = [Task(BLOCK, {"threads": 1, "seconds": 0.5, "log": log, "n": n})
                 for n in range(SLOTS)]  # fmt: skip
        drive(executor, folder / "first", first)  # workers import once what they run
        tasks = [Task(BLOCK, {"threads": 1, "seconds": 1.0, "log": log, "n": n})
                 for n in range(blocks)]  # fmt: skip
        seconds = drive(executor, folder / "fan", tasks)
        gaps = {}
        for kind, stage in (("training", TRAINING), ("block", BLOCK)):
            log = folder / f"{kind}.log"
            with_one = [Task(stage, {"threads": SLOTS, "seconds": 0.2, "log": str(log), "n": n})
                        for n in range(6)]  # fmt: skip
            drive(executor, folder / kind, with_one)
            times = sorted(tuple(map(float, row.split())) for row in log.read_text().splitlines())
            gaps[kind] = statistics.median(b[0] - a[1] for a, b in zip(times, times[1:]))
    least = -(-blocks // SLOTS) * 1.0
    print(f"\n{blocks} blocks of 1 s on {SLOTS} slots: {seconds:.2f} s, no less than {least:.0f} s")
    print(
        f"gap on one slot: {gaps['training']:.2f} s between trainings, "
        f"{gaps['block']:.3f} s between blocks"
    )
    return {
        "fanout_overhead": seconds / least - 1, "gap_training_s": gaps["training"],
        "gap_block_s": gaps["block"],
    }  # fmt: skip


class AtOnce(Executor):
    """Ends everything at once, elsewhere than on the disk."""

    slots = 64

    def submit(
        self, function: Callable[..., Any], *args: Any, resources: Resources = NOTHING_SPECIAL
    ) -> Any:
        return args[1]

    def wait(self, handles: Sequence[Any], timeout: float) -> list[Any]:
        return list(handles)

    def result(self, handle: Any) -> Result:
        return Result(handle.key, "done", Path("there"))

    def close(self) -> None:
        pass


def driver_memory(folder: Path, count: int) -> dict[str, float]:
    """Bytes a task of a fan-out costs the driver, above the task itself."""
    tasks = [Task(BLOCK, {"threads": 1, "seconds": 0.0, "log": "", "n": n}) for n in range(count)]
    for task in tasks:
        _ = task.key
    before = resident()
    driver = Driver(Store(folder / "memory"), AtOnce())
    driver.add(tasks)
    added = resident()
    peak, cpu = added, time.process_time()
    while driver.busy:
        driver.step()
        peak = max(peak, resident())
    cpu = time.process_time() - cpu
    print(
        f"\n{count} tasks: {(peak - before) / count:.0f} bytes each in the driver "
        f"({peak / 2**20:.0f} MiB in all), {1e6 * cpu / count:.0f} us of CPU each to run them"
    )
    return {
        "driver_bytes_per_task": (peak - before) / count, "driver_peak_mib": peak / 2**20,
        "driver_added_mib": (added - before) / 2**20, "driver_cpu_us_per_task": 1e6 * cpu / count,
    }  # fmt: skip


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def our_trials(folder: Path, count: int) -> float:
    """Seconds of so many trials that do nothing: asked, run, claimed, published,
    told, and in MLflow. Ray and the database are there before."""
    from jobs.search.search import Search
    from jobs.search.trials import run_trials
    from jobs.store.ledger import Ledger, new_folder
    from jobs.track.ingest import Follower, ingest, local_uri

    space = {
        "lambda_r": {"low": 0.0, "high": 10.0}, "lambda_c": {"low": 0.001, "high": 1.0, "log": True}
    }  # fmt: skip
    objectives = {"gain": "maximize", "fid": "minimize"}
    search = Search(folder / "bench.journal", space, 0, SLOTS, objectives)
    launch, uri = new_folder(folder, "bench"), local_uri(folder)
    follower = Follower(folder, "bench", launch, uri)
    said = dict(on="ray", kind="sweep", scale="mini", config={}, fid_name="fid", trials=count)
    ledger = Ledger(folder, "bench", "0" * 12, folder=launch, params=list(space), **said)

    def plan(number: int, params: dict[str, Any]) -> Task:
        task = Task(NOTHING, {"threads": 1, "params": params}, label=f"trial {number}")
        ledger.trial(number, params, task)
        return task

    def values(path: Path) -> tuple[float, float]:
        said = json.loads((path / "summary.json").read_text())
        return said["gain"], said["fid"]

    with start(RayProfile(cpus=SLOTS, gpus=0)) as executor:
        warm(executor, actors=1)
        with ledger:
            ingest(folder, "bench", uri)
            driver = Driver(Store(folder / "store"), executor, ledger.event)
            begun = time.perf_counter()
            follower.start()
            run_trials(search, count, driver, plan, values)
            ledger.close("done")
            assert follower.finish() == ""
            seconds = time.perf_counter() - begun
    search.close()
    assert _in_mlflow(uri) == 1 + 2 * count  # the sweep, its trials, a stage of each
    return seconds


def _in_mlflow(uri: str) -> int:
    import mlflow

    client = mlflow.MlflowClient(uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    found = client.search_runs(experiments, max_results=1000)
    return sum(run.info.status == "FINISHED" for run in found)


def tune_trials(folder: Path, count: int) -> float:
    """The same of Ray Tune with its OptunaSearch, without MLflow."""
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    place = tempfile.mkdtemp(prefix="sf-tune-")
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AIR_NEW_OUTPUT="0")
    ray.init(address="local", num_cpus=SLOTS, num_gpus=0, include_dashboard=False,
             object_store_memory=200 * 2**20, log_to_driver=False, _temp_dir=place)  # fmt: skip
    try:
        warm_up = ray.remote(lambda: None)
        ray.get([warm_up.remote() for _ in range(SLOTS)])
        tuner = tune.Tuner(
            tune.with_resources(lambda config: measure(**config), {"cpu": 1}),
            param_space={
                "lambda_r": tune.uniform(0, 10), "lambda_c": tune.loguniform(0.001, 1.0),
            },
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(metric=["gain", "fid"], mode=["max", "min"]),
                num_samples=count, max_concurrent_trials=SLOTS,
            ),
            run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
        )  # fmt: skip
        begun = time.perf_counter()
        results = tuner.fit()
        seconds = time.perf_counter() - begun
        assert len(results) == count and not results.num_errors
        return seconds
    finally:
        ray.shutdown()
        shutil.rmtree(place, ignore_errors=True)


# The command itself


def command(runs: Path, sweep: str, *more: str, on: str = "inline") -> list[str]:
    return [
        sys.executable, "-m", "jobs.launch", str(ROOT / "sweeps" / sweep), "--on", on,
        "--runs", str(runs), *more,
    ]  # fmt: skip


def first_stage(folder: Path) -> dict[str, float]:
    """Seconds from the command to the first claim of a stage, through a Ray that it starts."""
    runs, begun = folder / "first", time.perf_counter()
    with open(folder / "first.log", "w") as log:
        process = subprocess.Popen(
            command(runs, "smoke.yaml", on="local"), stdout=log, stderr=log, cwd=folder
        )
    try:
        while not list(runs.glob("store/*/.claim-*")):
            assert process.poll() is None, (folder / "first.log").read_text()
            time.sleep(0.02)
        seconds = time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    print(f"\nfrom the command to the first stage: {seconds:.1f} s")
    return {"first_stage_s": seconds}


def resume(folder: Path, trials: int, repeats: int) -> dict[str, float]:
    """Seconds that the command takes to find that a sweep of so many trials is done."""
    runs, more = folder / "resume", ("--set", f"search.trials={trials}")
    begun = time.perf_counter()
    spawn("fill", runs, trials)
    filled = time.perf_counter() - begun
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        done = subprocess.run(
            command(runs, "lambda.yaml", *more), capture_output=True, text=True, cwd=folder
        )
        seconds.append(time.perf_counter() - begun)
        assert done.returncode == 0 and "nothing to do" in done.stdout, done.stdout + done.stderr
    middle = statistics.median(seconds)
    print(
        f"\na finished sweep of {trials} trials is recognised in {middle:.2f} s "
        f"({', '.join(f'{s:.2f}' for s in seconds)}); filling it took {filled:.0f} s"
    )
    return {f"resume_{trials}_s": middle}


def fill(runs: Path, trials: int) -> None:
    """Launch the sweep with stages that write small files where the real ones compute."""
    from jobs import launch
    from jobs.run import attempt as run

    run._load = lambda target: _small_files
    code = launch.main([*command(runs, "lambda.yaml")[3:], "--set", f"search.trials={trials}"])
    assert code == 0, "the sweep could not be filled"


def _small_files(ctx: Context) -> None:
    """What the launching process reads of each stage, with numbers that mean nothing."""
    import pandas as pd

    folder, config = ctx.folder, ctx.config
    if "params" in config and "numbers" not in config:  # a trial
        gain, fid = measure(**config["params"]).values()
        numbers = {
            "reward_delta_mean": gain, "reward_share_positive": 0.5, "heldout_delta_mean": gain,
            "fid": fid, "fid_start": 1.0, "preference_share_tuned": 0.5,
            "closeness_share_closer": 0.5,
        }  # fmt: skip
        (folder / "summary.json").write_text(json.dumps({**config["params"], **numbers}))
    elif "numbers" in config:  # the tables
        for name in ("tables", "figures"):
            (folder / name).mkdir()
        rows = [{"trial": n, **params, "reward_delta_mean": 0.0, "fid": 1.0, "control": False}
                for n, params in zip(config["numbers"], config["settings"])]  # fmt: skip
        pd.DataFrame(rows).to_parquet(folder / "tables" / "trials.parquet", index=False)
    elif "finetune" in config:
        (folder / "gan").mkdir()
        (folder / "gan" / "config.json").write_text("{}")
        ctx.log(1, seeds_gain=0.0)
    elif "network" in config:  # a reward
        rows = [{"scorer": s, "pairs": "regular", "share": 0.5, "low": 0.4, "high": 0.6, "n": 9}
                for s in ("reward", "slab_mean")]  # fmt: skip
        pd.DataFrame(rows).to_parquet(folder / "accuracy.parquet", index=False)
        (folder / "reward.safetensors").write_bytes(b"x")
        (folder / "reward.json").write_text("{}")
    elif "questions" in config:
        (folder / "anchors.json").write_text(json.dumps({"on": True, "preferred": 0.9}))
    else:
        (folder / "out.txt").write_text("x")


def spawn(what: str, folder: Path, count: int) -> float:
    """A part in a process of its own; the seconds that it says."""
    words = [sys.executable, __file__, "--child", what, str(folder), str(count)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{what} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def trials(folder: Path, count: int, repeats: int) -> dict[str, float]:
    """Both sides in turn, each time from nothing."""
    ours, theirs = [], []
    for i in range(repeats):
        for what, seconds in (("ours", ours), ("tune", theirs)):
            place = folder / f"{what}-{i}"
            place.mkdir()
            seconds.append(spawn(what, place, count) / count)
    a, b = statistics.median(ours), statistics.median(theirs)
    print(
        f"\n{count} trials that do nothing, {SLOTS} at once: {a:.2f} s each "
        f"({', '.join(f'{s:.2f}' for s in ours)}); Ray Tune {b:.2f} s "
        f"({', '.join(f'{s:.2f}' for s in theirs)})"
    )
    return {"trial_s": a, "trial_tune_s": b, "trial_overhead_vs_ray_tune": b / a}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer of everything, each once")
    parser.add_argument("--repeats", type=int, default=3, help="of the last three parts")
    parser.add_argument("--no-tune", action="store_true", help="leave Ray Tune out")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        what, folder, count = args.child
        call = {"ours": our_trials, "tune": tune_trials, "fill": fill}[what]
        print(json.dumps(call(Path(folder), int(count))))
        return
    quick = args.quick
    out: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="sf-bench-") as name:
        folder = Path(name)
        out |= driver_memory(folder, 10_000 if quick else 100_000)
        out |= first_stage(folder)
        found = [fan_out(folder / f"fan{n}", 16 if quick else 100)
                 for n in range(1 if quick else args.repeats)]  # fmt: skip
        out |= {key: statistics.median(one[key] for one in found) for key in found[0]}
        out |= resume(folder, 20 if quick else 200, 1 if quick else args.repeats)
        if not args.no_tune:
            out |= trials(folder, 8 if quick else 32, 1 if quick else args.repeats)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
