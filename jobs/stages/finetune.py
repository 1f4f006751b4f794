"""One fine-tune: the GAN loop with reward and consistency, followed tick by tick."""

from __future__ import annotations

from jobs.run import Context
from jobs.stage import Stage
from jobs.stages.fid import image_file
from jobs.stages.shapes import device, gan_folder
from jobs.staging import data_workers

FINETUNE = Stage(
    name="finetune",
    version=2,
    run="jobs.stages.finetune:run_finetune",
    sources=(
        "sigmaflow/finetune",
        "sigmaflow/generators",
        "sigmaflow/fields",
        "sigmaflow/rewards/model.py",
        "sigmaflow/rewards/unet3d.py",
    ),
    gpu=1,
    actor=True,
)
TICK_FIRST_SEED = 300000
SCORE_BATCH = 16
CELLS = 2**22  # of slabs that a reward looks at at once: 1 of the paper's, 16 of mini's


def score_seeds(G, rewards, seeds, psi: float):
    """Scores [len(rewards), n] of seeds at psi; one slab serves all rewards of the same grid."""
    import numpy as np
    import torch

    from sigmaflow.fields.slab import latents, sample_slab

    out = np.zeros((len(rewards), len(seeds)), dtype=np.float64)
    where = next(G.parameters()).device
    step = max(1, min(SCORE_BATCH, CELLS // max(r.config.grid.size for r in rewards)))
    with torch.no_grad():
        for i in range(0, len(seeds), step):
            z = latents(seeds[i : i + step], G.z_dim).to(where)
            slabs = {}
            for r, reward in enumerate(rewards):
                grid = reward.config.grid
                if grid not in slabs:
                    slabs[grid] = sample_slab(G, z, grid, truncation_psi=psi)
                out[r, i : i + step] = reward(slabs[grid]).cpu().numpy()
    return out


def clamp_bounds(clamp: dict, start_rewards) -> tuple[float, float]:
    """Fixed bounds, or so many deviations about the start's mean reward."""
    if clamp["deviations"] is None:
        return clamp["low"], clamp["high"]
    middle, spread = float(start_rewards.mean()), float(start_rewards.std())
    return middle - clamp["deviations"] * spread, middle + clamp["deviations"] * spread


def run_finetune(ctx: Context) -> None:
    """`gan/` (checkpoint), `ticks.parquet` (seed, tick, reward of G_ema), `clamp.json`, metrics."""
    import json

    import numpy as np

    from sigmaflow.fields.grid import Grid
    from sigmaflow.finetune import FinetuneConfig, RewardTerm, finetune, start_state
    from sigmaflow.finetune.images import open_images, reading
    from sigmaflow.generators import load_gan, load_generator, save_gan
    from sigmaflow.rewards.model import RewardModel

    c = ctx.config
    start = gan_folder(ctx.input("generator"))
    where = device()
    reward = RewardModel.load(ctx.input("reward") / "reward.safetensors")
    reward.check_grid(Grid.from_dict(c["grid"]))
    reward = reward.to(where).eval().requires_grad_(False)
    G_old = load_generator(start).to(where)
    seeds = list(range(TICK_FIRST_SEED, TICK_FIRST_SEED + c["tick_seeds"]))
    psi = reward.config.psi
    before = score_seeds(G_old, [reward], seeds, psi)[0]
    low, high = clamp_bounds(c["clamp"], before)
    config = FinetuneConfig(**c["finetune"], clamp_low=low, clamp_high=high)

    gan = load_gan(start)
    gan.G, gan.D, gan.G_ema = gan.G.to(where), gan.D.to(where), gan.G_ema.to(where)
    state = start_state(gan, config)
    rewards_log = _SeedRewards(ctx, seeds, before)
    if saved := ctx.restore():
        state.restore(saved[1])
    total = int(config.kimg * 1000)
    images = open_images(image_file(ctx.input("images")), workers=data_workers())
    images.expect(reading(config.seed, state.images_seen, config.batch, len(images)))
    term = RewardTerm(score=reward, grid=reward.config.grid, truncation_psi=psi)
    for tick in finetune(state, images, config, term, G_old):
        scores = score_seeds(state.G_ema, [reward], seeds, psi)[0]
        if not np.isfinite(scores).all():  # before it is saved
            raise FloatingPointError(
                f"rewards of the fine-tuned generator are not finite after {tick.images_seen} "
                "images; the last save is from before"
            )
        rewards_log.add(tick.images_seen, scores)
        ctx.log(
            tick.images_seen,
            **tick.metrics,
            seeds_reward=scores.mean(),
            seeds_gain=(scores - before).mean(),
        )
        ctx.save(tick.images_seen, state.save)
        ctx.progress(tick.images_seen, total)
    save_gan(state.checkpoint(), ctx.folder / "gan")
    rewards_log.frame().to_parquet(ctx.folder / "ticks.parquet", index=False)
    bounds = {"clamp_low": low, "clamp_high": high, "start_mean": float(before.mean()),
              "start_std": float(before.std())}
    (ctx.folder / "clamp.json").write_text(json.dumps(bounds, indent=1) + "\n")


class _SeedRewards:
    """Rewards by tick and seed, on disk beside the checkpoints so that a resumed run has them."""

    def __init__(self, ctx: Context, seeds, before):
        self._folder = ctx.checkpoint / "ticks"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._seeds = seeds
        self.add(0, before)

    def add(self, images_seen: int, scores) -> None:
        import numpy as np

        from sigmaflow.atomic import write_with

        path = self._folder / f"{images_seen:012d}.npy"
        write_with(path, lambda p: np.save(open(p, "wb"), scores))

    def frame(self):
        import numpy as np
        import pandas as pd

        parts = []
        for path in sorted(self._folder.glob("*.npy")):
            scores = np.load(path)
            parts.append(
                pd.DataFrame(
                    {"images_seen": int(path.stem), "seed": self._seeds, "reward": scores}
                )
            )
        return pd.concat(parts, ignore_index=True)
