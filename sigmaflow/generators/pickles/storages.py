"""Tensors in a pickle: where their numbers lie, checked before any are copied.

A snapshot keeps each storage as one byte string, written by torch's format before its zip files:
five pickles (magic number, version, system, storage, keys), a count and the little-endian numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import MAX_NAME, UNTRUSTED, Budget
from .machine import Admitted, Global, Machine, Ordered

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
MAX_DIMS = 8
MAX_NUMEL = 1 << 48

DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Storage:
    """`numel` numbers of one dtype; `data` are their bytes, once they are known."""

    __slots__ = ("dtype", "numel", "data")

    def __init__(self, dtype: torch.dtype, numel: int, data: memoryview | None = None):
        self.dtype, self.numel, self.data = dtype, numel, data

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


class Stored:
    """A tensor that lies in a storage, on whatever device it was; `read` copies it to the CPU."""

    __slots__ = ("storage", "offset", "size", "stride")

    def __init__(
        self, storage: Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
    ):
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    @property
    def dtype(self) -> torch.dtype:
        return self.storage.dtype

    @property
    def numel(self) -> int:
        return math.prod(self.size)

    @property
    def cells(self) -> int:
        """Numbers and empty lists that a list of it has at most: (2^27, 0) has no numbers."""
        return math.prod(max(n, 1) for n in self.size)

    @property
    def extent(self) -> int:
        """Numbers of the storage from the first to the last that belong to it."""
        if not self.numel:
            return 0
        return 1 + sum((n - 1) * step for n, step in zip(self.size, self.stride))

    @property
    def cost(self) -> int:
        """Bytes that `read` claims at most."""
        return max(self.extent, self.numel) * self.dtype.itemsize

    def read(self) -> Tensor:
        """A contiguous copy of its own."""
        width = self.dtype.itemsize
        raw = torch.empty(self.extent * width, dtype=torch.uint8)
        start = self.offset * width
        assert self.storage.data is not None  # whoever read the file has filled it
        part = self.storage.data[start : start + len(raw)]
        raw.numpy()[:] = np.frombuffer(part, np.uint8)
        if self.dtype is torch.bool:
            raw = (raw != 0).to(torch.uint8)  # a byte of 2 is no bool
        return raw.view(self.dtype).as_strided(self.size, self.stride).contiguous()


def rebuild_tensor(machine: Machine, args: tuple) -> Stored:
    """torch._utils._rebuild_tensor_v2: every number must lie in the storage."""
    if len(args) not in (6, 7) or type(args[0]) is not Storage:
        machine.fail("builds a tensor of something that is no storage")
    storage, offset, size, stride = args[:4]
    if not (_naturals((offset,)) and _naturals(size) and _naturals(stride)):
        machine.fail("builds a tensor whose offset, size or stride is no natural number")
    if len(size) != len(stride) or len(size) > MAX_DIMS:
        machine.fail(f"builds a tensor of {len(size)} sizes and {len(stride)} strides")
    if math.prod(n for n in size if n) > MAX_NUMEL:
        machine.fail(f"builds a tensor of size {size}", UNTRUSTED)
    tensor = Stored(storage, offset, tuple(size), tuple(stride))
    if max(offset + tensor.extent, tensor.numel) > storage.numel:
        machine.fail(
            f"builds a tensor of size {size}, stride {stride} from {offset} on in a storage of"
            f" {storage.numel} numbers"
        )
    return tensor


def _naturals(values: Any) -> bool:
    return type(values) is tuple and all(type(v) is int and 0 <= v < MAX_NUMEL for v in values)


def rebuild_parameter(machine: Machine, args: tuple) -> Stored:
    """torch._utils._rebuild_parameter: the tensor; whether it is trained is not the file's say."""
    if len(args) != 3 or type(args[0]) is not Stored:
        machine.fail("builds a parameter of something that is no tensor")
    return args[0]


