"""Planning and watching need no heavy library: they answer at once, on a login node too."""

import json
import os
import subprocess
import sys

import pytest
from launches import launch
from toys import counting

from sweeps import write_sweep

HEAVY = (
    "torch", "ray", "mlflow", "optuna", "scipy", "sklearn", "pandas", "matplotlib", "submitit",
)  # fmt: skip
LOOK = f"""
import runpy, sys
sys.argv = ["jobs." + sys.argv[1], *sys.argv[2:]]
try:
    runpy.run_module(sys.argv[0], run_name="__main__")
except SystemExit as end:
    code = end.code or 0
print()
print("loaded:", code, [name for name in {HEAVY} if name in sys.modules])
"""


def loaded(*command, **environment):
    """What a command left in memory; it must have ended well."""
    ran = subprocess.run(
        [sys.executable, "-c", LOOK, *map(str, command)], capture_output=True, text=True,
        env=os.environ | environment,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout.splitlines()[-1]
    assert said.startswith("loaded: 0 "), ran.stdout + ran.stderr
    return json.loads(said.removeprefix("loaded: 0 ").replace("'", '"')), ran.stdout


@pytest.mark.parametrize(
    "command",
    ["launch", "status", "logs", "cancel", "report", "prefetch", "ui", "doctor", "verify"],
)
def test_help(command):
    assert loaded(command, "--help")[0] == []


@pytest.mark.parametrize("sweep", ["lambda", "smoke", "pretrain_mini", "mini_card"])
def test_dry_runs_of_shipped_sweeps(sweep, tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.path.join(root, "sweeps", f"{sweep}.yaml")
    names, said = loaded("launch", path, "--dry-run", "--runs", tmp_path / "runs")
    assert names == [] and " RUN" in said


@pytest.mark.parametrize("on", ["slurm", "slurm_workers"])
def test_dry_runs_for_slurm_show_what_sbatch_would_get(on, tmp_path):
    """The script is submitit's own, so that one is asked; it is a small library."""
    pytest.importorskip("submitit")
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.path.join(root, "sweeps", "smoke.yaml")
    names, said = loaded("launch", path, "--dry-run", "--on", on, "--runs", tmp_path / "runs")
    assert names == ["submitit"]
    assert "#SBATCH --job-name=sigmaflow-smoke\n" in said and "\nsrun " in said
    assert ("#SBATCH --array=0-7" in said) == (on == "slurm_workers")
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_with_a_rankings_file(tmp_path, tiny_checkpoint, tiny_images):
    path = tmp_path / "rankings.csv"
    path.write_text(",rank1,rank2\n" + "".join(f"{i},{2 * i},{2 * i + 1}\n" for i in range(9)))
    sweep = write_sweep(tmp_path, tiny_checkpoint, tiny_images, rankings={"file": str(path)})
    names, said = loaded("launch", sweep, "--dry-run", "--runs", tmp_path / "runs")
    assert names == [] and "slabs 0-17" in said


@pytest.mark.parametrize("command", ["status", "logs", "cancel"])
def test_watching(command, tmp_path):
    launch(tmp_path, "toy", counting())
    names, said = loaded(command, "toy", "--runs", tmp_path)
    assert names == [] and "toy" in said


def test_prefetch(tmp_path, tiny_checkpoint, tiny_images):
    sweep = write_sweep(
        tmp_path, tiny_checkpoint, tiny_images,
        evaluation={"extractor": "stlpips-alex", "fid_images": 100},
    )  # fmt: skip
    assert loaded("prefetch", sweep)[0] == []
