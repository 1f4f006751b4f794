"""A snapshot pickle as data: for each network its class, arguments, attributes and tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from torch import Tensor

from .errors import MAX_NAME, UNTRUSTED, Budget, PickleError, shown
from .files import map_file
from .machine import Held, Machine
from .names import ADMITTED
from .storages import Stored

NETWORKS = ("G", "D", "G_ema", "augment_pipe")
MAX_DEPTH = 32  # of modules and of plain data; EG3D has 5
MAX_MODULES = 10_000
MAX_ITEMS = 10_000  # of plain data
SMALL = 512  # bytes of a tensor that counts as data


@dataclass
class Network:
    """One module of a snapshot.

    class_name: its class, without the module. init_args, init_kwargs: what it was built with.
    attributes: its other attributes that are plain data, such as the live `rendering_kwargs`.
    modules: class names of its direct modules by name, in order; backbone_kwargs: what the module
    `backbone` itself was built with. stored: tensors in the order and under the names of torch's
    state dict; `state` copies them. plane_axes: of the renderer, [3, 3, 3] nested lists, None
    where the file has none.
    """

    class_name: str
    init_args: list[Any]
    init_kwargs: dict[str, Any]
    attributes: dict[str, Any]
    modules: dict[str, str]
    backbone_kwargs: dict[str, Any]
    plane_axes: list | None
    stored: dict[str, Stored] = field(repr=False)

    def state(self) -> dict[str, Tensor]:
        """Tensors on the CPU, in the dtypes of the file, each with memory of its own."""
        return {name: tensor.read() for name, tensor in self.stored.items()}


@dataclass
class Snapshot:
    """What was pickled: networks by name, those present only, and the training set's arguments."""

    path: Path
    networks: dict[str, Network]
    training_set_kwargs: dict[str, Any] | None
    left_out: list[str]


def read_snapshot(path: str | Path) -> Snapshot:
    """Read a StyleGAN or EG3D snapshot of any generator. Nothing in it is executed or imported.

    The file must stay as it is while tensors are read. Raises PickleError (a CheckpointError)
    where the file can't be read, is damaged, or asks for what no checkpoint needs.
    """
    path = Path(path)
    data = map_file(path)
    budget = Budget(copied=2 * len(data))
    machine = Machine(data, 0, ADMITTED, budget, str(path))
    tree = machine.run()
    if machine.pos != len(data):
        machine.fail(f"ends there, and {len(data) - machine.pos} bytes follow")
    if type(tree) is not dict or not any(type(tree.get(n)) is Held for n in NETWORKS):
        raise PickleError(
            f"{path}: holds none of {', '.join(NETWORKS)}; give a snapshot as EG3D's training"
            " writes them"
        )
    found = {}
    for name in NETWORKS:
        if type(tree.get(name)) is Held:
            found[name] = _network(tree[name], f"{path}: {name}")
    cost = sum(t.cost for network in found.values() for t in network.stored.values())
    if cost > 2 * len(data):
        claim = f"its tensors claim {cost} bytes, which the file of {len(data)} does not have"
        raise PickleError(f"{path}: {claim}; {UNTRUSTED}")
    training = tree.get("training_set_kwargs")
    training = plain(training, f"{path}: training_set_kwargs") if type(training) is dict else None
    known = {*NETWORKS, "training_set_kwargs"}
    left_out = [shown(key) for key in tree if key not in known][:20]
    return Snapshot(path, found, training, left_out)


