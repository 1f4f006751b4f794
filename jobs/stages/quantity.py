"""Stages of quantities: one for each file of `sigmaflow/quantities`."""

from __future__ import annotations

from pathlib import Path

from jobs.run.attempt import Context
from jobs.stages.shapes import gan_folder
from jobs.store.stage import Stage
from sigmaflow.measuring import Quantity
from sigmaflow.registry import listed

FORMAT = 1  # of their settings and files: raised where all of them must be measured again
QUANTITIES: dict[str, Quantity] = listed("sigmaflow.quantities", "QUANTITY")
QUANTITY_STAGES = {
    name: Stage(
        name=f"quantity_{name}", version=one.version, run="jobs.stages.quantity:run_quantity",
        imports=(f"sigmaflow.quantities.{name}",), gpu=one.gpu,
    )
    for name, one in QUANTITIES.items()
}  # fmt: skip


def run_quantity(ctx: Context) -> None:
    """`values.parquet`: `seed` and the quantity's numbers, a row for each shape; `<column>.npy` of
    its arrays, in the order of the rows.

    Raises RuntimeError where the task is for a device that is not there.
    """
    import numpy as np
    import pandas as pd
    import torch

    from sigmaflow.generators import load_generator
    from sigmaflow.measuring import measure

    c = ctx.config
    if c["device"] == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("device: cuda is asked for, and torch sees no GPU here; set device: cpu,"
                           " or run where there is one")  # fmt: skip
    quantity = QUANTITIES[c["quantity"]]
    G = load_generator(gan_folder(ctx.input("generator"))).to(torch.device(c["device"]))
    samples = c["samples"]
    found = measure(
        quantity, G, range(*samples["seeds"]), samples["psi"], quantity.settings(**c["settings"]),
        ctx.progress, **{name: _one(ctx.input(name)) for name in quantity.files},
    )  # fmt: skip
    numbers = {c.name: found[c.name] for c in quantity.columns if not c.axes}
    frame = pd.DataFrame({"seed": found.seeds, **numbers})
    frame.to_parquet(ctx.folder / "values.parquet", index=False)
    for column in quantity.columns:
        if column.axes:
            np.save(ctx.folder / f"{column.name}.npy", found[column.name])


def _one(value: Path | list[Path]) -> Path:
    """A file given as itself, as the result that holds it, or first of the files it consists of."""
    return value[0] if isinstance(value, list) else value
