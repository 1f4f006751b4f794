"""Fixtures shared by the three packages' tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

VARIABLE = "SIGMAFLOW_REFERENCE"

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
