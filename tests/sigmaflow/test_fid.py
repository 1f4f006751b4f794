"""FID by protocol: the same number for any sharding, refused comparisons, intervals, KID."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy
import torch
import torch.nn.functional as F

from sigmaflow.metrics.blocks import BlockTree
from sigmaflow.metrics.features import features_of
from sigmaflow.metrics.frechet import Moments, frechet_of
from sigmaflow.metrics.generated import generated_blocks, pose_index
from sigmaflow.metrics.influence import bootstrap, change, influences
from sigmaflow.metrics.kernel import kernel_distance
from sigmaflow.metrics.protocol import NAMED, OF_REALS, Protocol, ProtocolError, named, same
from sigmaflow.metrics.reference import load_reference, save_reference, source_of
from sigmaflow.metrics.resize import tf1_resize

DIM = 12


def protocol(name="mini", **fields):
    return named(name, **{"weights": "w", "real": "r", "cameras": "c", "images": 500, **fields})


def features(n, seed, shift=0.0, dim=DIM):
    random = np.random.RandomState(seed)
    return (random.randn(n, dim) @ np.random.RandomState(9).randn(dim, dim) + shift).astype("f4")


# ---------------------------------------------------------------------- protocols


@pytest.mark.parametrize("name", NAMED)
def test_a_protocol_is_known_by_every_field(name):
    one = protocol(name)
    assert one.hash == Protocol(**json.loads(one.model_dump_json())).hash
    others = {
        "weights": "x", "real": "x", "cameras": "x", "images": 501, "first_seed": 1, "pose_seed": 1,
        "psi": 0.7, "mirror": True, "batch": 50, "block": 200,
    }  # fmt: skip
    changed = [one.model_copy(update={k: v}) for k, v in others.items()]
    assert len({p.hash for p in changed} | {one.hash}) == len(others) + 1
    for key, other in zip(others, changed):
        assert (other.real_hash != one.real_hash) == (key in OF_REALS), key
        with pytest.raises(ProtocolError, match=f"a .* and b .* differ in {key}: "):
            same({"a": one, "b": other})
    assert same({"a": one, "b": protocol(name)}) == one


def test_a_name_means_what_it_says():
    with pytest.raises(ValueError, match="is not the protocol 'nvidia'"):
        protocol("nvidia", covariance="n-1")
    with pytest.raises(ValueError, match="multiple of batch"):
        protocol(batch=30)
    with pytest.raises(ValueError, match="multiple of 100"):
        protocol().shards(150)
    names = [protocol(n, images=i).column for n in NAMED for i in (50000, 500)]
    assert names == ["fid50k", "fid_500", "fid50k_full", "fid_500_full", "fid_mini", "fid_mini"]
    exact = protocol("nvidia", images=50000).shards(3200)
    assert exact[0] == (0, 3200) and exact[-1] == (48000, 50000)
    assert sum(stop - start for start, stop in exact) == 50000


# ---------------------------------------------------------------------- any sharding


def tree_of(x, size, block=10):
    """The blocks of x in shards of a size, each through its arrays, joined."""
    whole = None
    for start in range(0, len(x), size):
        shard = BlockTree(DIM, block, "s", start // block)
        for i in range(start, min(start + size, len(x)), block):
            shard.add(x[i : i + block] if i + block <= start + size else x[i : start + size])
        shard = BlockTree.from_arrays(shard.to_arrays())
        whole = shard if whole is None else whole.join(shard)
    return whole


@pytest.mark.parametrize("n", [10, 200, 397, 640])
def test_any_sharding_gives_the_same_bytes(n):
    x = features(n, 0) + 1e3
    totals = [tree_of(x, size).total() for size in (10, 70, 160, 1000)]
    assert len({(m.n, m.mean.tobytes(), m.covariance.tobytes()) for m in totals}) == 1
    assert totals[0].n == n
    np.testing.assert_allclose(totals[0].covariance, np.cov(x.T.astype("f8")), rtol=1e-9)
    in_order = Moments(DIM, "s")
    for i in range(0, n, 10):
        in_order.add(x[i : i + 10])
    np.testing.assert_allclose(totals[0].covariance, in_order.covariance, rtol=1e-12)


def test_a_shard_holds_few_nodes():
    for start, stop in ((0, 512), (1, 511), (32, 64), (33, 200)):
        tree = BlockTree(1, 2, start=start)
        for _ in range(start, stop):
            tree.add(np.ones((2, 1)))
        assert tree.n == 2 * (stop - start)
        assert len(tree._nodes) <= 2 * np.ceil(np.log2(stop - start))
    assert len(BlockTree.from_arrays(tree_of(features(320, 0), 320).to_arrays())._nodes) <= 2


def test_shards_must_fit_together():
    first, second = BlockTree(DIM, 10, "s"), BlockTree(DIM, 10, "s", start=2)
    first.add(features(10, 0))
    second.add(features(10, 1))
    with pytest.raises(ValueError, match="the next block is 1, the shard begins with 2"):
        first.join(second)
    with pytest.raises(ValueError, match="blocks 0 to 1 are missing"):
        second.total()
    with pytest.raises(ValueError, match="different kinds"):
        first.join(BlockTree(DIM, 10, "other", start=1))
    with pytest.raises(ValueError, match="1 to 10 images, not 11"):
        first.add(features(11, 0))
    first.add(features(3, 0))
    with pytest.raises(ValueError, match="it is the last"):
        first.add(features(10, 0))


# ---------------------------------------------------------------------- generated images


@pytest.mark.parametrize("name", ["clean", "nvidia"])
def test_an_image_depends_on_its_number_alone(tiny_gan, name):
    G = tiny_gan.G_ema.eval()
    with torch.no_grad():  # fresh ones have no noise
        for parameter, value in G.named_parameters():
            value.fill_(0.5) if parameter.endswith("noise_strength") else None
    how = protocol(name, images=10, block=4, batch=2)
    labels = G.canonical_label().repeat(3, 1)
    labels[:, 3] += torch.arange(3) * 0.2
    before = torch.get_rng_state()
    whole = torch.cat(list(generated_blocks(G, labels, how, 0, 10)))
    assert whole.shape == (10, 3, 16, 16) and whole.dtype == torch.uint8
    parts = [generated_blocks(G, labels, how, i, j) for i, j in ((0, 8), (8, 10))]
    assert torch.equal(torch.cat([b for part in parts for b in part]), whole)
    assert torch.equal(torch.get_rng_state(), before)
    assert len({image.numpy().tobytes() for image in whole}) == 10
    with pytest.raises(ValueError, match="do not end at blocks of 4"):
        next(generated_blocks(G, labels, how, 2, 8))
    for other in ({"psi": 0.0}, {"first_seed": 7}, {"pose_seed": 1}, {
        "noise": "const" if how.noise == "random" else "random"
    }, {"rays": "deterministic" if how.rays == "stratified" else "stratified"}):  # fmt: skip
        changed = how.model_copy(update=other)
        assert not torch.equal(next(generated_blocks(G, labels, changed, 0, 4)), whole[:4]), other


def test_cameras_are_drawn_evenly():
    how = protocol()
    found = [pose_index(how, i, 5) for i in range(1000)]
    assert found[:50] == [pose_index(how, i, 5) for i in range(50)]
    assert 150 < min(np.bincount(found)) and len(np.bincount(found)) == 5
    assert found != [pose_index(protocol(pose_seed=1), i, 5) for i in range(1000)]


def test_the_network_always_sees_the_same_batches():
    seen = []

    def extract(images):
        seen.append(len(images))
        return images.float().mean((2, 3))

    found = features_of(extract, torch.zeros(12, 3, 2, 2, dtype=torch.uint8), 5)
    assert seen == [5, 5, 2] and found.shape == (12, 3)


# ---------------------------------------------------------------------- resizing


@pytest.mark.parametrize("shape", [(64, 64), (512, 512), (299, 299), (40, 300)])
def test_resizing_as_tensorflow_1(shape):
    """The published TorchScript's own way: a sampling grid moved by half a pixel of each side."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2, 3, *shape), dtype=torch.uint8)
    theta = torch.eye(2, 3).repeat(2, 1, 1)
    theta[:, 0, 2] += 1 / shape[1] - 1 / 299
    theta[:, 1, 2] += 1 / shape[0] - 1 / 299
    grid = F.affine_grid(theta.double(), (2, 3, 299, 299), align_corners=False)
    kwargs = dict(mode="bilinear", padding_mode="border", align_corners=False)
    expected = F.grid_sample(images.double(), grid, **kwargs)
    torch.testing.assert_close(tf1_resize(images, 299).double(), expected, rtol=0, atol=1e-3)
    half_pixel = F.interpolate(images.float(), (299, 299), mode="bilinear", align_corners=False)
    assert torch.equal(tf1_resize(images, 299), half_pixel) == (shape == (299, 299))


