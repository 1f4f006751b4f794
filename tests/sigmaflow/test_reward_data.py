"""Banks over many files, the shard store, slabs from a generator, and data that are refused."""

import json
import tracemalloc

import numpy as np
import pytest
import torch

from sigmaflow.fields.grid import SLAB_ENTIRE, Grid
from sigmaflow.fields.slab import latents, sample_slab
from sigmaflow.generators import load_generator
from sigmaflow.preferences.rankings import RankingsError
from sigmaflow.rewards.checks import check_data, faulty_values
from sigmaflow.rewards.config import mini_training
from sigmaflow.rewards.data import Items, SlabBank, Stacked
from sigmaflow.rewards.model import mini_config
from sigmaflow.rewards.shards import Recipe, SlabStore, open_banks
from sigmaflow.rewards.stream import GeneratorBank
from sigmaflow.rewards.train import train_reward

GRID = Grid(resolution=20, pads=SLAB_ENTIRE)
RECIPE = Recipe("abc", GRID, 1.0)


def slabs(seeds, grid=GRID):
    return np.stack([np.random.RandomState(s).randn(*grid.shape) for s in seeds]).astype(np.float16)


def sample(seeds):
    return torch.from_numpy(slabs(seeds)).float()


def test_many_files_are_one_bank_of_the_same_bytes(tmp_path):
    seeds = [list(range(0, 7)), list(range(20, 21)), list(range(50, 60))]
    for i, own in enumerate(seeds):
        np.save(tmp_path / f"{i}.npy", slabs(own))
    maps = [np.load(tmp_path / f"{i}.npy", mmap_mode="r") for i in range(3)]
    bank = SlabBank.of_parts(zip(maps, seeds))
    flat = [seed for own in seeds for seed in own]
    whole = SlabBank(slabs(flat), flat)
    order = np.random.RandomState(0).permutation(flat).tolist()
    assert torch.equal(bank.take(order), whole.take(order))
    assert bank.shape == whole.shape and len(bank.values) == 18 and bank.values.ndim == 4
    assert bank.place(55) == (str(tmp_path / "2.npy"), 5)
    with pytest.raises(ValueError, match="have no slab: \\[7\\]"):
        bank.require([3, 7])
    with pytest.raises(IndexError):
        bank.values[[18]]


def test_opening_a_bank_reads_nothing(tmp_path):
    big = Grid(resolution=128)
    for i in range(2):
        np.save(tmp_path / f"{i}.npy", np.zeros((4, *big.shape), np.float16))
    tracemalloc.start()
    maps = [np.load(tmp_path / f"{i}.npy", mmap_mode="r") for i in range(2)]
    bank = SlabBank.of_parts(zip(maps, ([1, 2, 3, 4], [5, 6, 7, 8])))
    bank.take([2])
    assert tracemalloc.get_traced_memory()[1] < 0.9 * maps[0].nbytes
    tracemalloc.stop()


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="of one kind"):
        Stacked([slabs([1]), slabs([2]).astype(np.float32)])
    with pytest.raises(ValueError, match="holds 1 slabs for 2 seeds"):
        SlabBank.of_parts([(slabs([1]), [1, 2])])
    with pytest.raises(ValueError, match="more than once"):
        SlabBank.of_parts([(slabs([1]), [1]), (slabs([1]), [1])])
    with pytest.raises(ValueError, match="nothing"):
        SlabBank.of_parts([])


