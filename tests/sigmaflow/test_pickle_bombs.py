"""Snapshot pickles: what is written comes back bit for bit, and bombs are refused cheaply."""

import io
import pickle
import pickletools
import struct
import tracemalloc

import pytest
import torch

from sigmaflow.generators import CheckpointError, load_gan, load_generator, save_gan
from sigmaflow.generators.pickles import PickleError, read_snapshot
from sigmaflow.generators.pickles.build import (
    PLANE_SETS,
    convert_pickle,
    load_pickle,
    load_pickle_generator,
)
from sigmaflow.generators.pickles.write import (
    Emitter,
    Named,
    generator,
    module_state,
    persistent,
    storage_bytes,
    write_pickle,
)

HEAD = b"\x80\x04"
HOOKS = Named("collections", "OrderedDict", ())
STATE = {"_parameters": {}, "_buffers": {}, "_modules": {}}
FEW_MB = 8 << 20


def pickled(value) -> bytes:
    """`value` in the layout of a snapshot."""
    file = io.BytesIO()
    emitter = Emitter(file)
    emitter.put(value)
    emitter.stop()
    return file.getvalue()


def built(args, storage=None) -> bytes:
    """A snapshot whose only tensor is rebuilt from these offset, size and stride."""
    storage = storage_bytes(torch.arange(6.0)) if storage is None else storage
    loaded = Named("torch.storage", "_load_from_bytes", (storage,))
    made = Named("torch._utils", "_rebuild_tensor_v2", (loaded, *args, False, HOOKS))
    return pickled({"G_ema": persistent("Net", {**STATE, "_parameters": {"w": made}})})


@pytest.fixture
def refused(tmp_path):
    """Checks that bytes are refused, with these words, and with little memory."""

    def check(data: bytes, *words: str) -> None:
        path = tmp_path / "bomb.pkl"
        path.write_bytes(data)
        tracemalloc.start()
        try:
            with pytest.raises(PickleError) as caught:
                read_snapshot(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < FEW_MB
        text = str(caught.value)
        assert "bomb.pkl" in text and ";" in text
        for word in words:
            assert word in text, text

    return check


# ---------------------------------------------------------------------- round trips


@pytest.fixture
def label_std():
    return torch.rand(25)


def equal(a, b):
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a
    )


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


# ---------------------------------------------------------------------- code in the file


class Calls:
    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_code_is_refused_by_its_name(refused, tmp_path, protocol):
    import os

    marker = tmp_path / "marker"
    for function, args, name in (
        (os.system, (f"touch {marker}",), "system"),
        (__import__, ("os",), "__import__"),
        (getattr, ("a", "b"), "getattr"),
        (torch.load, ("x",), "torch.serialization.load"),
    ):
        refused(pickle.dumps({"G_ema": Calls(function, *args)}, protocol), name, "no checkpoint")
    assert not marker.exists()


@pytest.mark.parametrize("name", [
    "builtins.eval", "builtins.exec", "builtins.getattr", "nt.system", "posix.system",
    "torch.hub.load", "torch.nn.modules.container.ModuleList", "training.triplane.OSGDecoder2",
    "collections.OrderedDict.fromkeys", "numpy.core.multiarray._reconstruct",
    "copyreg._reconstructor",
])  # fmt: skip
def test_names_off_the_list_are_refused(refused, name):
    module, _, last = name.rpartition(".")
    refused(pickled({"G_ema": Named(module, last, ("1",))}), name, "no checkpoint")


def test_old_opcodes_for_classes_are_refused(refused):
    refused(b"\x80\x02(cos\nsystem\nS'x'\no.", "os.system")
    refused(b"\x80\x02(S'x'\nios\nsystem\n.", "opcode")
    refused(HEAD + b"(ios\nsystem\n.", "INST")
    refused(HEAD + b"(NNo.", "OBJ")
    refused(HEAD + b"\x82\x01.", "EXT1")
    refused(HEAD + b"N\x51.", "BINPERSID")
    refused(b"(dp0\nS'G_ema'\np1\nNs.", "pickle")