def ordered(machine: Machine, args: tuple) -> Ordered:
    """An empty OrderedDict; items are set by opcodes."""
    if args:
        machine.fail("fills an OrderedDict in a way that no checkpoint does")
    return Ordered()


STORAGE_GLOBALS: Admitted = {
    ("torch", name): Global(f"torch.{name}", value=dtype) for name, dtype in DTYPES.items()
}
STATE_GLOBALS: Admitted = {
    **STORAGE_GLOBALS,
    ("collections", "OrderedDict"): Global("OrderedDict", call=ordered),
    ("torch._utils", "_rebuild_tensor_v2"): Global("_rebuild_tensor_v2", call=rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Global("_rebuild_parameter", call=rebuild_parameter),
}


class Keyed:
    """The storages that a file names by keys: what BINPERSID makes of a description."""

    def __init__(self, most: int):
        self.most = most
        self.storages: dict[str, Storage] = {}

    def __call__(self, machine: Machine, said: Any) -> Storage:
        if type(said) is not tuple or len(said) not in (5, 6) or said[0] != "storage":
            machine.fail("names something that is no storage")
        kind, key, location, numel = said[1:5]
        dtype = kind.value if type(kind) is Global else None
        named = type(key) is str and len(key) <= MAX_NAME and type(location) is str
        if dtype is None or not named or not _naturals((numel,)):
            machine.fail("describes a storage in a way that torch does not")
        if len(said) == 6 and said[5] is not None:
            machine.fail("describes a view of a storage, which torch no longer writes")
        storage = self.storages.setdefault(key, Storage(dtype, numel))
        if storage.dtype is not dtype or storage.numel != numel:
            machine.fail(f"describes storage {key!r} twice, and differently")
        if storage.nbytes > self.most:
            machine.fail(f"claims a storage of {numel} numbers in {self.most} bytes", UNTRUSTED)
        return storage


def read_legacy(
    data: memoryview, admitted: Admitted, budget: Budget, name: str
) -> tuple[Any, dict[str, Storage]]:
    """What torch's old format holds: the pickled value, and its storages with their data."""
    keyed, pos, values = Keyed(len(data)), 0, []
    for persistent, names in ((None, {}),) * 3 + ((keyed, admitted), (None, {})):
        machine = Machine(data, pos, names, budget, name, persistent)
        values.append(machine.run())
        pos = machine.pos
    magic, version, system, value, keys = values
    if magic != MAGIC or type(magic) is not int or version != VERSION:
        machine.fail("does not begin as torch's old format")
    if type(system) is not dict or system.get("little_endian") is not True:
        machine.fail("was written on a machine of another byte order")
    if not _keys_are(keys, keyed.storages):
        machine.fail("lists other storages than it uses")
    for key in keys:
        storage = keyed.storages[key]
        count, pos = data[pos : pos + 8], pos + 8
        if int.from_bytes(count, "little") != storage.numel or len(count) < 8:
            machine.fail(f"has another count than the {storage.numel} of storage {key!r}")
        storage.data, pos = data[pos : pos + storage.nbytes], pos + storage.nbytes
    if pos != len(data):
        machine.fail(f"has {len(data)} bytes where its storages end at {pos}")
    return value, keyed.storages


def _keys_are(keys: Any, storages: dict[str, Storage]) -> bool:
    return (
        type(keys) is list
        and len(keys) == len(storages)
        and all(type(key) is str for key in keys)
        and set(keys) == set(storages)
    )


def load_from_bytes(machine: Machine, args: tuple) -> Storage:
    """torch.storage._load_from_bytes: one storage, left where it lies."""
    if len(args) != 1 or not isinstance(args[0], bytes | memoryview):
        machine.fail("reads a storage from something that is no byte string")
    where = f"{machine.name}: storage that ends at byte {machine.at}"
    storage, _ = read_legacy(memoryview(args[0]), STORAGE_GLOBALS, machine.budget, where)
    if type(storage) is not Storage:
        machine.fail("has a byte string that holds no storage")
    return storage
