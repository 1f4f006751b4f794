"""``python -m jobs.launch sweeps/lambda.yaml``: run a sweep, or find that it is done.

With ``--dry-run`` it says what would run, why, and what that would cost, and does nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from cluster.executor import Executor, Refused
from cluster.profile import Profile, SlurmWorkersProfile
from jobs.output import redact
from jobs.output.show import Terminal
from jobs.run.signals import terminable
from jobs.run.stop import AGAIN, Stop, Stopped, deadline
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
        from jobs.run.launching import run

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
        return AGAIN if stop is not None and not stop.for_good() else 130
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


def _executor(config: Any, profile: Profile, runs: Path) -> Executor:
    from cluster.executor import Lazily, start

    if not isinstance(profile, SlurmWorkersProfile):
        return Lazily(profile, lambda p: start(p, shared=runs))
    from jobs.run.queue import workers

    return Lazily(profile, lambda _: workers(profile, runs, config.name))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jobs.launch", description=__doc__)
    parser.add_argument("sweep", help="what to run: a file such as sweeps/lambda.yaml")
    parser.add_argument(
        "--on",
        default="local",
        metavar="PROFILE",
        help="where to run: cluster/X.yaml, or the name of a shipped profile",
    )
    parser.add_argument("--scale", choices=("mini", "paper"), help="how big, over the sweep file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set values of the sweep, such as search.trials=4; may be repeated",
    )
    parser.add_argument("--runs", default="runs", help="folder of results (default: runs)")
    parser.add_argument(
        "--track",
        metavar="URI",
        help="MLflow's server (default: "
        "MLFLOW_TRACKING_URI, else runs/mlflow.db, which `local` names too), or "
        "`later`: the next report or ui enters all",
    )
    parser.add_argument(
        "--notify",
        metavar="VARIABLE",
        help="environment variable that holds the URL to tell of the end, over the profile's",
    )
    parser.add_argument(
        "--rerun",
        action="extend",
        nargs="+",
        default=[],
        metavar="STAGE",
        help="make results of this stage anew that other sources made, and all "
        "that depends on them",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would run, why and what it would cost; run nothing",
    )
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
        problems.append(
            "--track: holds a password, which everybody on this machine can see; set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        )
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


if __name__ == "__main__":
    sys.exit(redact.guarded(main))