def test_embedded_source_is_not_run(tmp_path):
    marker = tmp_path / "marker"
    value = persistent("Net", STATE)
    value.args[0]["module_src"] = f"open({str(marker)!r}, 'w').close()\n"
    (tmp_path / "x.pkl").write_bytes(pickled({"G_ema": value}))
    assert read_snapshot(tmp_path / "x.pkl").networks["G_ema"].class_name == "Net"
    assert not marker.exists()


@pytest.mark.parametrize(
    "meta",
    [
        {"class_name": "a.b"},
        {"class_name": "__import__('os')"},
        {"class_name": 7},
        {"state": [1]},
        {"state": None},
        {"type": "function"},
        {"module_src": b"x"},
    ],
)
def test_hostile_persistent_objects(refused, meta):
    value = persistent("Net", STATE)
    value.args[0].update(meta)
    refused(pickled({"G_ema": value}), "describes a persistent")


def test_nested_reductions_of_our_holders(refused):
    held = persistent("Net", STATE)
    twice = Named("torch_utils.persistence", "_reconstruct_persistent_obj", (held,))
    refused(pickled({"G_ema": twice}), "in a way that StyleGAN does not")
    inner = Named("torch._utils", "_rebuild_parameter", (held, False, HOOKS))
    refused(pickled({"G_ema": inner}), "no tensor")
    refused(pickled({"G_ema": held})[:-1] + b"}b.", "state")  # BUILD of the outer dictionary
    made = Named("training.triplane", "OSGDecoder", args=())
    refused(pickled({"G_ema": made}), "OSGDecoder")
    refused(HEAD + b"NN\x85R.", "calls something that is no class")


def test_tensorflow_is_said_to_be(refused):
    refused(b"\x80\x03cdnnlib.tflib.network\nNetwork\n.", "TensorFlow", "legacy.py")


# ---------------------------------------------------------------------- bombs


def test_huge_lengths_claim_nothing(refused):
    for opcode, length in (
        (b"B", b"\xff\xff\xff\xff"),
        (b"\x8e", b"\xff" * 7 + b"\x7f"),
        (b"\x8e", b"\xff" * 8),
        (b"X", b"\xff\xff\xff\xff"),
        (b"\x8d", b"\xff" * 8),
        (b"\x95", b"\xff" * 8),
    ):
        refused(HEAD + opcode + length + b"x.", "left")
    refused(HEAD + b"\x8a\xff" + b"\x01" * 255 + b".", "integer of 255 bytes")
    refused(HEAD + b"\x8b\xff\xff\xff\x7f.", "LONG4")
    refused(HEAD + b"\x96" + b"\xff" * 8 + b".", "BYTEARRAY8")
    refused(HEAD + b"c" + b"a" * 300 + b"\nb\n.", "name without an end")


def test_memo_indices_follow_each_other(refused):
    refused(HEAD + b"Nr\xff\xff\xff\x7f.", "memo 2147483647", "0 is the next")
    refused(HEAD + b"Nq\x01.", "memo 1")
    refused(HEAD + b"Nq\x00q\x00.", "memo 0")
    refused(HEAD + b"h\x00.", "reads memo 0")
    refused(HEAD + b"j\xff\xff\xff\xff.", "reads memo")


def test_deep_nesting(refused):
    refused(HEAD + b"(" * 100_000 + b"N.", "nested")
    refused(HEAD + b"N" * 200_000 + b".", "nested")
    for depth, opcode in ((90_000, b"\x85"), (50_000, b"l")):
        refused(HEAD + b"N" + opcode * depth + b".")
    deep = HEAD + b"}X\x05\x00\x00\x00G_ema" + b"]" * 50_000 + b"a" * 49_999 + b"s."
    refused(deep, "none of G")


def test_deep_arguments(refused):
    nest = []
    for _ in range(200):
        nest = [nest]
    state = {**STATE, "_init_kwargs": {"a": nest}}
    refused(pickled({"G_ema": persistent("Net", state)}), "deeper or larger")


