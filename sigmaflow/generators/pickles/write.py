"""A checkpoint of ours in the layout of an EG3D snapshot pickle, for rehearsals and tests.

The text where NVIDIA's code would be is a comment of one line: `read_snapshot` reads these files,
NVIDIA's own classes come from `export_state`.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

from sigmaflow.atomic import write_with

from ..checkpoint import GANCheckpoint
from ..triplane import TriPlaneGenerator
from .storages import DTYPES, MAGIC, VERSION

SOURCE = "# written by sigmaflow: no code is embedded\n"
KINDS = {dtype: name for name, dtype in DTYPES.items()}
PLAIN_CLASSES = {  # not persistent in EG3D: pickled as themselves
    "OSGDecoder": "training.triplane",
    "Sequential": "torch.nn.modules.container",
    "Softplus": "torch.nn.modules.activation",
}


class Named:
    """A global, called with `args` (REDUCE), or made anew and filled with `state` (NEWOBJ)."""

    def __init__(self, module: str, name: str, args: Any = None, state: Any = None):
        self.module, self.name, self.args, self.state = module, name, args, state


HOOKS = Named("collections", "OrderedDict", ())


class Emitter:
    """Writes values as opcodes of protocol 4 (2 for storages). Texts are written once."""

    def __init__(self, file: BinaryIO, protocol: int = 4):
        self.file, self.protocol = file, protocol
        self.memo: dict[Any, int] = {}
        file.write(b"\x80" + bytes([protocol]))

    def stop(self) -> None:
        self.file.write(b".")

    def _remember(self, key: Any) -> None:
        index = len(self.memo)
        self.memo[key] = index
        self.file.write(b"\x94" if self.protocol >= 4 else b"r" + struct.pack("<I", index))

    def _known(self, key: Any) -> bool:
        if key not in self.memo:
            return False
        self.file.write(b"j" + struct.pack("<I", self.memo[key]))
        return True

    def put(self, value: Any) -> None:
        write = self.file.write
        if value is None or value is True or value is False:
            write({None: b"N", True: b"\x88", False: b"\x89"}[value])
        elif isinstance(value, int):
            size = value.bit_length() // 8 + 1
            write(b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True))
        elif isinstance(value, float):
            write(b"G" + struct.pack(">d", value))
        elif isinstance(value, str):
            self._text(value)
        elif isinstance(value, bytes):
            write(b"B" + struct.pack("<I", len(value)) + value)
        elif isinstance(value, Named):
            self._named(value)
        elif isinstance(value, nn.Parameter):
            self.put(Named("torch._utils", "_rebuild_parameter", (value.detach(), False, HOOKS)))
        elif isinstance(value, Tensor):
            self.put(tensor(value))
        elif isinstance(value, tuple):
            self._each(b"(", value, b"t")
        elif isinstance(value, list):
            self._each(b"](", value, b"e")
        elif isinstance(value, set):
            self._each(b"\x8f(", sorted(value), b"\x90")
        elif isinstance(value, Mapping):
            self._each(b"}(", [x for item in value.items() for x in item], b"u")
        else:
            raise TypeError(f"a {type(value).__name__} has no place in a snapshot")

    def _each(self, before: bytes, items: Any, after: bytes) -> None:
        self.file.write(before)
        for item in items:
            self.put(item)
        self.file.write(after)

    def _text(self, value: str) -> None:
        if not self._known(value):
            raw = value.encode()
            self.file.write(b"X" + struct.pack("<I", len(raw)) + raw)
            self._remember(value)

    def _named(self, value: Named) -> None:
        key = (value.module, value.name)
        if not self._known(key):
            if self.protocol >= 4:
                self._text(value.module)
                self._text(value.name)
                self.file.write(b"\x93")
            else:
                self.file.write(f"c{value.module}\n{value.name}\n".encode())
            self._remember(key)
        if value.args is not None:
            self.put(value.args)
            self.file.write(b"R")
        elif value.state is not None:
            self.file.write(b")\x81")
            self.put(value.state)
            self.file.write(b"b")


def storage_bytes(value: Tensor, location: str = "cpu") -> bytes:
    """A contiguous tensor's numbers as torch's old format writes one storage."""
    file = io.BytesIO()
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": VERSION, "little_endian": True, "type_sizes": sizes}
    kind = Named("torch", KINDS[value.dtype])
    described = ("storage", kind, "0", location, value.numel(), None)
    for part in (MAGIC, VERSION, system, described, ["0"]):
        emitter = Emitter(file, protocol=2)
        emitter.put(part)
        if part is described:
            file.write(b"Q")  # BINPERSID
        emitter.stop()
    file.write(struct.pack("<q", value.numel()))
    file.write(value.reshape(-1).view(torch.uint8).numpy().astype(np.uint8).tobytes())
    return file.getvalue()


def tensor(value: Tensor, location: str = "cpu") -> Named:
    """A tensor as torch pickles it, its storage as one byte string."""
    value = value.detach().cpu().contiguous()
    storage = Named("torch.storage", "_load_from_bytes", (storage_bytes(value, location),))
    args = (storage, 0, tuple(value.shape), value.stride(), False, HOOKS)
    return Named("torch._utils", "_rebuild_tensor_v2", args)


def persistent(class_name: str, state: Mapping[str, Any]) -> Named:
    """An object of a persistent class."""
    meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": class_name}
    return Named(
        "torch_utils.persistence", "_reconstruct_persistent_obj", ({**meta, "state": state},)
    )


def module_state(module: nn.Module, buffers: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
    """A module's `__dict__` as it is pickled: parameters, buffers, modules."""
    kept = {k: v for k, v in module._buffers.items() if k not in module._non_persistent_buffers_set}
    return {
        "training": module.training,
        "_parameters": dict(module._parameters),
        "_buffers": {**(buffers or {}), **kept},
        "_non_persistent_buffers_set": set(),
        "_modules": {k: None if v is None else _module(v) for k, v in module._modules.items()},
    }


