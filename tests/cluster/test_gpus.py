"""Shares, names and checks of GPUs: on numbers and stand-ins, for lack of GPUs."""

import pytest
import torch

from cluster import gpus
from cluster.executor import Refused, Resources
from cluster.profile import RayProfile
from cluster.ray_tasks import fit

GB = 10**9
CPU = {"CPU": 8.0, "memory": 32.0 * GB}
BOX = {**CPU, "GPU": 2.0, "accelerator_type:GeForce-RTX-4090": 1.0}


@pytest.mark.parametrize(
    "wanted, total, fraction, expected",
    [
        (Resources(gpus=0), 24, 1.0, 0.0),
        (Resources(gpus=1), 24, 1.0, 1.0),
        (Resources(gpus=1, gpu_memory=2 * GB), 24, 1.0, 1.0),  # a training is never packed
        (Resources(gpus=1), 24, 0.5, 0.5),  # unless the profile says so
        (Resources(gpus=0.25), 24, 1.0, 0.25),  # nothing measured: the stage's guess
        (Resources(gpus=0.25, gpu_memory=2 * GB), 24, 1.0, 0.14),  # (1.25 * 2 + 0.7) / 24
        (Resources(gpus=0.25, gpu_memory=2 * GB), 8, 1.0, 0.4),
        (Resources(gpus=0.25, gpu_memory=20 * GB), 24, 1.0, 1.0),
        (Resources(gpus=0.25, gpu_memory=2 * GB, alone=True), 24, 0.5, 1.0),
    ],
)
def test_shares(wanted, total, fraction, expected):
    assert gpus.share(wanted, total, fraction) == pytest.approx(expected)


def test_shares_leave_room_for_what_was_measured():
    for peak in range(0, 24 * GB, GB // 3):
        part = gpus.share(Resources(gpus=0.25, gpu_memory=peak or 1), 24, 1.0)
        together = int(1 / part)
        assert together == 1 or together * (peak + gpus.CONTEXT) < 24 * GB


@pytest.mark.parametrize(
    "wanted, name, good",
    [
        ("RTX 4090", "NVIDIA GeForce RTX 4090", True),
        ("RTX 4090", "GeForce-RTX-4090", True),
        ("GeForce RTX 4090", "RTX-4090", True),
        ("RTX 4090", "NVIDIA GeForce RTX 4090 Laptop GPU", False),
        ("RTX 4090", "NVIDIA GeForce RTX 4090 D", False),
        ("RTX 4090", "GeForce-RTX-4080", False),
        ("RTX 4090", "G", True),  # Ray before it knew the names of GeForce
        ("A100", "NVIDIA A100-SXM4-80GB", True),
        ("A100", "G", False),
        ("RTX 3090", "NVIDIA GeForce RTX 3090 Ti", False),
        ("", "A100", False),
    ],
)
def test_names(wanted, name, good):
    assert gpus.same(wanted, name) is good


def test_a_function_gets_the_kind_of_gpu_of_the_profile():
    profile = RayProfile(accelerator="RTX 4090")
    training = Resources(cpus=4, gpus=1, memory=5 * GB, actor=True)
    asked = fit(training, [CPU, BOX, {**BOX, "accelerator_type:A100": 1}], profile)
    assert asked == {
        "num_cpus": 4, "num_gpus": 1, "memory": 5 * GB, "accelerator_type": "GeForce-RTX-4090",
    }  # fmt: skip
    assert "accelerator_type" not in fit(Resources(), [BOX], profile)
    with pytest.raises(Refused, match="accelerator: no GPU here is an RTX 4090; there are: A100"):
        fit(training, [{**CPU, "GPU": 1.0, "accelerator_type:A100": 1.0}], profile)
    with pytest.raises(Refused, match="GPUs without a name"):
        fit(training, [{**CPU, "GPU": 1.0}], profile)


def test_without_gpus_an_accelerator_is_not_asked_for():
    asked = fit(Resources(gpus=1), [CPU], RayProfile(accelerator="RTX 4090"))
    assert asked == {"num_cpus": 1, "num_gpus": 0, "memory": 0}


def test_nothing_is_asked_that_no_machine_has():
    small, large = {"CPU": 16.0, "memory": 4.0 * GB}, {"CPU": 2.0, "memory": 64.0 * GB}
    asked = fit(Resources(cpus=8, gpus=1, memory=1 << 60), [small, large], RayProfile())
    assert asked == {"num_cpus": 2, "num_gpus": 0, "memory": 64 * GB}
    gpu = {"CPU": 4.0, "memory": 8.0 * GB, "GPU": 1.0}
    asked = fit(Resources(cpus=8, gpus=1, memory=1 << 60), [small, large, gpu], RayProfile())
    assert asked == {"num_cpus": 4, "num_gpus": 1, "memory": 8 * GB}


# ---------------------------------------------------------------------- what a process sees


def pretend(monkeypatch, visible, count, driver, name="NVIDIA GeForce RTX 4090"):
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: name)
    monkeypatch.setattr(gpus, "_driver", lambda: driver)


def test_the_gpu_that_was_given_is_the_one_that_is_seen(monkeypatch):
    pretend(monkeypatch, "3", 1, True)
    gpus.check(["3"], "RTX 4090")
    with pytest.raises(gpus.WrongGPU, match="accelerator: A100 wanted, this is NVIDIA GeForce"):
        gpus.check(["3"], "A100")


@pytest.mark.parametrize(
    "visible, count, said",
    [
        (None, 8, "CUDA_VISIBLE_DEVICES is None"),  # everybody sees all, and takes the first
        ("0,1,2,3", 4, "given GPU 3 and CUDA_VISIBLE_DEVICES is '0,1,2,3'"),
        ("0", 1, "given GPU 3"),
        ("", 0, "given GPU 3"),
        ("3", 0, "torch sees 0; look at nvidia-smi"),
    ],
)
def test_another_gpu_is_an_error(monkeypatch, visible, count, said):
    pretend(monkeypatch, visible, count, driver=True)
    with pytest.raises(gpus.WrongGPU, match=said):
        gpus.check(["3"])


def test_a_gpu_that_is_only_declared_is_a_warning_unless_its_kind_matters(monkeypatch, caplog):
    pretend(monkeypatch, "0", 0, driver=False)
    gpus.check(["0"])
    assert "going on with the CPU" in caplog.text
    with pytest.raises(gpus.WrongGPU, match="no driver"):
        gpus.check(["0"], "RTX 4090")
