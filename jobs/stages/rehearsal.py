"""What a lab would bring, made of random numbers: a snapshot pickle, read back, and images."""

from __future__ import annotations

from pathlib import Path

from jobs.run.attempt import Context
from jobs.store.stage import Stage

REHEARSAL = Stage(
    name="rehearsal",
    version=1,
    run="jobs.stages.rehearsal:run_rehearsal",
    sources=("sigmaflow/generators", "sigmaflow/fields", "sigmaflow/datasets"),
)
LEVEL, FILLED, SPREAD = 10.0, 0.15, 12.0


def run_rehearsal(ctx: Context) -> None:
    """`gan/`: networks of the given sizes with random weights, written as a pickle in EG3D's
    format and converted from it. `faces.zip`: pictures of the shipped set at their resolution."""
    import torch

    from sigmaflow.generators import build
    from sigmaflow.generators.pickles import convert_pickle
    from sigmaflow.generators.pickles.write import write_pickle

    c = ctx.config
    torch.manual_seed(c["seed"])
    gan = build({"G": c["G"], "D": c["D"]})
    give_surface(gan.G)
    gan.G_ema.load_state_dict(gan.G.state_dict())
    ctx.note("pickle")
    pickle = ctx.folder / "snapshot.pkl"
    write_pickle(gan, pickle)
    del gan
    ctx.note("conversion")
    convert_pickle(pickle, ctx.folder / "gan")
    pickle.unlink()  # as large as what was converted, and of no further use
    enlarge(ctx.input("images"), c["pictures"], c["G"]["img_resolution"], ctx.folder / "faces.zip")


def give_surface(G) -> None:
    """Scale the decoder's sigma row so that a share of the box is dense: fresh weights are fog."""
    import torch

    from sigmaflow.fields.grid import Grid
    from sigmaflow.fields.slab import latents, sample_slab

    grid = Grid(resolution=32, kind="regular", length=float(G.rendering_kwargs["box_warp"]))
    with torch.no_grad():
        fog = sample_slab(G, latents([0], G.z_dim), grid)
        gain = SPREAD / fog.std()
        last = G.decoder.net[2]
        last.weight[0] *= gain
        last.bias[0] *= gain
        last.bias[0] += (LEVEL - gain * fog.flatten().quantile(1 - FILLED)) / last.bias_gain


def enlarge(source: Path, count: int, resolution: int, out: Path) -> None:
    """The first `count` pictures of an image set at another resolution."""
    import numpy as np
    from PIL import Image

    from sigmaflow.datasets.faces import ZipWriter, encode
    from sigmaflow.datasets.images import ImageZip

    with ImageZip(source) as images, ZipWriter(out) as target:
        for i in range(min(count, len(images))):
            pixels = Image.fromarray(images[i][0].permute(1, 2, 0).numpy())
            large = pixels.resize((resolution, resolution), Image.Resampling.BICUBIC)
            target.add(encode(np.asarray(large)), "png", images.labels[i])
