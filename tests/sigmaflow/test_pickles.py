"""Snapshot pickles: what is written comes back bit for bit."""

import io
import pickletools

import pytest
import torch
from snapshots import built, equal, pickled

from sigmaflow.generators import CheckpointError, load_gan, load_generator, save_gan
from sigmaflow.generators.pickles import PickleError, read_snapshot
from sigmaflow.generators.pickles.build import (
    PLANE_SETS,
    convert_pickle,
    load_pickle,
    load_pickle_generator,
)
from sigmaflow.generators.pickles.write import (
    generator,
    module_state,
    persistent,
    storage_bytes,
    write_pickle,
)


@pytest.fixture
def label_std():
    return torch.rand(25)


def test_what_is_written_comes_back(tiny_gan, tmp_path, label_std):
    path = tmp_path / "x.pkl"
    tiny_gan.G.plane_axes[2] = torch.tensor(PLANE_SETS["fixed"][2])
    tiny_gan.G_ema.plane_axes[2] = torch.tensor(PLANE_SETS["fixed"][2])
    tiny_gan.G_ema.rendering_kwargs["depth_resolution"] = 7  # the live one
    write_pickle(tiny_gan, path, label_std)
    read = load_pickle(path)
    for name in ("G", "D", "G_ema"):
        assert equal(getattr(tiny_gan, name).state_dict(), getattr(read, name).state_dict())
    assert torch.equal(read.G_ema.plane_axes, tiny_gan.G_ema.plane_axes)
    assert read.G_ema.rendering_kwargs == tiny_gan.G_ema.rendering_kwargs
    assert read.G_ema.neural_rendering_resolution == 8
    assert read.G.training and all(p.requires_grad for p in read.G.parameters())
    assert not any(p.requires_grad for p in read.G_ema.parameters())
    z, c = torch.randn(1, 8), tiny_gan.G.canonical_label()
    tiny_gan.G_ema.eval()
    ws, mine = tiny_gan.G_ema.mapping(z, c), read.G_ema.mapping(z, c)
    assert torch.equal(tiny_gan.G_ema.planes(ws), read.G_ema.planes(mine))


def test_conversion_is_whole_and_keeps_what_loading_drops(tiny_gan, tmp_path, label_std):
    from safetensors.torch import load_file

    path, folder = tmp_path / "x.pkl", tmp_path / "deep" / "gan"
    write_pickle(tiny_gan, path, label_std)
    done = convert_pickle(path, folder)
    assert done.plane_axes == "XY, XZ, ZX" and done.img_resolution == 16
    assert done.parameters["D"] == sum(p.numel() for p in tiny_gan.D.parameters())
    assert torch.equal(load_file(folder / "G.safetensors")["dataset_label_std"], label_std)
    read = load_gan(folder)
    for name in ("G", "D", "G_ema"):
        assert equal(getattr(tiny_gan, name).state_dict(), getattr(read, name).state_dict())
    again = convert_pickle(path, folder)
    assert again == done
    save_gan(tiny_gan, tmp_path / "other")
    with pytest.raises(CheckpointError, match="something else"):
        convert_pickle(path, tmp_path / "other")
    assert sorted(p.name for p in folder.parent.iterdir()) == ["gan"]


def test_half_precision_stays_in_the_file(tiny_gan, tmp_path):
    from safetensors.torch import load_file

    kept = tiny_gan.G_ema.decoder.net[0].weight.data
    tiny_gan.G_ema.decoder.net[0].weight.data = kept.half()
    write_pickle(tiny_gan, tmp_path / "x.pkl")
    convert_pickle(tmp_path / "x.pkl", tmp_path / "gan")
    name = "decoder.net.0.weight"
    stored = load_file(tmp_path / "gan" / "G_ema.safetensors")[name]
    assert stored.dtype == torch.float16
    loaded = load_generator(tmp_path / "gan").state_dict()[name]
    assert loaded.dtype == torch.float32 and torch.equal(loaded, kept.half().float())


def test_only_the_average_can_be_scored_and_not_trained(tiny_gan, tmp_path):
    path, folder = tmp_path / "x.pkl", tmp_path / "gan"
    path.write_bytes(pickled({"G_ema": generator(tiny_gan.G_ema)}))
    convert_pickle(path, folder)
    want = tiny_gan.G_ema.state_dict()
    assert equal(load_generator(folder).state_dict(), want)
    assert equal(load_pickle_generator(path).state_dict(), want)
    with pytest.raises(CheckpointError, match="no G and no D"):
        load_gan(folder)
    with pytest.raises(CheckpointError, match="no G and no D"):
        load_pickle(path)


def test_axes_that_the_file_lacks_are_asked_for(tiny_gan, tmp_path):
    value = generator(tiny_gan.G_ema)
    renderer = value.args[0]["state"]["_modules"]["renderer"]
    del renderer.state["plane_axes"]
    path = tmp_path / "x.pkl"
    path.write_bytes(pickled({"G_ema": value}))
    with pytest.raises(CheckpointError, match="--axes"):
        load_pickle_generator(path)
    read = load_pickle_generator(path, PLANE_SETS["fixed"])
    assert read.plane_axes.tolist() == [[list(r) for r in p] for p in PLANE_SETS["fixed"]]


