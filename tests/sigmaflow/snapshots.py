"""Snapshot pickles that tests make: from plain values, and from one tensor's arguments."""

import io

import torch

from sigmaflow.generators.pickles.write import (
    Emitter,
    Named,
    persistent,
    storage_bytes,
)

HOOKS = Named("collections", "OrderedDict", ())
STATE = {"_parameters": {}, "_buffers": {}, "_modules": {}}


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


def equal(a, b):
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a
    )
