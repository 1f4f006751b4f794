"""Fixtures shared by the three packages' tests."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

# Tiny networks gain nothing from threads, and lose minutes where the cores are busy.
torch.set_num_threads(1)

# Ray's workers are polite by default, and on a busy machine would never get to the end of a test.
os.environ.setdefault("RAY_worker_niceness", "0")

pytest_plugins = ["shards"]
VARIABLE = "SIGMAFLOW_REFERENCE"
GOLDEN = Path(__file__).parent / "golden"

TINY = {
    "G": dict(
        z_dim=8,
        c_dim=25,
        w_dim=16,
        img_resolution=16,
        plane_resolution=16,
        neural_rendering_resolution=8,
        channel_base=128,
        channel_max=8,
        mapping_kwargs={"num_layers": 2},
        sr_num_fp16_res=0,
        sr_kwargs={"hidden_channels": [8, 8]},
        rendering_kwargs=dict(
            superresolution_module="SuperresolutionHybrid2X",
            c_gen_conditioning_zero=False,
            c_scale=1.0,
            depth_resolution=4,
            depth_resolution_importance=4,
            ray_start=2.25,
            ray_end=3.3,
            box_warp=1.0,
            avg_camera_radius=2.7,
            avg_camera_pivot=[0, 0, 0.2],
            superresolution_noise_mode="none",
            sr_antialias=True,
            decoder_lr_mul=1.0,
        ),
    ),
    "D": dict(
        c_dim=25,
        img_resolution=16,
        channel_base=128,
        channel_max=8,
        num_fp16_res=0,
        conv_clamp=None,
        mapping_kwargs={"num_layers": 2},
    ),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden", metavar="DIR", help=f"folders of golden vectors (else ${VARIABLE}/golden)"
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Where the reference is there, a test that needs it and is skipped has not passed."""
    outcome = yield
    report = outcome.get_result()
    needs = "reference" in getattr(item, "fixturenames", ()) or item.path.parent == GOLDEN
    if report.skipped and needs and VARIABLE in os.environ and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped though {VARIABLE} is set: {report.longrepr}"


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of golden vectors and real data; skips where its variable is not set."""
    if VARIABLE not in os.environ:
        pytest.skip(f"{VARIABLE} is not set")
    folder = Path(os.environ[VARIABLE])
    assert folder.is_dir(), f"{VARIABLE}={folder} is no folder"
    return folder


@pytest.fixture
def tiny_gan():
    """A whole GAN of a few thousand weights, the same every time."""
    from sigmaflow.generators import build

    torch.manual_seed(0)
    return build(TINY)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory) -> Path:
    """A checkpoint folder of the tiny GAN whose random fields have a surface at level 10."""
    from sigmaflow.generators import build, save_gan

    folder = tmp_path_factory.mktemp("tiny") / "gan"
    torch.manual_seed(0)
    gan = build(TINY)
    for network in (gan.G, gan.G_ema):
        last = network.decoder.net[2]
        with torch.no_grad():  # a fresh decoder is fog of about -0.5 everywhere
            last.weight[0] *= 60
            last.bias[0] += 42
    save_gan(gan, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_images(tmp_path_factory) -> Path:
    """24 pictures of 16 pixels in EG3D's layout, as a zip."""
    from PIL import Image

    from sigmaflow.generators.cameras import frontal_label

    path = tmp_path_factory.mktemp("tiny") / "images.zip"
    rng = np.random.default_rng(0)
    labels = []
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(24):
            name, stream = f"00000/img{i:08d}.png", io.BytesIO()
            coarse = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((16, 16), Image.BICUBIC).save(stream, "PNG")
            archive.writestr(name, stream.getvalue())
            labels.append([name, frontal_label(yaw=0.05 * (i - 12))[0].tolist()])
        archive.writestr("dataset.json", json.dumps({"labels": labels}))
    return path