def test_a_swapped_backbone_gives_the_planes_their_size(tiny_gan, tmp_path):
    value = generator(tiny_gan.G_ema)
    assert "plane_resolution" not in value.args[0]["state"]["_init_kwargs"]
    (tmp_path / "x.pkl").write_bytes(pickled({"G_ema": value}))
    read = load_pickle_generator(tmp_path / "x.pkl")
    assert read.init_kwargs["plane_resolution"] == 16


@pytest.mark.parametrize(
    "room, change, words",
    [
        ("_init_kwargs", {"architecture": "orig"}, "architecture"),
        ("_init_kwargs", {"surprise": 1}, "surprise"),
        ("_init_kwargs", {"mapping_kwargs": {"num_layers": 10**9}}, "num_layers"),
        ("_init_kwargs", {"mapping_kwargs": "many"}, "mapping_kwargs"),
        ("_init_kwargs", {"z_dim": 10**12}, "z_dim"),
        ("_init_kwargs", {"z_dim": 9}, "do not fit"),
        ("_init_kwargs", {"img_resolution": "big"}, "can't be built"),
    ],
)
def test_other_networks_are_named(tiny_gan, tmp_path, room, change, words):
    value = generator(tiny_gan.G_ema)
    state = value.args[0]["state"]
    state[room] = {**state[room], **change}
    inner = state["_modules"]["backbone"].args[0]["state"]["_init_kwargs"]
    inner.pop("mapping_kwargs")
    (tmp_path / "x.pkl").write_bytes(pickled({"G_ema": value}))
    with pytest.raises(PickleError, match=words):
        load_pickle_generator(tmp_path / "x.pkl")


def test_harmless_arguments_are_let_through(tiny_gan, tmp_path):
    value = generator(tiny_gan.G_ema)
    state = value.args[0]["state"]
    more = {"architecture": "skip", "fp16_channels_last": True, "use_noise": True}
    state["_init_kwargs"] = {**state["_init_kwargs"], **more}
    (tmp_path / "x.pkl").write_bytes(pickled({"G_ema": value}))
    read = load_pickle_generator(tmp_path / "x.pkl")
    assert equal(read.state_dict(), tiny_gan.G_ema.state_dict())


@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_python_agrees_on_what_is_written(tiny_gan, tmp_path):
    """pickletools walks the file, and torch reads a storage of it."""
    write_pickle(tiny_gan, tmp_path / "x.pkl")
    raw = (tmp_path / "x.pkl").read_bytes()
    assert sum(1 for _ in pickletools.genops(raw)) > 1000
    values = torch.randn(3, 4)
    for wanted in (values, values.half(), values.bfloat16(), values.double(), values > 0):
        storage = storage_bytes(wanted, "cuda:0")
        loaded = torch.load(io.BytesIO(storage), map_location="cpu", weights_only=True)
        assert loaded.tolist() == wanted.reshape(-1).tolist()


def test_views_of_one_storage(tmp_path):
    for offset, size, stride in ((0, (2, 3), (3, 1)), (1, (3,), (2,)), (0, (3, 2), (1, 3))):
        (tmp_path / "x.pkl").write_bytes(built((offset, size, stride)))
        read = read_snapshot(tmp_path / "x.pkl").networks["G_ema"].state()["w"]
        assert torch.equal(read, torch.arange(6.0).as_strided(size, stride, offset))
        assert read.is_contiguous()


def test_buffers_that_do_not_persist_are_left_out(tmp_path):
    module = torch.nn.Module()
    module.register_buffer("kept", torch.ones(2))
    state = module_state(module)
    state["_buffers"] = {**state["_buffers"], "passing": torch.zeros(2), "none": None}
    state["_non_persistent_buffers_set"] = {"passing"}
    (tmp_path / "x.pkl").write_bytes(pickled({"G_ema": persistent("Net", state)}))
    assert list(read_snapshot(tmp_path / "x.pkl").networks["G_ema"].state()) == ["kept"]


@pytest.mark.parametrize("zipped", [False, True])
def test_damaged_torch_files(tmp_path, zipped):
    """Read as they were, or refused with our error; never anything else."""
    import random

    from sigmaflow.generators.pickles.torchfile import read_torch_file

    path = tmp_path / "x.pt"
    shared = torch.arange(12.0)
    state = {"a": shared, "b": shared[2:5], "c": torch.ones(2, 3).half(), "n": torch.tensor(7)}
    torch.save({"state_dict": state, "epoch": 3}, path, _use_new_zipfile_serialization=zipped)
    read = read_torch_file(path)
    assert equal(read, state)
    good, chance = path.read_bytes(), random.Random(0)
    refusals = 0
    for number in range(400):
        bad = bytearray(good)
        if number % 4 == 0:
            bad = bad[: chance.randrange(len(bad))]
        for _ in range(chance.choice((1, 2, 8)) if bad else 0):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        path.write_bytes(bad)
        try:
            read_torch_file(path)
        except PickleError as error:
            assert str(path) in str(error)
            refusals += 1
    assert refusals > 150