def test_a_store_goes_on_where_it_was_killed(tmp_path):
    store = SlabStore(tmp_path, RECIPE)
    made = []

    def dies(seeds):
        made.append(seeds)
        if len(made) == 3:
            raise KeyboardInterrupt
        return sample(seeds)

    with pytest.raises(KeyboardInterrupt):
        store.fill(range(10), dies, shard=3)
    plan = store.plan(range(10))
    assert (plan.present, plan.missing) == (6, (6, 7, 8, 9))
    assert plan.bytes == 4 * 2 * GRID.size and "6 are there, 4 to make" in str(plan)
    (store.folder / ".tmp-1-x.json").write_text("{")  # what a kill may leave
    store.fill(range(10), sample, shard=3)
    assert torch.equal(store.bank(range(10)).take(range(10)), sample(range(10)))
    before = sorted((p.name, p.stat().st_mtime_ns) for p in store.folder.iterdir())
    assert store.fill(range(10), dies).missing == ()
    assert sorted((p.name, p.stat().st_mtime_ns) for p in store.folder.iterdir()) == before
    with pytest.raises(ValueError, match="no slab: \\[10\\]"):
        store.bank(range(11))


def test_the_papers_size_is_told_before_it_starts(tmp_path):
    store = SlabStore(tmp_path, Recipe("abc", Grid(resolution=256, pads=SLAB_ENTIRE), 1.0))
    assert "9692 slabs, 45.1 GB in all; 0 are there" in str(store.plan(range(9692)))


def test_a_full_disk_is_told_before_any_work(tmp_path, monkeypatch):
    store = SlabStore(tmp_path, RECIPE)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("U", (), {"free": 10})())
    with pytest.raises(OSError, match="no room for the slabs.*10 B free"):
        store.fill([1], lambda seeds: pytest.fail("began"))


def test_damage_is_found(tmp_path):
    store = SlabStore(tmp_path, RECIPE)
    store.fill(range(4), sample, shard=2)
    assert store.verify() == []
    file = sorted(store.folder.glob("*.npy"))[0]
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert store.verify() == [file]
    file.write_bytes(data[:-1])
    with pytest.raises(ValueError, match=f"{file.name} is missing or not"):
        store.bank()
    card = file.with_suffix(".json")
    card.write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        store.plan([1])


def test_bad_slabs_never_reach_a_store(tmp_path):
    store = SlabStore(tmp_path, RECIPE)
    bad = sample(range(4))
    bad[1] = 3.0
    bad[2, 0, 0, 0] = 1e6  # beyond float16
    bad[3, 1, 1, 1] = np.nan
    with pytest.raises(ValueError, match="3 slabs.*seed 1 spans.*seed 2 spans.*seed 3"):
        store.fill(range(4), lambda seeds: bad)
    assert store.plan(range(4)).present == 0


def test_stores_are_named_after_what_slabs_depend_on(tmp_path):
    others = [Recipe("abd", GRID, 1.0), Recipe("abc", GRID, 0.25), Recipe("abc", GRID, 1.0, 3),
              Recipe("abc", Grid(resolution=21, pads=SLAB_ENTIRE), 1.0)]  # fmt: skip
    assert len({r.key for r in (RECIPE, *others)}) == 5
    store = SlabStore(tmp_path, RECIPE)
    (store.folder / "recipe.json").write_text(json.dumps({"format": 1, "recipe": {}}))
    with pytest.raises(ValueError, match="of other slabs"):
        SlabStore(tmp_path, RECIPE)


def test_two_stores_and_two_writers_are_one_bank(tmp_path):
    first, second = SlabStore(tmp_path, RECIPE), SlabStore(tmp_path, Recipe("abc", GRID, 0.25))
    first.fill(range(4), sample, shard=2)
    first._write([3, 4], slabs([3, 4]))  # another writer made seed 3 too
    second.fill([100], sample)
    bank = open_banks([first, second], [0, 4, 100])
    assert torch.equal(bank.take([3, 4, 100]), sample([3, 4, 100]))
    assert len(bank.seeds) == 6


@pytest.fixture(scope="module")
def generator(tiny_checkpoint):
    return load_generator(tiny_checkpoint)