def test_resizing_as_tensorflow_1_by_hand():
    row = torch.tensor([0, 30, 90], dtype=torch.uint8)
    got = tf1_resize(row.expand(1, 3, 3, 3).contiguous(), 6)[0, 0, 0]
    assert got.tolist() == [0, 15, 30, 60, 90, 90]
    assert tf1_resize(row.expand(1, 3, 3, 3).contiguous(), 2)[0, 0, 0].tolist() == [0, 60]


# ---------------------------------------------------------------------- KID, intervals


def test_kid_equals_clean_fid():
    from cleanfid.fid import kernel_distance as theirs

    real, generated = features(300, 1).astype("f8"), features(400, 2, 0.2).astype("f8")
    np.random.seed(5)
    expected = theirs(real, generated, num_subsets=7, max_subset_size=150)
    got = kernel_distance(real, generated, 5, subsets=7, size=150)
    assert got.value == pytest.approx(expected, rel=1e-9)
    assert got == kernel_distance(real, generated, 5, subsets=7, size=150)
    assert got.low < got.value < got.high
    with pytest.raises(ValueError, match="do not fit together"):
        kernel_distance(real, generated[:, 1:])


def test_kid_of_one_distribution_is_unbiased():
    values = [
        kernel_distance(features(80, s, dim=3), features(60, 90 + s, dim=3), subsets=3).value
        for s in range(60)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)
    assert min(values) < 0


