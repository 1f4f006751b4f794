"""Hostile snapshot pickles: code, bombs and lies are refused cheaply."""

import pickle
import struct
import tracemalloc

import pytest
import torch
from snapshots import HOOKS, STATE, built, pickled

from sigmaflow.generators.pickles import PickleError, read_snapshot
from sigmaflow.generators.pickles.write import (
    Named,
    persistent,
    storage_bytes,
    write_pickle,
)

HEAD = b"\x80\x04"
FEW_MB = 8 << 20


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
