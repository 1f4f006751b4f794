"""Make the mini generator: warm start on rendered views, then adversarial training."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.run.attempt import Context
from jobs.stages.fid import image_file
from jobs.store.stage import Stage
from jobs.store.staging import data_workers

WARMSTART = Stage(
    name="warmstart",
    version=3,
    run="jobs.stages.pretrain:run_warmstart",
    sources=(
        "sigmaflow/generators",
        "sigmaflow/finetune",
        "sigmaflow/datasets/images.py",
        "sigmaflow/metrics/vgg.py",
    ),
    gpu=1,
    actor=True,
)
ADVERSARIAL = Stage(
    name="adversarial",
    version=2,
    run="jobs.stages.pretrain:run_adversarial",
    sources=WARMSTART.sources,
    gpu=1,
    actor=True,
)


def follow(ctx: Context, state, ticks: Iterator, total: int) -> None:
    """Log, save and show each tick of a loop until it ends; save where it was asked to stop."""
    from sigmaflow.finetune import Pause

    for tick in ticks:
        if isinstance(tick, Pause):
            ctx.save(tick.images_seen, state.save)
            continue
        ctx.log(tick.images_seen, **tick.metrics)
        ctx.save(tick.images_seen, state.save)
        ctx.progress(tick.images_seen, total)


def run_warmstart(ctx: Context) -> None:
    """Networks, fresh or of an earlier warm start, fitted to views of known latents. Output: a
    checkpoint folder `gan`."""
    import torch

    from sigmaflow.fields.slab import latents
    from sigmaflow.finetune import HeldOut, WarmstartConfig, start_warm_state, warmstart
    from sigmaflow.finetune.images import open_images
    from sigmaflow.generators import build, load_gan, save_gan

    config = WarmstartConfig(**ctx.config["warmstart"])
    torch.manual_seed(config.seed)
    if ctx.has("start"):
        start = load_gan(ctx.input("start") / "gan")
    else:
        start = build({"G": ctx.config["G"], "D": ctx.config["D"]})
    state = start_warm_state(start, config)

    def opened(name: str):
        """A set with seeds, and the latent of every picture."""
        images = open_images(image_file(ctx.input(name)), workers=data_workers())
        return images, images.seeds, latents(images.seeds, state.G.z_dim).numpy()

    heldout = None
    if ctx.has("heldout") and config.heldout:
        heldout = HeldOut(*opened("heldout"), config.heldout)
    if saved := ctx.restore():
        state.restore(saved[1])
    loop = warmstart(state, *opened("images"), config, heldout, stop=ctx.should_stop)
    follow(ctx, state, loop, int(config.kimg * 1000))
    # The weights of the moving average are the better start for what follows.
    state.G.load_state_dict(state.G_ema.state_dict())
    save_gan(state.checkpoint(), ctx.folder / "gan")


def run_adversarial(ctx: Context) -> None:
    """EG3D's own training from where the warm start ended. Output: a checkpoint folder `gan`."""
    from sigmaflow.finetune import AdversarialConfig, finetune, start_state
    from sigmaflow.finetune.images import open_images, reading
    from sigmaflow.generators import load_gan, save_gan

    config = AdversarialConfig(**ctx.config["adversarial"])
    state = start_state(load_gan(ctx.input("start") / "gan"), config)
    if saved := ctx.restore():
        state.restore(saved[1])
    images = open_images(image_file(ctx.input("images")), workers=data_workers())
    images.expect(reading(config.seed, state.images_seen, config.batch, len(images)))
    loop = finetune(state, images, config, stop=ctx.should_stop)
    follow(ctx, state, loop, int(config.kimg * 1000))
    # What a fine-tune starts from should be what was measured: the average, not the live weights.
    state.G.load_state_dict(state.G_ema.state_dict())
    save_gan(state.checkpoint(), ctx.folder / "gan")
