"""Runs toy stages on the Ray at an address, in a process of its own, and says how it went.

    python joining.py PROFILE(JSON) RUNS PAUSE SEED...

The last line is JSON: `refused`, or the statuses and what was tried again.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import toys

from cluster.executor import Refused, start
from cluster.profile import RayProfile
from jobs.run.driver import Driver
from jobs.store.stage import Task
from jobs.store.store import Store


def main(profile: str, runs: str, pause: str, *seeds: str) -> None:
    parts = [toys.counting(seed=int(seed), pause=float(pause), every=1) for seed in seeds]
    task = Task(replace(toys.JOIN, gpu=1), {"threads": 1}, {"parts": parts})
    events = []
    try:
        with start(RayProfile.model_validate_json(profile), shared=Path(runs)) as executor:
            slots = executor.slots
            driver = Driver(Store(Path(runs) / "store"), executor, events.append)
            driver.add(task)
            while driver.busy:
                driver.step()
                print(len([e for e in events if e.kind == "progress"]), flush=True)
    except Refused as error:
        print(json.dumps({"refused": str(error)}))
        return
    again = [[e.result.cause, e.result.node] for e in events if e.kind == "again"]
    said = {
        "statuses": sorted(r.status for r in driver.results.values()), "again": again,
        "error": driver.results[task.key].error, "slots": slots,
    }  # fmt: skip
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
