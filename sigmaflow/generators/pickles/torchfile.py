"""Files of torch.save that hold tensors by name, zip or older, read with the same machine."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from torch import Tensor

from sigmaflow.zipdir import check_directory

from .errors import DAMAGED, MAX_NAME, UNTRUSTED, Budget, PickleError
from .files import map_file
from .machine import Machine
from .storages import STATE_GLOBALS, Keyed, Stored, read_legacy

MAX_MEMBERS = 100_000
MOST_DIRECTORY = 16 * 2**20  # bytes of a zip's directory


def read_torch_file(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name, on the CPU: a state dict, or what is under `state_dict`.

    Everything else in the file is left out. Nothing in it is executed, whatever was pickled.
    Raises PickleError where it can't be read, or claims more than it holds.
    """
    path = Path(path)
    data = map_file(path)
    budget = Budget(copied=2 * len(data))
    if bytes(data[:4]) == b"PK\x03\x04":
        value = _read_zip(path, len(data), budget)
    else:
        value, _ = read_legacy(data, STATE_GLOBALS, budget, str(path))
    if isinstance(value, dict) and isinstance(value.get("state_dict"), dict):
        value = value["state_dict"]
    if not isinstance(value, dict):
        raise PickleError(f"{path}: holds no tensors by name; give a saved state dict")
    stored = {k: v for k, v in value.items() if type(k) is str and type(v) is Stored}
    if any(len(k) > 5 * MAX_NAME for k in stored):
        raise PickleError(f"{path}: has names longer than any tensor's; {UNTRUSTED}")
    if sum(t.cost for t in stored.values()) > 2 * len(data):
        raise PickleError(f"{path}: its tensors claim more than it holds; {UNTRUSTED}")
    return {k: v.read() for k, v in stored.items()}


def _read_zip(path: Path, size: int, budget: Budget) -> Any:
    try:
        check_directory(path, MOST_DIRECTORY)
        with zipfile.ZipFile(path) as archive:
            return _read_members(archive, str(path), size, budget)
    except PickleError:
        raise
    except Exception as error:  # zipfile has many ways to say that an archive is damaged
        raise PickleError(f"{path}: not a readable archive ({error}); {DAMAGED}") from error


def _read_members(archive: zipfile.ZipFile, name: str, size: int, budget: Budget) -> Any:
    members = {info.filename: info for info in archive.infolist()}
    packed = any(m.compress_type != zipfile.ZIP_STORED for m in members.values())
    claimed = sum(m.file_size for m in archive.infolist())
    if packed or claimed > size or len(members) > MAX_MEMBERS:
        raise PickleError(
            f"{name}: its {len(members)} members claim {claimed} bytes in {size}, or are"
            f" compressed, which torch does not do; {UNTRUSTED}"
        )
    roots = [n.removesuffix("data.pkl") for n in members if n.endswith("/data.pkl")]
    if len(roots) != 1:
        raise PickleError(f"{name}: is a zip, but not of torch.save; give a saved state dict")
    order = f"{roots[0]}byteorder"
    if order in members and archive.read(order) != b"little":
        raise PickleError(f"{name}: was written on a machine of another byte order")
    keyed = Keyed(size)
    data = memoryview(archive.read(roots[0] + "data.pkl"))
    value = Machine(data, 0, STATE_GLOBALS, budget, f"{name}: data.pkl", keyed).run()
    for key, storage in keyed.storages.items():
        member = f"{roots[0]}data/{key}"
        raw = archive.read(member) if member in members else b""
        if len(raw) != storage.nbytes:
            raise PickleError(f"{name}: {member} has {len(raw)} bytes, not {storage.nbytes}")
        storage.data = memoryview(raw)
    return value