def test_a_generator_is_a_bank(generator, tmp_path):
    bank = GeneratorBank(generator, GRID, anchors=[100], keep=2)
    with torch.no_grad():
        z = latents([3, 5, 100], generator.z_dim)
        plain = sample_slab(generator, z[:2], GRID)
        high = sample_slab(generator, z[2:], GRID, truncation_psi=0.25)
    want = torch.cat([plain, high]).half().float()
    taken = bank.take([3, 100, 5, 3])
    torch.testing.assert_close(taken, want[[0, 2, 1, 0]], rtol=2e-3, atol=2e-3)
    assert torch.equal(bank.take([3, 100, 5, 3]), taken)  # some of them kept
    assert len(bank._kept) == 2 and bank.shape == GRID.shape
    with pytest.raises(ValueError, match="not in"):
        bank.require([1, -1])

    store = SlabStore(tmp_path, RECIPE)
    stream = GeneratorBank(generator, GRID)
    store.fill([3, 5], stream.take)
    assert torch.equal(store.bank().take([5, 3]), stream.take([3, 5]).flip(0))


def test_training_from_a_generator_is_training_from_its_store(generator, tmp_path):
    stream, store = GeneratorBank(generator, GRID), SlabStore(tmp_path, RECIPE)
    store.fill(range(16), stream.take, shard=5)
    items = Items(np.arange(16).reshape(8, 2))
    model = mini_config(GRID, f_maps=(8, 16), feature_size=16, trunk=(16, 16), trunk_out=16)
    config = mini_training(epochs=2, batch=2)
    train, val = items.take(range(6)), items.take([6, 7])
    runs = [
        [t.metrics for t in train_reward(bank, train, val, config, model)]
        for bank in (stream, store.bank())
    ]
    assert runs[0] == runs[1] and len(runs[0]) == 2


def test_all_that_is_wrong_with_the_data_is_one_error(tmp_path):
    values = slabs(range(24))
    values[2] = 1.0
    values[5, 0, 0, 0] = np.nan
    values[6, 0, 0, 0] = np.inf
    np.save(tmp_path / "slabs.npy", values)
    bank = SlabBank(np.load(tmp_path / "slabs.npy", mmap_mode="r"), range(24))
    pairs = [(i, i + 1) for i in range(0, 24, 2)]
    path = tmp_path / "r.csv"

    def write(rows):
        path.write_text("\n".join([",rank1,rank2", *(f"{i},{a},{b}" for i, (a, b)
                                                     in enumerate(rows))]) + "\n")  # fmt: skip
        with pytest.raises(RankingsError) as error:
            check_data(path, bank)
        return [str(p) for p in error.value.problems]

    said = write([*pairs, (99, 23), *((0, loser) for loser in range(9, 17))])
    assert sum("is in two parts" in line for line in said) >= 1
    assert any("r.csv:14 [rank1]: the seed has no slab (value '99')" in line for line in said)
    where = str(tmp_path / "slabs.npy")
    assert [line for line in said if line.startswith(where)] == [
        f"{where}:2 [seed 2]: is constant (value '1 to 1'); make it again, or leave its questions"
        " out",
        f"{where}:5 [seed 5]: holds NaN or infinity (value 'nan to nan'); make it again, or leave"
        " its questions out",
        next(line for line in said if line.startswith(f"{where}:6")),
    ]
    both = write([*pairs, (1, 0), (2, 3)])  # rankings that cannot be read do not hide slabs
    assert any("contradicts line 2" in line for line in both)
    assert any("the pair of line 3 again" in line for line in both)
    assert any("is constant" in line for line in both)


def test_good_data_pass(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text(",rank1,rank2\n" + "".join(f"{i},{2 * i},{2 * i + 1}\n" for i in range(8)))
    bank = SlabBank(slabs(range(16)), range(16))
    assert len(check_data(path, bank)) == 8
    assert not list(faulty_values(bank, range(16), batch=3))


def test_the_released_rankings_have_nothing_wrong(reference):
    assert len(check_data(reference / "data" / "authors" / "rankedseedsall.csv", None)) == 4346
