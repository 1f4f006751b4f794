import argparse
import math

import pytest
import torch

from jobs import doctor
from jobs.run import gpucheck
from sigmaflow.generators import load_gan


@pytest.fixture
def args(tmp_path):
    return argparse.Namespace(runs=str(tmp_path / "runs"))


def test_this_machine_can_run_the_mini_scale(args):
    for check in (doctor.packages, doctor.weights, doctor.ports):
        assert not [f for f in check(args) if f.good is False]


def test_a_full_disk_and_a_missing_package_are_bad(args, monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_DISK", 1 << 60)
    monkeypatch.setattr(doctor, "PACKAGES", ("torch", "no-such-package-at-all"))
    (disk,) = [f for f in doctor.machine(args) if f.what == "disk"]
    assert disk.good is False and "--runs" in disk.remedy
    (found,) = [f for f in doctor.packages(args) if f.what == "packages"]
    assert found.good is False and "no-such-package-at-all" in found.text


def test_no_gpu_is_said_plainly(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor, "CHECKS", (doctor.gpus,))
    assert doctor.main(["--gpu"]) == 2
    assert "torch sees no GPU" in capsys.readouterr().err


def test_parity_sees_a_device_that_computes_otherwise(tiny_checkpoint, monkeypatch):
    gan = load_gan(tiny_checkpoint)
    reward = gpucheck.reward_of(gan)
    cpu = torch.device("cpu")
    same = dict(gpucheck.parity(gan, reward, cpu))
    assert set(same.values()) == {0.0} and "d reward / d planes" in same
    calls, on = [], gpucheck._on

    def wrong_later(module, device):
        module = on(module, device)
        calls.append(module)
        if len(calls) > 3:  # the second round plays the GPU
            for p in module.parameters():
                p.mul_(1.01)
        return module

    monkeypatch.setattr(gpucheck, "_on", wrong_later)
    other = dict(gpucheck.parity(gan, reward, cpu))
    assert all(1e-5 < v < 10 for v in other.values()), other


def test_the_report_can_be_pasted(tiny_checkpoint):
    text = gpucheck.report(str(tiny_checkpoint), "cpu", 2)
    assert "| slab | 0.0e+00 |" in text
    cost = [line for line in text.splitlines() if "s/kimg" in line]
    assert len(cost) == 1 and math.isfinite(float(cost[0].strip("*").split()[0]))
