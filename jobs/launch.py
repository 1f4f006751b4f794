"""``python -m jobs.launch sweeps/lambda.yaml``: run a sweep, or find that it is done.

With ``--dry-run`` it says what would run, why, and what that would cost, and does nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from cluster.slurm import Refused
from jobs.config import ConfigError, load_kind
from jobs.driver import Driver, Event
from jobs.show import Show, duration
from jobs.stage import Task
from jobs.stop import Stop

PROFILES = Path(__file__).resolve().parent.parent / "cluster"


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all is done, 1 when something failed, 2 for a bad configuration, 130 on Ctrl-C."""
    argv = sys.argv[1:] if argv is None else list(argv)
    args = _arguments(argv)
    console = Console()
    try:
        config, profile = read_sweep(args)
        if args.dry_run:
            from jobs.plan import show

            return show(config, profile, Path(os.path.abspath(args.runs)))
        runs = _runs_folder(args.runs)
        if profile.kind == "slurm":
            from jobs import slurm

            return slurm.launch(config, profile, runs, console, argv)
        with terminable() as stop_us:
            return run(
                config, _executor(config, profile, runs), runs, console, stop_us,
                on=profile.kind, command=argv,
            )  # fmt: skip
    except (ConfigError, Refused) as error:
        Console(stderr=True).print(
            str(error), style="red", highlight=False, markup=False, soft_wrap=True
        )
        return 2
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here", style="yellow")
        return 130


@contextlib.contextmanager
def terminable() -> Iterator[Callable[[], None]]:
    """A polite kill, as `jobs.cancel` and batch systems send, is Ctrl-C.

    Gives a function by which other threads do the same. It does so once at most: while Ray shuts
    down, a second signal would be death, whatever we want.
    """
    told = threading.Event()

    def stop(number: int, frame: object) -> None:
        told.set()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: let it clean up
        raise KeyboardInterrupt

    def stop_us() -> None:
        if not told.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():
        yield stop_us
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield stop_us
    finally:
        told.set()
        signal.signal(signal.SIGTERM, before)


def _executor(config, profile, runs: Path):
    from cluster.executor import Lazily

    if profile.kind != "slurm_workers":
        return Lazily(profile)
    from jobs.queue import workers

    return Lazily(profile, lambda p: workers(p, runs, config.name))


