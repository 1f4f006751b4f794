import os
import sys
from pathlib import Path

import pytest

from cluster.executor import start
from cluster.profile import RayProfile

HERE = Path(__file__).resolve().parent
JOBS = HERE.parent / "jobs"  # the toy stages
sys.path.append(str(JOBS))


@pytest.fixture(scope="session")
def ray_executor():
    """One Ray for the whole session: it takes seconds to start."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(JOBS)])
    try:
        with start(RayProfile(cpus=2, gpus=0)) as executor:
            yield executor
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    assert not Path(executor._folder).exists()
