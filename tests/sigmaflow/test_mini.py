"""The generator that ships: it has faces, one mean face, defects to mend, and a number for them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sigmaflow.datasets.images import ImageZip
from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.fields.slab import latents, sample_slab
from sigmaflow.generators import RaySampling, cameras, load_generator, resolve
from sigmaflow.metrics.features import extractor, moments_of
from sigmaflow.metrics.frechet import frechet_distance
from sigmaflow.preferences.annotator import measure, score, shown

IMAGES = Path(__file__).parents[2] / "sigmaflow" / "datasets" / "faces64.zip"


@pytest.fixture(scope="module")
def G():
    return load_generator("mini")


def look(G, seeds, psi, yaw=0.0):
    c = G.canonical_label().expand(len(seeds), -1)
    with torch.no_grad():
        ws = G.mapping(latents(seeds, G.z_dim), c, truncation_psi=psi)
        view = cameras.frontal_label(yaw=yaw).expand(len(seeds), -1)
        return G.synthesis(ws, view, noise_mode="const", sampling=RaySampling(deterministic=True))


def test_small_enough_to_ship():
    files = list(resolve("mini").glob("*.safetensors"))
    assert len(files) == 3 and sum(f.stat().st_size for f in files) <= 10 * 2**20


def test_psi_0_is_one_face_and_psi_1_many(G):
    none, full = (look(G, range(6), psi)["image"] for psi in (0.0, 1.0))
    assert (none - none[:1]).abs().max() < 1e-5
    assert torch.pdist(full.flatten(1), p=1).min() / full[0].numel() > 0.05


def test_the_head_stands_before_the_background(G):
    depth = look(G, range(6), 0.7)["image_depth"][:, 0]
    middle, corner = depth[:, 12:20, 12:20].mean(dim=(1, 2)), depth[:, :3, :3].mean(dim=(1, 2))
    assert (corner > middle).all() and (corner - middle).mean() > 0.05


def test_views_agree(G):
    """What one camera sees, moved by its depth into another's picture, is what that one sees."""
    seeds = range(8)
    a, b = look(G, seeds, 0.7), look(G, seeds, 0.7, yaw=0.2)
    r = a["image_depth"].shape[-1]
    origins, directions = cameras.rays(cameras.frontal_label(), r)
    points = origins + a["image_depth"].flatten(2).transpose(1, 2) * directions
    c = cameras.frontal_label(yaw=0.2)
    pose, k = c[0, :16].reshape(4, 4), c[0, 16:].reshape(3, 3)
    p = (points - pose[:3, 3]) @ pose[:3, :3]
    uv = (p[..., :2] / p[..., 2:]) * k[0, 0] + 0.5
    grid = (uv * 2 - 1).reshape(len(p), r, r, 2)
    moved = torch.nn.functional.grid_sample(b["image_volume"], grid, align_corners=False)
    face = (slice(None), slice(None), slice(10, 24), slice(10, 22))
    agree = (moved - a["image_volume"])[face].abs().mean()
    other = (moved.roll(1, 0) - a["image_volume"])[face].abs().mean()
    unmoved = (b["image_volume"] - a["image_volume"])[face].abs().mean()
    assert agree < 0.3 * other and agree < unmoved


def test_there_is_something_to_mend(G):
    """The annotator's score spreads at psi 1, and more than towards the mean."""
    from jobs.sweep.config import load
    from jobs.sweep.kinds import KINDS

    root = Path(__file__).parents[2]
    config = load(root / "sweeps" / "lambda.yaml", KINDS["sweep"]).annotator.config
    view = Grid(resolution=64, kind="regular", pads=SLAB_ENTIRE)

    def scores(psi):
        with torch.no_grad():
            slabs = sample_slab(G, latents(range(40), G.z_dim), view, truncation_psi=psi)
        return np.array([score(measure(shown(s, view), config), config) for s in slabs.numpy()])

    full, truncated = scores(1.0), scores(0.25)
    assert full.std() > 1.0
    assert truncated.std() < full.std()


def test_fid_mini_measures_something(G):
    """Two halves of the real set lie far nearer to each other than to anything else."""
    pixels = ImageZip(IMAGES).load_all()
    half = len(pixels) // 2
    extract = extractor("stlpips-alex")
    assert half >= 10 * extract.dim

    def moments(images):
        return moments_of(extract, images.split(64))

    real = moments(pixels[:half])
    other = pixels[half:]
    soft = torch.nn.functional.avg_pool2d(other.float(), 3, 1, 1).to(torch.uint8)
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 10, other.shape))
    noisy = (other + noise).clamp(0, 255).to(torch.uint8)
    fake = torch.cat(
        [
            (look(G, range(i, i + 16), 0.5)["image"] * 127.5 + 128).clamp(0, 255).to(torch.uint8)
            for i in range(0, half, 16)
        ]
    )
    halves = frechet_distance(real, moments(other))
    for worse in (fake, soft, noisy):
        assert 5 * halves < frechet_distance(real, moments(worse))