def run(
    config, executor, runs: Path, console: Console, on_cancel: Callable[[], None] | None = None,
    stop: Stop | None = None, **said: object,
) -> int:  # fmt: skip
    """Run a checked configuration to its end; 0 when all is done, 1 when something failed.

    Closes the executor. Somebody may ask the launch to stop: ``on_cancel`` is then called, in
    another thread; ``stop``, whose file lies in the ledger's folder, lets what runs come to its
    next save, and Stopped is raised. With neither nobody listens. ``said`` goes into the ledger as
    it is.
    """
    from jobs.digests import remembered
    from jobs.ledger import Ledger, plan_id
    from jobs.plan import first_tasks
    from jobs.store import Store
    from jobs.track import Tracker

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    store, tracker = Store(runs / "store"), Tracker(runs, config.name)
    with remembered(runs):
        graph, first = first_tasks(config)
        plan = plan_id(config.model_dump(mode="json"), first)
    said |= {
        "kind": config.kind, "scale": config.scale,
        "trials": config.search.trials if graph else 0, "config": config.model_dump(mode="json"),
        "fid_name": graph.fid_name if graph else "",
        "params": list(config.search.space) if graph else [],  # in the order of the file
    }  # fmt: skip
    with (
        Ledger(runs, config.name, plan, on_cancel, stop and stop.folder, **said) as ledger,
        executor,
        Show(console) as show,
    ):
        executor.on_job = ledger.slurm_job
        ledger.add(first)
        if graph is not None:
            ledger.roles(start=graph.start, reward=graph.reward, heldout=graph.heldout,
                         real=graph.real, rankings=graph.rankings)
        if executor.slots > 1:
            show.say(f"[dim]{config.name}: {config.kind} at scale {config.scale}, "
                     f"{executor.slots} stages at once, results in {runs}[/]")
        if graph is not None:
            code = _sweep(config, graph, runs, store, executor, tracker, show, ledger, stop)
        else:
            code = _single(config, first[0], runs, store, executor, tracker, show, ledger, stop)
        ledger.close("failed" if code else "done")
        return code


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jobs.launch", description=__doc__)
    parser.add_argument("sweep", help="what to run: a file such as sweeps/lambda.yaml")
    parser.add_argument("--on", default="local", metavar="PROFILE",
                        help="where to run: cluster/X.yaml, or the name of a shipped profile")
    parser.add_argument("--scale", choices=("mini", "paper"), help="how big, over the sweep file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="set a value of the sweep, such as search.trials=4; may be repeated")
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument("--dry-run", action="store_true",
                        help="say what would run, why and what it would cost; run nothing")
    return parser.parse_args(argv)


def read_sweep(args: argparse.Namespace):
    """The checked sweep and profile; ConfigError with the problems of both and of --runs."""
    from cluster import profile as profiles
    from jobs.sweep import KINDS, NO_NETWORKS

    context = NO_NETWORKS if args.dry_run else None
    problems = _runs_problems(args.runs)
    config = profile = None
    path = Path(args.sweep)
    if not path.is_file():
        known = ", ".join(str(p) for p in sorted(path.parent.glob("*.yaml"))) or "none there"
        problems.append(f"{path}: no such file; sweeps: {known}")
    else:
        scales = path.parent / "scales"
        if not scales.is_dir():
            scales = PROFILES.parent / "sweeps" / "scales"
        try:
            config = load_kind(path, KINDS, args.scale, args.set, scales, context)
        except ConfigError as error:
            problems += error.problems
    place = Path(args.on)
    if not place.is_file():
        place = PROFILES / f"{args.on}.yaml"
    if not place.is_file():
        known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yaml")))
        problems.append(f"--on {args.on}: no such file or profile; shipped: {known}")
    else:
        try:
            profile = load_kind(place, profiles.KINDS)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return config, profile


def _runs_problems(name: str) -> list[str]:
    """What can be known of the results folder without making it."""
    place = Path(os.path.abspath(name))
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        return [f"--runs {name}: {place} is no folder; give another place"]
    if not os.access(place, os.W_OK | os.X_OK):
        return [f"--runs {name}: {place} cannot be written; give another folder"]
    return []


def _runs_folder(name: str) -> Path:
    """The results folder, made and found writable. Raises ConfigError."""
    runs = Path(os.path.abspath(name))
    try:
        runs.mkdir(parents=True, exist_ok=True)
        probe = runs / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            [f"--runs {name}: cannot be written ({error.strerror}); give another folder"]
        ) from error
    return runs


