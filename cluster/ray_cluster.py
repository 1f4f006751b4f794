"""A Ray that somebody else runs: joined by its address, never started nor stopped here.

This process must run on one of its machines. All of them must see the folder of results and the
same checkout under the same name, which each is asked before any work is sent.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import secrets
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from cluster import ray_worker
from cluster.executor import Refused
from cluster.profile import RayProfile
from cluster.ray_local import environment, python_path
from cluster.ray_tasks import RayTasks, sigterm_kept

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("sigmaflow", "jobs", "cluster")
PATIENCE = 120.0  # seconds for every machine to answer


class ClusterRay(RayTasks):
    """`RayTasks` on the cluster at ``profile.address``. Raises Refused, naming what is wrong with
    the address, the token, or which machine lacks what.

    Closing ends our own actors and leaves; everybody else's work and the cluster go on. Trainings
    keep a process each: of actors alone Ray says that a machine was taken away for others.
    """

    _profile: RayProfile
    reuse = False

    def __init__(self, profile: RayProfile, shared: Path) -> None:
        super().__init__(profile, 1)
        with _token(profile), sigterm_kept():
            import ray

            if ray.is_initialized():
                raise RuntimeError("Ray runs in this process already; shut it down first")
            try:
                ray.init(
                    address=profile.address,
                    namespace=profile.namespace,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    runtime_env={"env_vars": _inherited()},
                )
            except Exception as error:
                raise Refused(_explain(profile, error)) from error
        self._ray = ray
        try:
            self._ask_machines(self._place_probe(shared))
            if not self._nodes():
                raise Refused(f"the Ray at {profile.address} has no machine with a CPU")
            self._count_slots()
        except BaseException:
            self.close()
            raise

    def wait(self, handles: Sequence[Any], timeout: float) -> list[Any]:
        self._count_slots()
        return super().wait(handles, timeout)

    def _count_slots(self) -> None:
        """Machines come and go here."""
        cpus = int(sum(one["CPU"] for one in self._nodes()))
        self.slots = max(1, cpus) if self._profile.parallel == "auto" else self._profile.parallel

    def close(self) -> None:
        super().close()
        if self._probe is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._probe[0])

    def _place_probe(self, shared: Path) -> str:
        """A file that whoever sees this folder can read; it stays while we work."""
        path, text = shared / f".probe-{secrets.token_hex(6)}", secrets.token_hex(16)
        path.write_text(text, encoding="utf-8")
        self._probe = (str(path), text)
        return str(path)

    def _ask_machines(self, probe: str) -> None:
        """Every machine that may get work: does it see what we see? Raises Refused, with all."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ours = described(probe)
        ask = self._ray.remote(num_cpus=0, max_retries=0)(described)
        asked = {}
        for node in self._ray.nodes():
            if node["Alive"] and node["Resources"].get("CPU"):
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                handle = ask.options(
                    scheduling_strategy=there, name="sigmaflow: is all there?"
                ).remote(probe)
                asked[handle] = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        problems = []
        done, late = self._ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE)
        problems += [f"{asked[one]}: no answer in {PATIENCE:.0f} s" for one in late]
        for one in done:
            try:
                problems += [f"{asked[one]}: {said}" for said in _compare(
                    ours, self._ray.get(one), Path(probe).parent)]  # fmt: skip
            except Exception as error:
                first = str(error).strip().splitlines()[-1:]
                problems.append(
                    f"{asked[one]}: cannot import these packages from {ROOT}; put checkout and "
                    f"environment on a shared disk ({' '.join(first)})"
                )
        if problems:
            raise Refused("machines of the cluster are not fit:\n" + "\n".join(problems))


def described(probe: str) -> dict[str, str]:
    """What a machine sees: the probe's text, the sources, the versions that must be equal."""
    return {
        "probe": ray_worker.read(probe) or "",
        "sources": _sources(),
        "Python": platform.python_version(),
        "torch": _version("torch"),
        "numpy": _version("numpy"),
    }


def _compare(ours: Mapping[str, str], theirs: Mapping[str, str], folder: Path) -> list[str]:
    problems = []
    if theirs["probe"] != ours["probe"]:
        problems.append(f"does not see {folder}; --runs must be on a disk that all machines share")
    if theirs["sources"] != ours["sources"]:
        problems.append(f"has other sources in {ROOT}; let all machines use one checkout")
    for name in ("Python", "torch", "numpy"):
        if theirs[name] != ours[name]:
            problems.append(f"has {name} {theirs[name] or 'not'}, this machine {ours[name]}")
    return problems


@cache
def _sources() -> str:
    """sha256 of names and texts of all our modules, as they are on this machine."""
    total = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            total.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def _version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _inherited() -> dict[str, str]:
    """What our workers get there; never a secret, since Ray shows it to everybody."""
    readers = {k: v for k, v in os.environ.items() if k == "SIGMAFLOW_DATA_WORKERS"}
    return {"PYTHONPATH": python_path(), "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1", **readers}


def _token(profile: RayProfile) -> contextlib.AbstractContextManager[None]:
    """The token in the place where Ray looks for it, while it is imported and connected."""
    if profile.token_env is None:
        return environment(RAY_USAGE_STATS_ENABLED="0")
    token = os.environ.get(profile.token_env, "").strip()
    if not token:
        raise Refused(f"profile key token_env: {profile.token_env} is not set; export the token")
    return environment(
        RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token, RAY_AUTH_TOKEN_PATH=None,
        RAY_USAGE_STATS_ENABLED="0",
    )  # fmt: skip


def _explain(profile: RayProfile, error: Exception) -> str:
    """Ray says of a wrong token no more than that it cannot connect."""
    first = next(iter(str(error).strip().splitlines()), repr(error))
    if profile.token_env is None:
        token = "whether it asks for a token: export that, and give the variable as token_env"
    else:
        token = f"whether the token in {profile.token_env} is this cluster's"
    return (
        f"profile key address: cannot join the Ray at {profile.address}: {first}\n"
        f"look whether it runs and is reached from here; {token}; and whether this machine "
        "belongs to it"
    )
