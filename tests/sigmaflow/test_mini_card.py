"""The bars of the shipped generator's card, measured again from its weights (minutes each)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sigmaflow.card.bars import BARS, LARGEST
from sigmaflow.card.coding import coding_of
from sigmaflow.card.ladder import distance
from sigmaflow.card.landmarks import FaceLandmarks, found
from sigmaflow.card.providers import find_landmarks
from sigmaflow.card.retrieval import retrieve
from sigmaflow.card.surfaces import at_border, parts_of
from sigmaflow.card.views import view_pictures
from sigmaflow.datasets.images import ImageZip
from sigmaflow.fields.grid import Grid
from sigmaflow.fields.mesh import extract_mesh
from sigmaflow.fields.slab import latents, sample_slab
from sigmaflow.generators import load_generator
from sigmaflow.metrics.alexnet import AlexNetFeatures, shipped_digest
from sigmaflow.metrics.features import extractor, features_of
from sigmaflow.metrics.generated import generated_blocks
from sigmaflow.metrics.protocol import named

IMAGES = Path(__file__).parents[2] / "sigmaflow" / "datasets" / "faces64.zip"
FIRST = 320000
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xfail(strict=False, reason="the shipped generator is replaced by another training"),
]


@pytest.fixture(scope="module")
def G():
    return load_generator("mini")


@pytest.fixture(scope="module")
def surfaces(G):
    """(components, border) of 100 seeds at psi 0.7 on a grid of 128."""
    grid = Grid(resolution=128, kind="regular", length=G.rendering_kwargs["box_warp"])
    out = []
    for seed in range(FIRST, FIRST + 100):
        with torch.no_grad():
            cube = sample_slab(G, latents([seed], G.z_dim), grid, 0.7)[0].numpy()
        out.append((parts_of(extract_mesh(cube, length=grid.length)), at_border(cube, 10.0)))
    return out


def test_fid_mini(G):
    with ImageZip(IMAGES) as reals:
        coded, pictures = coding_of(reals.read_bytes(0)), reals.load_all()
        labels = torch.as_tensor(reals.labels)
    extract = extractor("stlpips-alex")
    protocol = named("mini", weights=shipped_digest(extract.name), real="", cameras="", images=2000)
    made = [features_of(extract, coded(block), protocol.batch)
            for block in generated_blocks(G, labels, protocol, 0, 2000)]  # fmt: skip
    real = features_of(extract, pictures, protocol.batch)
    value = distance(real.numpy(), torch.cat(made).numpy()).frechet.value
    assert BARS["fid_mini, psi 1"].passed(value), value


def test_a_landmark_model_finds_faces(G):
    if (model := find_landmarks()).why:
        pytest.skip(model.why)
    front = view_pictures(G, range(FIRST, FIRST + 200), 0.7, (0.0,))[:, 0]
    share = found(FaceLandmarks(model.path)(front)[0]).mean()
    assert BARS["face found, psi 0.7"].passed(share), share


def test_a_head_stays_itself_from_the_side(G):
    pictures = view_pictures(G, range(FIRST, FIRST + 100), 1.0, (0.0, -30.0, 30.0))
    extract = AlexNetFeatures("alexnet-relu3", project=None)
    front, *sides = (extract(pictures[:, v]).numpy() for v in range(3))
    share = retrieve(front, np.stack(sides)).share
    assert BARS["front view found from both sides, psi 1"].passed(share), share


def test_surfaces_are_one_piece(surfaces):
    share = np.mean([parts.share >= LARGEST for parts, _ in surfaces])
    assert BARS["seeds with one surface, psi 0.7"].passed(share), share


def test_nothing_lies_at_the_border(surfaces):
    share = np.mean([border for _, border in surfaces])
    assert BARS["seeds with something at the border, psi 0.7"].passed(share), share
