"""``python -m jobs.launch sweeps/lambda.yaml``: run a sweep, or find that it is done.

With ``--dry-run`` it says what would run, why, and what that would cost, and does nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from cluster.executor import Refused
from cluster.profile import Retries
from jobs.output import redact
from jobs.output.show import Show, Terminal, duration
from jobs.run.driver import Driver
from jobs.run.listener import Listener
from jobs.run.retry import told
from jobs.run.signals import terminable
from jobs.run.stop import AGAIN, Stop, Stopped, deadline
from jobs.store.stage import Task
from jobs.store.staging import read_with
from jobs.sweep.config import ConfigError, load_kind
from jobs.sweep.lines import spread
from jobs.sweep.rerun import rerun, rerun_problems

GOES_ON = "stopped; the same command goes on from here"
FOLDERS = ("store", "sweeps", "optuna", "tables", "figures", "models", "queue", "spool")  # of runs
BEFORE_END = 60.0  # seconds before the end of a batch job that somebody launches from
PROFILES = Path(__file__).resolve().parent.parent / "cluster"


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all is done, 1 when something failed, 2 for a bad configuration, 130 on Ctrl-C, 75
    when the system wanted the end: all is saved, and the same command goes on."""
    argv = sys.argv[1:] if argv is None else list(argv)
    args = _arguments(argv)
    console = Terminal()
    try:
        config, profile = read_sweep(args)
        if args.dry_run:
            from jobs.sweep.plan import show

            return show(config, profile, Path(os.path.abspath(args.runs)))
        runs = _runs_folder(args.runs)
        rerun(config, runs, args.rerun, console.print)
        if profile.kind == "slurm":
            from jobs.run import slurm

            return slurm.launch(config, profile, runs, console, argv, args.track or "")
        read_with(profile.data_workers)
        stop = _stop(config, profile, runs)
        with terminable(stop) as stop_us:
            return run(
                config, _executor(config, profile, runs), runs, console, stop_us, stop,
                on=profile.kind, command=argv, track=args.track or "",
                notify=profile.notify, retries=profile.retries,
            )  # fmt: skip
    except Stopped:
        console.print(GOES_ON, style="yellow")
        return 130 if stop.for_good() else AGAIN
    except (ConfigError, Refused) as error:
        Console(stderr=True).print(
            redact.text(str(error)), style="red", highlight=False, markup=False, soft_wrap=True
        )
        return 2
    except KeyboardInterrupt:
        console.print(GOES_ON, style="yellow")
        return 130


def _stop(config, profile, runs: Path) -> Stop | None:
    """How this launch is asked to end; None where others do the work and go on without it."""
    if profile.kind == "slurm_workers":
        return None
    from jobs.store.ledger import CANCEL, new_folder

    return Stop(str(new_folder(runs, config.name) / CANCEL), deadline(BEFORE_END))


def _executor(config, profile, runs: Path):
    from cluster.executor import Lazily, start

    if profile.kind != "slurm_workers":
        return Lazily(profile, lambda p: start(p, shared=runs))
    from jobs.run.queue import workers

    return Lazily(profile, lambda p: workers(p, runs, config.name))


def run(
    config, executor, runs: Path, console: Console, on_cancel: Callable[[], None] | None = None,
    stop: Stop | None = None, track: str = "", notify: str | None = None,
    command: Sequence[str] = (), on: str = "", retries: Retries | None = None,
) -> int:  # fmt: skip
    """Run a checked configuration to its end; 0 when all is done, 1 when something failed.

    Closes the executor. Somebody may ask the launch to stop: ``on_cancel`` is then called, in
    another thread; ``stop``, whose file lies in the ledger's folder, lets what runs come to its
    next save, and Stopped is raised. With neither nobody listens. ``track`` and ``notify`` are as
    in the command; ``command`` and ``on``, the kind of the profile, are for the record.
    """
    from jobs.output import notify as webhook
    from jobs.store.digests import remembered
    from jobs.store.ledger import Ledger, new_folder, plan_id
    from jobs.store.stale import told as told_stale
    from jobs.store.store import Store
    from jobs.sweep.graphs import first_tasks
    from jobs.track import provenance
    from jobs.track.ingest import LATER, Follower, local_uri, tracking_uri

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    store, uri = Store(runs / "store"), tracking_uri(runs, said=track)
    with remembered(runs):
        graph, first = first_tasks(config)
        plan = plan_id(config.model_dump(mode="json"), first)
    said = {
        "on": on, "command": redact.command(command),
        "track": "" if uri == local_uri(runs) else redact.without_userinfo(uri),
        "kind": config.kind, "scale": config.scale,
        "trials": config.search.trials if graph else 0, "config": config.model_dump(mode="json"),
        "fid_name": graph.fid_name if graph else "",
        "params": list(config.search.space) if graph else [],  # in the order of the file
    }  # fmt: skip
    folder = stop.folder if stop else new_folder(runs, config.name)
    follower = None if track == LATER else Follower(runs, config.name, folder, uri)

    def begin() -> None:
        provenance.write(folder, command, on)
        if follower:
            follower.start()

    try:
        with (
            Ledger(runs, config.name, plan, on_cancel, folder, **said) as ledger,
            executor,
            Show(console) as show,
        ):
            executor.on_job = ledger.slurm_job
            if executor.slots > 1:
                show.say(f"[dim]{config.name}: {config.kind} at scale {config.scale}, "
                         f"{executor.slots} stages at once, results in {escape(str(runs))}[/]")
            listener = Listener(show, ledger, begin)
            driver = Driver(store, executor, listener, stop, retries)
            code = _all(config, graph, first, runs, store, driver, show, ledger, uri)
            for line in told_stale(listener.stale):
                show.say(f"[yellow]{line}[/]")
            if show.again:
                show.say(f"tried again: {told(show.again)}")
            ledger.close("failed" if code else "done")
        return code
    except Stopped:
        console.print("all is saved")  # now: MLflow may take longer than a batch system waits
        raise
    finally:
        if follower and (word := follower.finish()):
            console.print(word, style="yellow", highlight=False, markup=False, soft_wrap=True)
        if notify:
            webhook.tell_end(notify, runs, config.name, folder)