def _module(module: nn.Module) -> Named:
    name = type(module).__name__
    state = module_state(module)
    if name in PLAIN_CLASSES:
        return Named(PLAIN_CLASSES[name], name, state=state)
    return persistent(name, {**state, "_init_args": (), "_init_kwargs": {}})


def generator(G: TriPlaneGenerator, buffers: Mapping[str, Tensor] | None = None) -> Named:
    """A TriPlaneGenerator; `buffers` are added in front, as EG3D's training adds its own."""
    kwargs = {k: v for k, v in G.init_kwargs.items() if k != "plane_resolution"}
    state = module_state(G, buffers)
    empty = module_state(nn.Module())
    folder = "training.volumetric_rendering"
    axes = {**empty, "plane_axes": G.plane_axes}
    backbone = {**module_state(G.backbone), "_init_args": (), "_init_kwargs": _backbone_kwargs(G)}
    state["_modules"] = {
        "renderer": Named(f"{folder}.renderer", "ImportanceRenderer", state=axes),
        "ray_sampler": Named(f"{folder}.ray_sampler", "RaySampler", state=empty),
        **state["_modules"],
        "backbone": persistent("Generator", backbone),
    }
    return persistent(
        "TriPlaneGenerator",
        {
            **state,
            "neural_rendering_resolution": G.neural_rendering_resolution,
            "rendering_kwargs": G.rendering_kwargs,
            "_last_planes": None,
            "_init_args": (),
            "_init_kwargs": kwargs,
        },
    )


def _backbone_kwargs(G: TriPlaneGenerator) -> dict[str, Any]:
    synthesis = ("channel_base", "channel_max", "num_fp16_res", "conv_clamp")
    return {
        "img_resolution": G.init_kwargs["plane_resolution"],
        "img_channels": 96,
        "mapping_kwargs": G.init_kwargs["mapping_kwargs"],
        **{k: v for k, v in G.init_kwargs.items() if k in synthesis},
    }


def write_pickle(
    checkpoint: GANCheckpoint, path: str | Path, label_std: Tensor | None = None
) -> None:
    """Write G, D and G_ema to `path`, atomically, as EG3D's training loop would.

    label_std: the buffer `dataset_label_std` [c_dim] of both generators. The file is written as it
    is made: no copy of the whole is held. OSError where it can't be written.
    """
    buffers = {} if label_std is None else {"dataset_label_std": label_std}
    D = {**module_state(checkpoint.D), "_init_args": (), "_init_kwargs": checkpoint.D.init_kwargs}
    tree = {
        "training_set_kwargs": {"class_name": "training.dataset.ImageFolderDataset"},
        "G": generator(checkpoint.G, buffers),
        "D": persistent("DualDiscriminator", D),
        "G_ema": generator(checkpoint.G_ema, buffers),
        "augment_pipe": None,
    }

    def emit(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            emitter = Emitter(file)
            emitter.put(tree)
            emitter.stop()

    write_with(path, emit)
