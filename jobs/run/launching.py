"""A checked configuration run to its end: ledger, tracking, trials or one task, a summary."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from cluster.profile import Retries
from jobs.output import redact
from jobs.output.show import Show, duration
from jobs.run.driver import Driver
from jobs.run.listener import Listener
from jobs.run.retry import told
from jobs.run.stop import Stop, Stopped
from jobs.store.stage import Task

if TYPE_CHECKING:
    from cluster.executor import Executor
    from jobs.run.attempt import Result
    from jobs.search.samplers import Params
    from jobs.store.ledger import Ledger
    from jobs.store.store import Store
    from jobs.sweep.graph import SweepGraph, Trial
    from jobs.sweep.kinds import SweepConfig


def run(
    config: Any, executor: Executor, runs: Path, console: Console,
    on_cancel: Callable[[], None] | None = None, stop: Stop | None = None, track: str = "",
    notify: str | None = None, command: Sequence[str] = (), on: str = "",
    retries: Retries | None = None,
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
    said: dict[str, Any] = {
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
                show.say(
                    f"[dim]{config.name}: {config.kind} at scale {config.scale}, "
                    f"{executor.slots} stages at once, results in {escape(str(runs))}[/]"
                )
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


def _all(
    config: Any, graph: SweepGraph | None, first: Sequence[Task], runs: Path, store: Store,
    driver: Driver, show: Show, ledger: Ledger, uri: str,
) -> int:  # fmt: skip
    ledger.add(first)
    if graph is None:
        return _single(config, first, runs, driver, show)
    ledger.roles(
        start=graph.start,
        reward=graph.reward,
        heldout=graph.heldout,
        real=graph.real,
        rankings=graph.rankings,
    )
    return _sweep(config, graph, runs, store, driver, show, ledger, uri)


def _sweep(
    config: SweepConfig, graph: SweepGraph, runs: Path, store: Store, driver: Driver, show: Show,
    ledger: Ledger, uri: str,
) -> int:  # fmt: skip
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
    trials: dict[int, Trial] = {}
    values: dict[int, dict[str, Any]] = {}

    def plan(number: int, params: Params) -> Task:
        trial = trials[number] = graph.trial(number, params)
        ledger.trial(
            number, params, trial.summary, finetune=trial.finetune, tuned=trial.tuned,
            start=trial.start, reward=trial.reward,
        )  # fmt: skip
        return trial.summary

    def on_trial(number: int, params: Params, task: Task, result: Result | None) -> None:
        if result is not None and result.path is not None:
            values[number] = read_summary(result.path)
            own = graph.parts(graph.generators([trials[number]]))
            ledger.add(own, number)
            driver.add(own)
            if result.status == "done":
                show.say(trial_line(number, trials[number].params, values[number], graph.fid_name))

    driver.add(graph.shared())
    run_trials(
        search, s.count, driver, plan, lambda path: objectives(read_summary(path), s.space),
        on_trial, lambda path: violations(read_summary(path), s.limits()),
    )  # fmt: skip
    while driver.busy:
        driver.step()
    good = [trials[n] for n in sorted(values)]
    tables: Task | None = None
    reports: Sequence[Task] = ()
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
    if result is not None and result.path is not None:
        publish(result.path, runs, config.name)
        reward, tuned = (driver.results[task.key].path for task in (best.reward, best.finetune))
        # Trials are found though their reward, made again, may have failed.
        if reward is not None and tuned is not None:
            publish_models(reward, tuned, runs, config.name)
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


def _single(config: Any, first: Sequence[Task], runs: Path, driver: Driver, show: Show) -> int:
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
    if result.path is None:
        show.say(f"[red]not finished[/]; see {escape(str(runs / 'store'))}")
        return 1
    publish(result.path, runs, config.name)
    if (said := result.path / "summary.txt").exists():
        for line in said.read_text().splitlines():
            show.say(escape(line))
    if show.failed:
        show.say("".join(f"[red]failed[/]: {escape(event.task.label)}\n" for event in show.failed))
    done = "nothing to do, all of it is here" if show.counts["done"] == 0 else "finished"
    show.say(
        f"[bold]{config.name}[/]: {done} in {duration(show.elapsed)}; {escape(str(result.path))}"
    )
    return 1 if show.failed else 0
