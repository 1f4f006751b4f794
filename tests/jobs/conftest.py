import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="session", autouse=True)
def toys_importable():
    """Child processes find this checkout and the toy stages."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(HERE)])
    yield
    os.environ.pop("PYTHONPATH")
    if before is not None:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def tiny_sweep(tmp_path_factory, tiny_checkpoint, tiny_images):
    """The tiny sweep after its first launch, made once for all tests. Its folder is not theirs."""
    from sweeps import launch_once, write_sweep

    folder = tmp_path_factory.mktemp("tiny_sweep")
    return launch_once(write_sweep(folder, tiny_checkpoint, tiny_images), folder / "runs")


@pytest.fixture
def runs(tiny_sweep, tmp_path):
    """A copy of the finished sweep's results, to be changed."""
    import shutil

    skip = shutil.ignore_patterns("mlartifacts")
    return Path(shutil.copytree(tiny_sweep.runs, tmp_path / "runs", ignore=skip))