def test_influence_is_the_derivative():
    x, y = features(200, 1).astype("f8"), features(300, 2, 0.5).astype("f8")
    real = y.mean(0), np.cov(y.T)

    def distance(weights):
        mean = weights @ x
        return frechet_of(mean, (x - mean).T @ ((x - mean) * weights[:, None]), *real)

    even = np.full(len(x), 1 / len(x))
    h = influences(x, x.mean(0), np.cov(x.T, ddof=0), *real)
    assert abs(h.mean()) < 1e-9 * np.abs(h).max()
    step = 1e-5
    for i in (0, 17, 199):
        point = np.eye(len(x))[i]
        moved = [distance((1 - s) * even + s * point) for s in (step, -step)]
        assert (moved[0] - moved[1]) / (2 * step) == pytest.approx(h[i], rel=1e-4)


def test_the_interval_is_that_of_a_full_bootstrap():
    x, y = features(400, 1).astype("f8"), features(600, 2, 0.6).astype("f8")
    real = y.mean(0), np.cov(y.T)
    value = frechet_of(x.mean(0), np.cov(x.T), *real)
    h = influences(x, x.mean(0), np.cov(x.T), *real)
    got = bootstrap(value, h, 0)
    assert got == bootstrap(value, h, 0) and got.low < value < got.high
    random, again = np.random.RandomState(0), []
    for _ in range(300):
        z = x[random.randint(0, len(x), len(x))]
        again.append(frechet_of(z.mean(0), np.cov(z.T), *real))
    low, high = np.quantile(again, [0.025, 0.975])
    assert got.high - got.low == pytest.approx(high - low, rel=0.2)


def test_the_interval_covers():
    """95 % of intervals hold the mean FID of that many images (its bias is not theirs)."""
    y = features(20000, 99, 1.0, dim=4).astype("f8")
    real = y.mean(0), np.cov(y.T)
    found = []
    for seed in range(120):
        x = features(150, seed, dim=4).astype("f8")
        value = frechet_of(x.mean(0), np.cov(x.T), *real)
        found.append(bootstrap(value, influences(x, x.mean(0), np.cov(x.T), *real), seed))
    centre = np.mean([one.value for one in found])
    covered = np.mean([one.low <= centre <= one.high for one in found])
    assert 0.88 <= covered <= 0.995


