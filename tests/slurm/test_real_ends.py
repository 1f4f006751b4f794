"""Jobs of a real SLURM that end before their driver speaks."""

import pytest
from test_real import ALLOCATION

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("wrong, said", [
    ({"python": "/no/such/python"}, "/no/such/python"),
    ({"setup": ["echo the site is closed >&2", "exit 7"]}, "the site is closed"),
])  # fmt: skip
def test_a_job_that_ends_before_its_driver_spoke_shows_its_log(slurm, tiny, command, wrong, said):
    run = command(tiny.sweep, **dict(ALLOCATION, nodes=1), **wrong)
    assert run.process.wait(200) == 1, run.said()
    assert said in run.said() and "python and setup" in run.said()