def _all(config, graph, first, runs: Path, store, driver: Driver, show: Show, ledger, uri) -> int:
    ledger.add(first)
    if graph is None:
        return _single(config, first, runs, driver, show)
    ledger.roles(start=graph.start, reward=graph.reward, heldout=graph.heldout,
                 real=graph.real, rankings=graph.rankings)
    return _sweep(config, graph, runs, store, driver, show, ledger, uri)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jobs.launch", description=__doc__)
    parser.add_argument("sweep", help="what to run: a file such as sweeps/lambda.yaml")
    parser.add_argument("--on", default="local", metavar="PROFILE",
                        help="where to run: cluster/X.yaml, or the name of a shipped profile")
    parser.add_argument("--scale", choices=("mini", "paper"), help="how big, over the sweep file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="set values of the sweep, such as search.trials=4; may be repeated")
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument("--track", metavar="URI", help="MLflow's server (default: "
                        "MLFLOW_TRACKING_URI, else runs/mlflow.db, which `local` names too), or "
                        "`later`: the next report or ui enters all")
    parser.add_argument("--notify", metavar="VARIABLE", help="environment variable that holds the "
                        "URL to tell of the end, over the profile's")
    parser.add_argument("--rerun", action="extend", nargs="+", default=[], metavar="STAGE",
                        help="make results of this stage anew that other sources made, and all "
                        "that depends on them")
    parser.add_argument("--dry-run", action="store_true",
                        help="say what would run, why and what it would cost; run nothing")
    return parser.parse_args(spread(sys.argv[1:] if argv is None else argv))


def read_sweep(args: argparse.Namespace):
    """The checked sweep and profile; ConfigError with the problems of both and of --runs."""
    from cluster import profile as profiles
    from jobs.sweep.kinds import KINDS
    from jobs.sweep.outside import NO_NETWORKS

    context = NO_NETWORKS if args.dry_run else None
    problems = _runs_problems(args.runs)
    config = profile = None
    path = Path(args.sweep)
    if not path.is_file():
        shipped = PROFILES.parent / "sweeps"
        known = ", ".join(str(p) for p in sorted(path.parent.glob("*.yaml"))) or (
            f"none there; shipped ones are in {shipped}")  # fmt: skip
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
            if args.notify:
                checked = {**profile.model_dump(exclude_unset=True), "notify": args.notify}
                profile = type(profile).model_validate(checked)
        except ConfigError as error:
            problems += error.problems
        except ValueError:
            problems.append("--notify: give the name of an environment variable, not its value")
    problems += [*rerun_problems(args.rerun), *_safety_problems(args, config, profile)]
    if problems:
        raise ConfigError(problems)
    return config, profile


def _safety_problems(args: argparse.Namespace, config, profile) -> list[str]:
    """Secrets where they would be kept for good, and variables that are not there."""
    problems = []
    for what, model in ((str(args.sweep), config), (f"--on {args.on}", profile)):
        if model is not None:
            problems += redact.problems(model.model_dump(mode="json"), what)
    if args.track and redact.has_password(args.track):
        problems.append("--track: holds a password, which everybody on this machine can see; set "
                        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead")
    notify = getattr(profile, "notify", None)
    if notify and not args.dry_run and not os.environ.get(notify):
        problems.append(f"notify: {notify}: no such environment variable is set; export it")
    return problems


def _runs_problems(name: str) -> list[str]:
    """What can be known of the results folder without making it."""
    place = Path(os.path.abspath(name))
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        return [f"--runs {name}: {place} is no folder; give another place"]
    if not os.access(place, os.W_OK | os.X_OK):
        return [f"--runs {name}: {place} cannot be written; give another folder"]
    ours = [Path(name, one) for one in FOLDERS]
    ours += [path for path in Path(name, "store").glob("[!.]*") if not path.suffix]
    return [f"--runs {name}: {path} is a file where a folder of results belongs; move it away"
            for path in ours if path.exists() and not path.is_dir()]  # fmt: skip


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


def _sweep(config, graph, runs: Path, store, driver: Driver, show: Show, ledger, uri) -> int:
    from jobs.report import publish, publish_models, summary, trial_line
    from jobs.search.outcomes import directions, objectives, read_summary, strongest, violations
    from jobs.search.search import Search
    from jobs.search.trials import run_trials
    from jobs.sweep.space import POPULATION

    s = config.search
    search = Search(
        runs / "optuna" / f"{config.name}.journal",
        s.entries(),
        config.seed,
        s.parallelism,
        directions(s.space, graph.fid_name),
        s.known(),
        sampler="random" if s.known_whole else s.sampler,
        population=s.population or POPULATION,
        limits=s.limits(),
    )
    trials: dict[int, Any] = {}
    values: dict[int, dict] = {}

    def plan(number: int, params) -> Task:
        trial = trials[number] = graph.trial(number, params)
        ledger.trial(
            number, params, trial.summary, finetune=trial.finetune, tuned=trial.tuned,
            start=trial.start, reward=trial.reward,
        )  # fmt: skip
        return trial.summary

    def on_trial(number: int, params, task, result) -> None:
        if result is not None and result.path is not None:
            values[number] = read_summary(result.path)
            if result.status == "done":
                show.say(trial_line(number, trials[number].params, values[number], graph.fid_name))

    driver.add(graph.shared())
    run_trials(
        search, s.trials, driver, plan, lambda path: objectives(read_summary(path), s.space),
        on_trial, lambda path: violations(read_summary(path), s.limits()),
    )  # fmt: skip
    while driver.busy:
        driver.step()
    good = [trials[n] for n in sorted(values)]
    tables, reports = None, ()
    if good:
        tables = graph.tables(good, search.pareto())
        reports = graph.reports(graph.generators(good))
        ledger.add([tables, *reports])
        driver.add([tables, *reports])
        while driver.busy:
            driver.step()
        best = trials[strongest(values)]
        driver.recheck([tables, *reports, best.reward, best.finetune])
        while driver.busy:
            driver.step()
    search.close()
    result = driver.results.get(tables.key) if tables else None
    if result is not None and result.ok:
        publish(result.path, runs, config.name)
        made = [driver.results[task.key].path for task in (best.reward, best.finetune)]
        if None not in made:  # trials are found though their reward, made again, may have failed
            publish_models(*made, runs, config.name)
    _publish_reports(reports, driver, runs, config.name)
    for line in summary(config, graph, values, result, store, runs, show, uri):
        show.say(line)
    return 1 if show.failed else 0


def _publish_reports(reports: Sequence[Task], driver: Driver, runs: Path, name: str) -> None:
    """Tables and figures of the analyses that ended well."""
    from jobs.report import publish

    for task in reports:
        if (path := driver.results[task.key].path) is not None:
            publish(path, runs, name)


def _single(config, first: Sequence[Task], runs: Path, driver: Driver, show: Show) -> int:
    """Sweeps without a search: one last task, the reports beside it, and all they need."""
    from jobs.report import publish

    last, *reports = first
    driver.add(first)
    while driver.busy:
        driver.step()
    driver.recheck(first)
    while driver.busy:
        driver.step()
    _publish_reports(reports, driver, runs, config.name)
    result = driver.results[last.key]
    if not result.ok:
        show.say(f"[red]not finished[/]; see {escape(str(runs / 'store'))}")
        return 1
    publish(result.path, runs, config.name)
    if (said := result.path / "summary.txt").exists():
        for line in said.read_text().splitlines():
            show.say(escape(line))
    if show.failed:
        show.say("".join(f"[red]failed[/]: {escape(event.task.label)}\n" for event in show.failed))
    done = "nothing to do, all of it is here" if show.counts["done"] == 0 else "finished"
    show.say(f"[bold]{config.name}[/]: {done} in {duration(show.elapsed)};"
             f" {escape(str(result.path))}")
    return 1 if show.failed else 0


if __name__ == "__main__":
    sys.exit(redact.guarded(main))
