"""Moments, Frechet distance, extractors."""

from __future__ import annotations

import hashlib
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from picture_sets import blurred, head_pictures, noisy  # noqa: E402

from sigmaflow.metrics.alexnet import AlexNetFeatures  # noqa: E402
from sigmaflow.metrics.features import Extractor, extractor, moments_of  # noqa: E402
from sigmaflow.metrics.frechet import (  # noqa: E402
    Moments,
    check_sample_size,
    frechet_distance,
    frechet_of,
)
from sigmaflow.metrics.resize import clean_resize, tf1_resize  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def features(n=400, dim=24, seed=0, shift=0.0):
    random = np.random.RandomState(seed)
    return random.randn(n, dim) @ random.randn(dim, dim) + shift


def test_moments_equal_numpy_however_they_are_split():
    x = features() + 1e4  # a large mean would show cancellation
    whole = Moments(24).add(x)
    shards = [Moments(24).add(part[:17]).add(part[17:]) for part in np.array_split(x, 5)]
    merged = Moments(24)
    for shard in reversed(shards):
        merged.merge(shard)
    for m in (whole, merged):
        assert m.n == 400
        np.testing.assert_allclose(m.mean, x.mean(0), rtol=1e-12)
        np.testing.assert_allclose(m.covariance, np.cov(x.T), rtol=1e-8, atol=1e-8)


def test_moments_survive_a_file(tmp_path):
    m = Moments(24, "who").add(torch.from_numpy(features()).float())
    np.savez(tmp_path / "m.npz", **m.to_arrays())
    back = Moments.from_arrays(np.load(tmp_path / "m.npz"))
    assert (back.n, back.source) == (400, "who")
    assert np.array_equal(back.mean, m.mean) and np.array_equal(back.covariance, m.covariance)


def test_moments_refuse_what_would_be_a_wrong_number():
    with pytest.raises(ValueError, match="different features: a"):
        frechet_distance(Moments(2, "a"), Moments(2, "b"))
    with pytest.raises(ValueError, match=r"\[B, 2\]"):
        Moments(2).add(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="NaN"):
        Moments(2).add(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="at least 2"):
        frechet_distance(Moments(2).add(np.zeros((1, 2))), Moments(2).add(np.zeros((3, 2))))


@pytest.mark.parametrize("n", [400, 20], ids=["regular", "singular"])
def test_frechet_equals_clean_fid(n):
    from cleanfid.fid import frechet_distance as reference

    a, b = features(n, seed=1), features(n, seed=2, shift=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference(a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))
    ours = frechet_distance(Moments(24).add(a), Moments(24).add(b))
    assert ours == pytest.approx(expected, rel=1e-6)


def test_frechet_by_hand_and_never_below_zero():
    one, two = np.eye(3), 4 * np.eye(3)
    assert frechet_of(np.zeros(3), one, np.array([1.0, 2, 2]), two) == pytest.approx(9 + 3)
    m = Moments(24).add(features())
    assert 0 <= frechet_distance(m, m) < 1e-9


def test_sample_size():
    check_sample_size(640, 64)
    with pytest.raises(ValueError, match="at least 640"):
        check_sample_size(639, 64)


def test_resizing_is_clean_fids():
    from cleanfid.resize import build_resizer

    images = head_pictures(2, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = build_resizer("clean")(images[1].permute(1, 2, 0).numpy())
    got = clean_resize(images, 299)[1].permute(1, 2, 0).numpy()
    assert np.array_equal(got, expected)
    assert torch.equal(clean_resize(images, 64), images.float())
    with pytest.raises(ValueError, match="uint8"):
        clean_resize(images.float(), 64)


def test_alexnet_is_the_packages_network():
    """Numbers made once by the package's own LPIPS(net='alex', variant='shift_tolerant').net."""
    ramp = torch.arange(3 * 64 * 64).reshape(1, 3, 64, 64)
    image = ((ramp * 37) % 251).to(torch.uint8)
    for layer, expected in GOLDEN.items():
        got = AlexNetFeatures(layer=layer, project=None)(image)[0]
        got = got / 100
        summary = [float(v) for v in (got.sum(), got.square().sum(), got[:40].max())]
        assert summary == pytest.approx(expected, rel=1e-4)


# layer: sum, sum of squares and largest of the first 40 of the spatial means
GOLDEN = {
    1: [4.829009, 0.5956206, 0.396991],
    2: [6.982462, 8.99801, 1.862019],
    3: [5.747315, 1.320873, 0.1974442],
    4: [2.30621, 0.2604742, 0.1686372],
    5: [0.489146, 0.02174736, 0.0437025],
}


def test_extractor_protocol_and_description():
    net = extractor("stlpips-alex")
    assert isinstance(net, Extractor)
    images = head_pictures(3, 0)
    out = net(images)
    assert out.shape == (3, net.dim) and out.dtype == torch.float32
    assert net(images[:0]).shape == (0, net.dim)
    torch.testing.assert_close(net(images[1:2])[0], out[1], rtol=1e-4, atol=1e-4)
    assert net(torch.zeros(1, 3, 100, 80, dtype=torch.uint8)).shape == (1, net.dim)
    told = net.describe()
    assert told["number"] == "fid_mini" and len(told["sha256"]) == 64
    assert told["sha256"][:12] in net.key


def test_fid_mini_measures_something():
    net = extractor("stlpips-alex")
    n = 10 * net.dim
    check_sample_size(n, net.dim)
    first, second = head_pictures(n, 1), head_pictures(n, 2)
    start = moments_of(net, first.split(200))

    def fid(images):
        return frechet_distance(start, moments_of(net, images.split(200)))

    halves = fid(second)
    narrow = fid(head_pictures(n, 2, spread=0.5))
    blur, noise = fid(blurred(second, 1.0)), fid(noisy(second, 20))
    assert halves < 0.1 * min(narrow, blur, noise)


def test_unknown_extractor_and_missing_or_wrong_weights(tmp_path):
    with pytest.raises(ValueError, match="did you mean stlpips-alex"):
        extractor("stlpips_alex")
    with pytest.raises(ValueError, match="never downloaded"):
        extractor("clean-fid-inception")
    with pytest.raises(FileNotFoundError, match="download https"):
        extractor("clean-fid-inception", weights=tmp_path)
    with pytest.raises(FileNotFoundError, match="reinstall"):
        extractor("stlpips-alex", weights=tmp_path / "none.pth")
    (tmp_path / "inception-2015-12-05.pt").write_bytes(b"part")
    with pytest.raises(ValueError, match="partial download"):
        extractor("clean-fid-inception", weights=tmp_path, sha256="0" * 64)


class StandIn(torch.nn.Module):
    """The interface of the TorchScript Inception, 2048 numbers from a mean."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool2d((16, 16)), torch.nn.Flatten(), torch.nn.Linear(768, 2048)
        )

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize(
    "name, resize, number",
    [("clean-fid-inception", clean_resize, "fid"),
     ("nvidia-inception", tf1_resize, "fid50k_full")],
)  # fmt: skip
def test_inception_through_clean_fid_with_a_stand_in(tmp_path, name, resize, number):
    torch.manual_seed(0)
    net = StandIn().eval()
    path = tmp_path / "inception-2015-12-05.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(net).save(str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    ours = extractor(name, weights=path, sha256=digest.upper())
    assert isinstance(ours, Extractor) and ours.describe()["number"] == number
    assert ours.key.startswith(name)
    images = head_pictures(2, 0)
    with torch.no_grad():
        expected = net((resize(images, 299) - 128) / 128)
    torch.testing.assert_close(ours(images), expected)
