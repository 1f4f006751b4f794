"""Make the mini generator: warm start on rendered views, then two adversaries in turn."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.run.attempt import Context
from jobs.stages.fid import image_file
from jobs.store.stage import Stage
from jobs.store.staging import data_workers

WARMSTART = Stage(
    name="warmstart",
    version=4,
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
PROJECTED = Stage(
    name="projected",
    version=1,
    run="jobs.stages.pretrain:run_projected",
    sources=WARMSTART.sources,
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


def with_latents(ctx: Context, name: str, z_dim: int):
    """The image set of an input, its seeds, and the latent of every picture [n, z_dim].

    Raises ValueError where the set does not say which seeds its pictures are of.
    """
    from sigmaflow.fields.slab import latents
    from sigmaflow.finetune.images import open_images

    path = image_file(ctx.input(name))
    images = open_images(path, workers=data_workers())
    if images.seeds is None:
        raise ValueError(f"{path}: its dataset.json has no seeds, so the latents of its pictures "
                         "are not known; give a rendered set")  # fmt: skip
    return images, images.seeds, latents(images.seeds, z_dim).numpy()


def held_out(ctx: Context, identities: int, z_dim: int):
    """`HeldOut` of the held-out set; None without one, or where no identities are asked for."""
    from sigmaflow.finetune import HeldOut

    if not (ctx.has("heldout") and identities):
        return None
    images, seeds, z = with_latents(ctx, "heldout", z_dim)
    return HeldOut(images, seeds, z, identities)


def finish(ctx: Context, state) -> None:
    """Leave the checkpoint folder `gan`, with the weights of the moving average as G's too: they
    are what was measured, and the better start for what follows."""
    from sigmaflow.generators import save_gan

    state.G.load_state_dict(state.G_ema.state_dict())
    save_gan(state.checkpoint(), ctx.folder / "gan")


def run_warmstart(ctx: Context) -> None:
    """Networks, fresh or of an earlier warm start, fitted to views of known latents. Output: a
    checkpoint folder `gan`."""
    import torch

    from sigmaflow.finetune import RefineConfig, WarmstartConfig, start_warm_state, warmstart
    from sigmaflow.generators import build, load_gan

    kind = RefineConfig if ctx.has("start") else WarmstartConfig
    config = kind(**ctx.config["warmstart"])
    torch.manual_seed(config.seed)
    if ctx.has("start"):
        start = load_gan(ctx.input("start") / "gan")
    else:
        start = build({"G": ctx.config["G"], "D": ctx.config["D"]})
    state = start_warm_state(start, config)

    z_dim = state.G.z_dim
    heldout = held_out(ctx, config.heldout, z_dim)
    if saved := ctx.restore():
        state.restore(saved[1])
    images, seeds, z = with_latents(ctx, "images", z_dim)
    loop = warmstart(state, images, seeds, z, config, heldout, stop=ctx.should_stop)
    follow(ctx, state, loop, int(config.kimg * 1000))
    finish(ctx, state)


def run_projected(ctx: Context) -> None:
    """The fitted generator against a projected discriminator. Output: a checkpoint folder `gan`."""
    from sigmaflow.finetune import ProjectedConfig, start_projected_state, train_projected
    from sigmaflow.finetune.images import facing
    from sigmaflow.generators import load_gan

    config = ProjectedConfig(**ctx.config["projected"])
    start = load_gan(ctx.input("start") / "gan")
    images, seeds, z = with_latents(ctx, "images", start.G.z_dim)
    real = facing(images, ctx.config.get("max_yaw"))
    state = start_projected_state(start, real, config)
    heldout = held_out(ctx, config.heldout, start.G.z_dim)
    if saved := ctx.restore():
        state.restore(saved[1])
    loop = train_projected(state, real, images, seeds, z, config, heldout, stop=ctx.should_stop)
    follow(ctx, state, loop, int(config.kimg * 1000))
    finish(ctx, state)


def run_adversarial(ctx: Context) -> None:
    """EG3D's own training from where the stage before ended. Output: a checkpoint folder `gan`."""
    from sigmaflow.finetune import AdversarialConfig, finetune, start_state
    from sigmaflow.finetune.images import facing, open_images, reading
    from sigmaflow.generators import load_gan

    config = AdversarialConfig(**ctx.config["adversarial"])
    state = start_state(load_gan(ctx.input("start") / "gan"), config)
    if saved := ctx.restore():
        state.restore(saved[1])
    whole = open_images(image_file(ctx.input("images")), workers=data_workers())
    images = facing(whole, ctx.config.get("max_yaw"))
    images.expect(reading(config.seed, state.images_seen, config.batch, len(images)))
    loop = finetune(state, images, config, stop=ctx.should_stop)
    follow(ctx, state, loop, int(config.kimg * 1000))
    finish(ctx, state)