def _network(held: Held, name: str) -> Network:
    state = held.state
    modules = _dict(state, "_modules", name)
    kinds = {k: v.class_name for k, v in modules.items() if type(v) is Held}
    backbone, renderer = modules.get("backbone"), modules.get("renderer")
    inner = backbone.state.get("_init_kwargs") if type(backbone) is Held else None
    args = state.get("_init_args", ())
    attributes = {k: v for k, v in state.items() if type(k) is str and not k.startswith("_")}
    axes = renderer.state.get("plane_axes") if type(renderer) is Held else None
    return Network(
        class_name=held.class_name,
        init_args=plain(list(args) if type(args) in (list, tuple) else [], f"{name}._init_args"),
        init_kwargs=plain(_dict(state, "_init_kwargs", name), f"{name}._init_kwargs"),
        attributes=plain(attributes, name),
        modules=kinds,
        backbone_kwargs=plain(inner if type(inner) is dict else {}, f"{name}.backbone"),
        plane_axes=axes.read().tolist() if _is_axes(axes) else None,
        stored=dict(_walk(held, name)),
    )


def _is_axes(value: Any) -> TypeGuard[Stored]:
    return type(value) is Stored and value.size == (3, 3, 3) and value.cost <= SMALL


def _dict(state: dict, key: str, name: str) -> dict:
    value = state.get(key, {})
    if type(value) is dict or isinstance(value, dict):
        return value
    raise PickleError(f"{name}.{key} is no dictionary; {UNTRUSTED}")


def _walk(root: Held, name: str) -> Iterator[tuple[str, Stored]]:
    """Tensors in state-dict order: parameters, persistent buffers, then the modules of a module.

    A module that two others share is visited once, under its first name; one that holds itself is
    an error.
    """
    seen: set[int] = set()
    names: set[str] = set()

    def visit(held: Held, prefix: str, above: tuple[int, ...]) -> Iterator[tuple[str, Stored]]:
        if id(held) in above:
            raise PickleError(f"{name}.{prefix} holds itself; {UNTRUSTED}")
        if id(held) in seen:
            return
        seen.add(id(held))
        if len(above) > MAX_DEPTH or len(seen) > MAX_MODULES:
            raise PickleError(f"{name}.{prefix}: more modules than any network has; {UNTRUSTED}")
        passing = held.state.get("_non_persistent_buffers_set", ())
        passing = passing if type(passing) is set else ()
        for room in ("_parameters", "_buffers"):
            for key, value in _dict(held.state, room, name).items():
                if value is None or (room == "_buffers" and key in passing):
                    continue
                full = prefix + _part(key, name)
                if type(value) is not Stored or full in names:
                    raise PickleError(f"{name}: {full} is no tensor, or there twice; {UNTRUSTED}")
                names.add(full)
                yield full, value
        for key, value in _dict(held.state, "_modules", name).items():
            if value is None:
                continue
            part = _part(key, name)
            if type(value) is not Held:
                raise PickleError(f"{name}: {prefix}{part} is no module; {UNTRUSTED}")
            yield from visit(value, f"{prefix}{part}.", (*above, id(held)))

    yield from visit(root, "", ())


def _part(key: Any, name: str) -> str:
    if type(key) is str and 0 < len(key) <= MAX_NAME and key.isprintable() and "." not in key:
        return key
    raise PickleError(f"{name}: a tensor or module has no proper name; {UNTRUSTED}")


def plain(value: Any, name: str) -> Any:
    """JSON data of kwargs: tuples become lists, sets sorted lists, small tensors nested lists.

    What is no data (a module, a large tensor, an infinity) becomes a text in angle brackets.
    PickleError where it is deeper or larger than arguments are.
    """
    left = MAX_ITEMS

    def visit(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise PickleError(f"{name}: deeper or larger than arguments are; {UNTRUSTED}")
        if value is None or type(value) in (bool, int):
            return value
        if type(value) is str and len(value) <= 4096:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else f"<{value}>"
        if isinstance(value, dict):
            return {str(k): visit(v, depth + 1) for k, v in value.items()}
        if type(value) in (list, tuple):
            return [visit(v, depth + 1) for v in value]
        if type(value) is set:
            return [visit(v, depth + 1) for v in sorted(value, key=str)]
        if type(value) is Stored and value.cost <= SMALL and value.cells <= SMALL:
            return visit(value.read().tolist(), depth + 1)
        return f"<{getattr(value, 'class_name', type(value).__name__)}>"

    return visit(value, 0)