def test_doubling(refused):
    refused(HEAD + b"]" + b"2" * 64 + b".", "DUP")
    refused(HEAD + b"NN0.", "opcode")  # POP
    net = pickled(persistent("Net", STATE))[2:-1]
    count = net.count(b"\x94")
    lists = b"](]\x94"  # 64 lists, each holding the one before twice
    for i in range(64):
        lists += b"](" + (b"j" + struct.pack("<I", count + i)) * 2 + b"e\x94"
    training = b"X\x13\x00\x00\x00training_set_kwargs}X\x01\x00\x00\x00a" + lists + b"es"
    refused(HEAD + b"}(X\x05\x00\x00\x00G_ema" + net + training + b"u.", "deeper or larger")


def test_more_operations_than_any_checkpoint(refused, monkeypatch):
    from sigmaflow.generators.pickles import errors

    monkeypatch.setattr(errors.Budget, "__init__", _small_budget)
    refused(HEAD + b"N\x85" * 100_000 + b".", "more operations")


def _small_budget(self, copied=0):
    self.opcodes, self.stack, self.marks, self.copied = 10_000, 100_000, 500, copied


def test_keys_that_collide_or_cannot_be_hashed(refused):
    for key in (b"]", b"}", b"\x8f", b")", b"N", b"G" + b"\0" * 8, b"C\x01x"):
        refused(HEAD + b"}" + key + b"Ns.", "key of type")
    big = (2**61 - 1).to_bytes(8, "little")
    refused(HEAD + b"}\x8a\x08" + big + b"Ns.", "key of type int")


def test_a_module_that_holds_itself(refused):
    # The state is remembered before its _modules are set, as in a real cycle.
    state = b"}\x94X\x08\x00\x00\x00_modules}X\x01\x00\x00\x00a"
    held = b"\x8c\x1atorch.nn.modules.container\x8c\x0aSequential\x93)\x81\x94"
    body = HEAD + b"}X\x05\x00\x00\x00G_ema" + held + state + b"h\x00ssbs."
    refused(body, "holds itself")


def test_shared_modules_are_visited_once(tmp_path):
    """25 modules, each holding the one before twice: 2 ** 25 paths."""
    kind = b"\x8c\x1atorch.nn.modules.container\x8c\x0aSequential\x93"
    body = HEAD + b"}(X\x01\x00\x00\x00k]X\x01\x00\x00\x000" + kind + b")\x81\x94}b"
    for i in range(25):
        child = b"j" + struct.pack("<I", i)
        modules = b"X\x08\x00\x00\x00_modules}(X\x01\x00\x00\x00a" + child
        modules += b"X\x01\x00\x00\x00b" + child + b"u"
        body += b"X\x01\x00\x00\x00" + b"%c" % (65 + i) + kind + b")\x81\x94}" + modules + b"sb"
    body += b"X\x05\x00\x00\x00G_emaj" + struct.pack("<I", 25) + b"u."
    (tmp_path / "x.pkl").write_bytes(body)
    snapshot = read_snapshot(tmp_path / "x.pkl")
    assert snapshot.networks["G_ema"].modules == {"a": "Sequential", "b": "Sequential"}
    assert snapshot.networks["G_ema"].stored == {}


@pytest.mark.parametrize(
    "args",
    [
        (0, (1 << 40,), (0,)),
        (0, (7,), (1,)),
        (0, (7,), (0,)),
        (6, (1,), (1,)),
        (0, (2, 3), (4, 1)),
        (-1, (1,), (1,)),
        (0, (-1,), (1,)),
        (0, (2,), (-1,)),
        (0, (2,), (1, 1)),
        (0, (1,) * 9, (1,) * 9),
        (0, (2.0,), (1,)),
        (0, (True,), (1,)),
        (0, [2], [1]),
        (1 << 70, (1,), (1,)),
        (0, (0, 1 << 47, 1 << 47), (1, 1, 1)),
    ],
)
def test_tensors_stay_in_their_storage(refused, args):
    refused(built(args), "builds a tensor")


def test_storages_that_lie(refused):
    good = storage_bytes(torch.arange(6.0))
    ok = (0, (6,), (1,))
    at = good.index(b"cpu") + 3
    huge = good[:at] + good[at:].replace(b"\x8a\x01\x06", b"\x8a\x05\xff\xff\xff\xff\x7f", 1)
    assert huge != good
    refused(built(ok, huge), "claims a storage")
    refused(built(ok, good[:-32] + struct.pack("<q", 7) + good[-24:]), "another count")
    refused(built(ok, good[:-4]), "storages end")
    refused(built(ok, good + b"\0\0\0\0"), "storages end")
    refused(built(ok, good.replace(b"FloatStorage", b"FlotaStorage")), "FlotaStorage")
    refused(built(ok, good.replace(b"little_endian", b"little_andien")), "byte order")
    refused(built(ok, b"\x80\x02N." * 5), "old format")
    refused(built(ok, b""), "left")


