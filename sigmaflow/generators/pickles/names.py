"""Every name that a snapshot may ask for, and the inert thing it gets.

The list is closed: what is not in it is refused by name. Nothing here imports what it is named
after.
"""

from __future__ import annotations

import struct
from typing import Any

from .errors import MAX_NAME, UNTRUSTED
from .machine import Dtype, Global, Held, Machine, Text
from .storages import load_from_bytes, ordered, rebuild_parameter, rebuild_tensor

# Code of a numpy dtype to the code that struct reads it by.
NUMBERS = {
    "f8": "d", "f4": "f", "f2": "e", "b1": "?", "i1": "b", "u1": "B",
    "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q",
}  # fmt: skip

# Classes without a reconstructor of their own, made by NEWOBJ and filled by BUILD.
CLASSES = (
    ("torch.nn.modules.container", "Sequential"),
    ("torch.nn.modules.activation", "Softplus"),
    ("training.triplane", "OSGDecoder"),
    ("training.volumetric_rendering.ray_marcher", "MipRayMarcher2"),
    ("training.volumetric_rendering.ray_sampler", "RaySampler"),
    ("training.volumetric_rendering.renderer", "ImportanceRenderer"),
)


def persistent(machine: Machine, args: tuple) -> Held:
    """torch_utils.persistence: class name and attributes; the embedded source stays unread."""
    meta = args[0] if len(args) == 1 else None
    if type(meta) is not dict or not {"type", "class_name", "state", "module_src"} <= meta.keys():
        machine.fail("describes a persistent object in a way that StyleGAN does not")
    name, state = meta["class_name"], meta["state"]
    if type(name) is not str or not name.isidentifier() or len(name) > MAX_NAME:
        machine.fail("describes a persistent object whose class has no proper name")
    if meta["type"] != "class" or type(state) is not dict:
        machine.fail(f"describes a persistent {name} that is no object of a class")
    if type(meta["module_src"]) not in (str, Text):
        machine.fail(f"describes a persistent {name} whose source is no text", UNTRUSTED)
    return Held(name, state)


def easy_dict(machine: Machine, args: tuple) -> dict:
    """dnnlib.util.EasyDict: a dictionary."""
    if args:
        machine.fail("fills an EasyDict in a way that no checkpoint does")
    return {}


def a_set(machine: Machine, args: tuple) -> set:
    """builtins.set of a list of names."""
    items = args[0] if len(args) == 1 else None
    if type(items) is not list:
        machine.fail("builds a set of something that is no list")
    machine.charge(len(items))
    return {machine._key(item) for item in items}


def latin1(machine: Machine, args: tuple) -> bytes:
    """_codecs.encode(text, 'latin1'): how protocol 2 writes bytes."""
    if len(args) != 2 or args[1] not in ("latin1", "latin-1") or type(args[0]) not in (str, Text):
        machine.fail("encodes something else than bytes as latin1", UNTRUSTED)
    text = args[0]
    size = len(text) if type(text) is str else len(text.raw)
    machine.budget.copied -= size
    if machine.budget.copied < 0:
        machine.fail("encodes more bytes than it has", UNTRUSTED)
    try:
        if type(text) is Text:
            text = str(text.raw, "utf-8")
        return text.encode("latin-1")
    except UnicodeError:
        machine.fail("holds bytes as a text that is not latin1")


def numpy_dtype(machine: Machine, args: tuple) -> Dtype:
    """numpy.dtype of a number."""
    code = args[0] if args else None
    if type(code) is not str or code not in NUMBERS:
        machine.fail("describes a numpy dtype that is no number")
    return Dtype(code)


def numpy_scalar(machine: Machine, args: tuple) -> Any:
    """numpy's scalar(dtype, bytes) as Python's own number."""
    if len(args) != 2 or type(args[0]) is not Dtype or not isinstance(args[1], bytes | memoryview):
        machine.fail("describes a numpy number in a way that numpy does not")
    form = "<" + NUMBERS[args[0].code]
    if len(args[1]) != struct.calcsize(form):
        machine.fail(f"describes a numpy {args[0].code} in {len(args[1])} bytes")
    return struct.unpack(form, args[1])[0]


def _called(name: str, make: Any) -> dict[tuple[str, str], Global]:
    module, _, last = name.rpartition(".")
    return {(module, last): Global(name, call=make)}


def _class(module: str, name: str) -> dict[tuple[str, str], Global]:
    return {(module, name): Global(name, new=lambda m, args: _held(m, name, args))}


def _held(machine: Machine, name: str, args: tuple) -> Held:
    if args:
        machine.fail(f"makes a {name} with arguments, which no checkpoint does")
    return Held(name)


ADMITTED: dict[tuple[str, str], Global] = {
    **_called("torch_utils.persistence._reconstruct_persistent_obj", persistent),
    **_called("collections.OrderedDict", ordered),
    **_called("torch._utils._rebuild_parameter", rebuild_parameter),
    **_called("torch._utils._rebuild_tensor_v2", rebuild_tensor),
    **_called("torch.storage._load_from_bytes", load_from_bytes),
    **_called("numpy.dtype", numpy_dtype),
    **_called("numpy._core.multiarray.scalar", numpy_scalar),  # numpy 2
    **_called("numpy.core.multiarray.scalar", numpy_scalar),
    **_called("builtins.set", a_set),
    **_called("__builtin__.set", a_set),
    **_called("_codecs.encode", latin1),
    ("dnnlib.util", "EasyDict"): Global("EasyDict", new=easy_dict),
    **{key: g for module, name in CLASSES for key, g in _class(module, name).items()},
}