def test_pairs_are_surer_than_two_numbers():
    x, y = features(400, 1).astype("f8"), features(600, 2, 0.6).astype("f8")
    real, tuned = (y.mean(0), np.cov(y.T)), 1.02 * features(400, 1).astype("f8") + 0.02
    numbers = []
    for z in (x, tuned):
        m = z.mean(0), np.cov(z.T)
        numbers += [frechet_of(*m, *real), influences(z, *m, *real)]
    paired = change(*numbers, seed=0)
    assert paired.value == pytest.approx(numbers[2] - numbers[0])
    alone = bootstrap(numbers[0], numbers[1], 0)
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)
    with pytest.raises(ValueError, match="not pairs"):
        change(0.0, numbers[1], 0.0, numbers[3][:-1], 0)


def test_no_interval_where_the_covariance_is_near_singular():
    x = features(2 * DIM - 1, 0)
    assert influences(x, x.mean(0), np.cov(x.T), x.mean(0), np.cov(x.T)) is None
    assert bootstrap(3.0, None, 0).low is None and change(1.0, None, 3.0, None, 0).value == 2


# ---------------------------------------------------------------------- real statistics


def test_statistics_are_used_only_where_they_fit(tmp_path):
    path, made = tmp_path / "set.npz", protocol("clean", real="sha256:abc")
    x = features(80, 3)
    save_reference(path, Moments(DIM, "s").add(x), made)
    assert source_of(path) == "sha256:abc"
    got = load_reference(path, made.model_copy(update={"psi": 0.5, "images": 9, "cameras": "d"}))
    assert got.n == 80
    np.testing.assert_allclose(got.covariance, np.cov(x.T.astype("f8")), rtol=1e-9)
    for wrong in (made.model_copy(update={"weights": "v"}), protocol("nvidia", real="sha256:abc")):
        with pytest.raises(ProtocolError, match=r"set\.npz: statistics of another protocol, "):
            load_reference(path, wrong)
    biased = protocol("nvidia", real="sha256:abc")
    save_reference(path, Moments(DIM, "s").add(x), biased)
    covariance = load_reference(path, biased).covariance
    np.testing.assert_allclose(covariance, np.cov(x.T.astype("f8"), ddof=0), rtol=1e-9)


def test_clean_fids_published_statistics(tmp_path):
    x = features(80, 3)
    mean, covariance = x.mean(0), np.cov(x.T)
    for mode, name in (("clean", "clean"), ("legacy_tensorflow", "nvidia")):
        path = tmp_path / f"ffhq_{mode}_trainval70k_1024.npz"
        np.savez(path, mu=mean, sigma=covariance)
        got = load_reference(path, protocol(name))
        assert got.n is None and np.allclose(got.covariance, covariance)
        assert source_of(path).startswith("clean-fid:")
        other = {"clean": "nvidia", "nvidia": "mini"}[name]
        with pytest.raises(ProtocolError, match=f"not {other} with this name"):
            load_reference(path, protocol(other))


def test_files_that_are_no_statistics(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"half")
    np.savez(tmp_path / "b.npz", x=np.zeros(3))
    for name, said in (("a", "no .npz of statistics"), ("b", "neither ours|neither our")):
        with pytest.raises(ValueError, match=said):
            load_reference(tmp_path / f"{name}.npz", protocol())


def test_our_path_lives_without_scipys_matrix_root(monkeypatch):
    """What SciPy 1.18 takes away (`sqrtm(disp=)`) is never called."""

    def gone(*_, **__):
        raise TypeError("sqrtm() got an unexpected keyword argument 'disp'")

    monkeypatch.setattr("scipy.linalg.sqrtm", gone)
    x, y = features(100, 1).astype("f8"), features(100, 2, 0.5).astype("f8")
    ours = x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T)
    value = frechet_of(*ours)
    monkeypatch.undo()
    if tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 18):
        from cleanfid.fid import frechet_distance

        assert value == pytest.approx(frechet_distance(*ours), rel=1e-6)