def test_one_storage_is_not_claimed_again_and_again(refused):
    """A hundred tensors that share one storage by the memo are more than the file holds."""
    storage = storage_bytes(torch.zeros(100_000))
    first = HEAD + b"}(X\x05\x00\x00\x00G_ema"
    names = b"\x8c\x17torch_utils.persistence\x8c\x1b_reconstruct_persistent_obj\x93"
    meta = b"}(X\x04\x00\x00\x00typeX\x05\x00\x00\x00classX\x0a\x00\x00\x00class_name"
    meta += b"X\x03\x00\x00\x00NetX\x0a\x00\x00\x00module_srcX\x00\x00\x00\x00"
    meta += b"X\x05\x00\x00\x00state}X\x0b\x00\x00\x00_parameters}("
    rebuild = b"\x8c\x0ctorch._utils\x8c\x12_rebuild_tensor_v2\x93("
    size = b"K\x00J\xa0\x86\x01\x00\x85K\x01\x85\x89}tR"
    load = b"\x8c\x0dtorch.storage\x8c\x10_load_from_bytes\x93B"
    load += struct.pack("<I", len(storage)) + storage + b"\x85R"
    items = b"X\x04\x00\x00\x000000" + rebuild + load + b"\x94" + size
    for i in range(1, 100):
        items += b"X\x04\x00\x00\x00" + b"%04d" % i + rebuild + b"h\x00" + size
    refused(first + names + meta + items + b"usu\x85Ru.", "claim")


def test_latin1_is_not_encoded_again_and_again(refused):
    text = "x" * 70_000
    raw = text.encode()
    body = HEAD + b"X" + struct.pack("<I", len(raw)) + raw + b"\x94"
    call = b"\x8c\x07_codecs\x8c\x06encode\x93h\x00\x8c\x06latin1\x86R"
    refused(body + call * 50 + b".", "encodes more")
    refused(HEAD + call.replace(b"h\x00", b"\x8c\x03\xe4\xb8\xad") + b".", "latin1")
    refused(HEAD + call.replace(b"h\x00", b"\x8c\x01x").replace(b"latin1", b"rot-13") + b".")


def test_numpy_numbers(refused, tmp_path):
    dtype = Named("numpy", "dtype", ("f8", False, True))
    number = Named("numpy._core.multiarray", "scalar", (dtype, struct.pack("<d", 0.25)))
    state = {**STATE, "weight_gain": number}
    (tmp_path / "x.pkl").write_bytes(pickled({"G_ema": persistent("Net", state)}))
    assert read_snapshot(tmp_path / "x.pkl").networks["G_ema"].attributes == {"weight_gain": 0.25}
    short = Named("numpy._core.multiarray", "scalar", (dtype, b"\0"))
    refused(pickled({"G_ema": short}), "numpy")
    refused(pickled({"G_ema": Named("numpy", "dtype", ("O8", False, True))}), "no number")


def test_truncations_and_odd_files(refused, tiny_gan, tmp_path):
    good = tmp_path / "good.pkl"
    write_pickle(tiny_gan, good)
    raw = good.read_bytes()
    for length in (1, 2, 3, 100, len(raw) // 2, len(raw) - 1):
        refused(raw[:length])
    refused(raw + b"\0", "follow")
    refused(raw + raw, "follow")
    refused(b"PK\x03\x04" + raw, "protocol")
    refused(b"", "0 bytes")
    refused(pickle.dumps({"a": 1}), "none of G")
    refused(pickle.dumps([1]), "none of G")
    for path in (tmp_path, tmp_path / "none.pkl"):
        with pytest.raises(PickleError, match=path.name):
            read_snapshot(path)


# ---------------------------------------------------------------------- files of torch.save


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