def _sweep(config, graph, runs: Path, store, executor, tracker, show: Show, ledger, stop) -> int:
    from jobs.report import objectives, publish, publish_models, summary
    from jobs.search import Search
    from jobs.trials import run_trials

    sweep_run = None
    trial_of: dict[str, int] = {}
    trial_runs: dict[int, str | None] = {}

    def track(event: Event) -> None:
        show(event)
        ledger.event(event)
        if event.kind in ("done", "hit") and sweep_run is not None:
            number = trial_of.get(event.task.key)
            tracker.ingest(
                sweep_run if number is None else trial_runs[number], event.task, event.result.path
            )

    driver = Driver(store, executor, track, stop)
    s = config.search
    search = Search(
        runs / "optuna" / f"{config.name}.journal",
        {name: space.model_dump(exclude_none=True) for name, space in s.space.items()},
        config.seed,
        s.parallelism,
        {"gain": "maximize", graph.fid_name: "minimize"},
        [dict(p) for p in s.first],
    )
    trials: dict[int, object] = {}
    values: dict[int, dict] = {}
    sweep_run = tracker.run(
        graph.reward.key[:16] + config.name, config.name,
        params={"scale": config.scale, "trials": s.trials, "seed": config.seed},
    )

    def plan(number: int, params) -> Task:
        trial = trials[number] = graph.trial(number, params)
        ledger.trial(
            number, params, trial.summary, finetune=trial.finetune, tuned=trial.tuned
        )
        for task in trial.tasks:
            trial_of.setdefault(task.key, number)
        trial_runs[number] = tracker.run(
            trial.summary.key, f"trial {number}", sweep_run, dict(params)
        )
        return trial.summary

    def on_trial(number: int, params, task, result) -> None:
        if result is None:
            return
        ok = result.path is not None
        if ok:
            values[number] = json.loads((result.path / "summary.json").read_text())
            if result.status == "done":
                show.say(_trial_line(number, trials[number].params, values[number], graph.fid_name))
        numbers = {k: v for k, v in values.get(number, {}).items() if isinstance(v, (int, float))}
        tracker.end(trial_runs[number], numbers, failed=not ok)

    driver.add(graph.shared())
    run_trials(search, s.trials, driver, plan, objectives, on_trial)
    while driver.busy:
        driver.step()
    good = [trials[n] for n in sorted(values)]
    tables = None
    if good:
        tables = graph.tables(good, search.pareto())
        ledger.add(tables)
        driver.add(tables)
        while driver.busy:
            driver.step()
    search.close()
    result = driver.results.get(tables.key) if tables else None
    if result is not None and result.ok:
        publish(result.path, runs, config.name)
        strongest = trials[_strongest(result.path, config)]
        publish_models(*(driver.results[task.key].path for task in
                         (graph.reward, strongest.finetune)), runs, config.name)
        files = {p: p.parent.name for p in sorted(result.path.rglob("*"))
                 if p.suffix in (".png", ".parquet", ".tex")}
        tracker.end(sweep_run, {}, failed=bool(show.failed), files=files)
    else:
        tracker.end(sweep_run, {}, failed=True)
    for line in summary(config, graph, values, result, store, runs, show, tracker.uri):
        show.say(line)
    return 1 if show.failed else 0


def _strongest(tables: Path, config) -> int:
    """The number of the trial that the figures show."""
    import pandas as pd

    from jobs.pictures import strongest_trial

    frame = pd.read_parquet(tables / "tables" / "trials.parquet")
    return strongest_trial(frame, list(config.search.space))


def _trial_line(number: int, params, v: dict, fid_name: str) -> str:
    setting = ", ".join(f"{k} {x:.4g}" for k, x in params.items())
    return (
        f"         [bold]trial {number}[/] ({setting}): reward {v['reward_delta_mean']:+.2f}, "
        f"held-out {v['heldout_delta_mean']:+.2f}, {fid_name} {v['fid']:.2f}, "
        f"annotator prefers tuned {100 * v['preference_share_tuned']:.0f} %"
    )


def _single(config, last, runs: Path, store, executor, tracker, show: Show, ledger, stop) -> int:
    """Sweeps without a search: one last task and all it needs."""
    from jobs.report import publish

    run = tracker.run(last.key, config.name, params={"scale": config.scale})

    def track(event: Event) -> None:
        show(event)
        ledger.event(event)
        if event.kind in ("done", "hit"):
            tracker.ingest(run, event.task, event.result.path)

    driver = Driver(store, executor, track, stop)
    driver.add(last)
    while driver.busy:
        driver.step()
    result = driver.results[last.key]
    tracker.end(run, {}, failed=not result.ok)
    if not result.ok:
        show.say(f"[red]not finished[/]; see {runs / 'store'}")
        return 1
    publish(result.path, runs, config.name)
    done = "nothing to do, all of it is here" if show.counts["done"] == 0 else "finished"
    show.say(f"[bold]{config.name}[/]: {done} in {duration(show.elapsed)}; {result.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
