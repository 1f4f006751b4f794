"""One fine-tune: the GAN loop with reward and consistency, followed tick by tick."""

from __future__ import annotations

from jobs.run.attempt import Context
from jobs.stages.fid import image_file
from jobs.stages.shapes import device, gan_folder
from jobs.store.stage import Stage
from jobs.store.staging import data_workers

FINETUNE = Stage(
    name="finetune",
    version=4,
    run="jobs.stages.finetune:run_finetune",
    sources=(
        "sigmaflow/finetune",
        "sigmaflow/generators",
        "sigmaflow/fields",
        "sigmaflow/rewards/config.py",
        "sigmaflow/rewards/model.py",
        "sigmaflow/rewards/unet3d.py",
    ),
    gpu=1,
    actor=True,
)
TICK_FIRST_SEED = 300_000  # as in jobs/sweep/fit.py


def clamp_bounds(clamp: dict, start_rewards, standardise: bool = False) -> tuple[float, float]:
    """Fixed bounds, or so many deviations about the start's mean reward; in units of the loss."""
    if clamp["deviations"] is None:
        return clamp["low"], clamp["high"]
    if standardise:
        return -clamp["deviations"], clamp["deviations"]
    middle, spread = float(start_rewards.mean()), float(start_rewards.std())
    return middle - clamp["deviations"] * spread, middle + clamp["deviations"] * spread


def reward_term(rewards, before, ensemble: dict, standardise: bool):
    """The term of one reward or several, and its scores [n] of the start.

    before: the start's scores [len(rewards), n] by each.
    """
    from dataclasses import replace

    import torch

    from sigmaflow.finetune.terms import Ensemble, Member

    term, start = rewards[0], before[0]
    if len(rewards) > 1:
        members = [Member(r.score, float(b.mean()), float(b.std()))
                   for r, b in zip(rewards, before)]  # fmt: skip
        score = Ensemble(members, ensemble["combine"], ensemble["deviations"])
        term, start = replace(term, score=score), score.of(torch.from_numpy(before)).numpy()
    if standardise:
        term = replace(term, centre=float(start.mean()), spread=float(start.std()))
    return term, start


def run_finetune(ctx: Context) -> None:
    """A checkpoint and what happened on the way.

    `gan/`; `ticks.parquet` (seed, tick, reward of G_ema); `samples.parquet` (a row for every image
    of the training: reward, saturated, consistency, logit; the first three are of another latent
    than the logit where the reward phase is separate); `clamp.json`; `settings.json` (presets and
    micro-batch filled in); metrics; where the held-out reward is watched, `heldout.parquet` (as
    ticks) and `watch.json`.
    """
    import json

    import numpy as np

    from sigmaflow.fields.grid import Grid
    from sigmaflow.finetune import FinetuneConfig, Pause, finetune, start_state
    from sigmaflow.finetune.images import open_images, reading
    from sigmaflow.generators import load_gan, load_generator, save_gan
    from sigmaflow.rewards.scoring import open_reward, score_generator

    c = ctx.config
    start = gan_folder(ctx.input("generator"))
    where, grid = device(), Grid.from_dict(c["grid"])
    rays = c.get("view_resolution", {})
    others = ctx.input("others") if c["ensemble"]["size"] > 1 else []
    rewards = [open_reward(path, where, rays.get("reward"), grid)
               for path in (ctx.input("reward"), *others)]  # fmt: skip
    G_old = load_generator(start).to(where)
    seeds = list(range(TICK_FIRST_SEED, TICK_FIRST_SEED + c["tick_seeds"]))
    psi = rewards[0].truncation_psi
    first = score_generator(G_old, rewards, seeds, psi)
    term, bounded = reward_term(rewards, first, c["ensemble"], c["finetune"]["standardise"])
    before = first[0]
    low, high = clamp_bounds(c["clamp"], bounded, c["finetune"]["standardise"])
    config = FinetuneConfig(**c["finetune"], clamp_low=low, clamp_high=high).resolved()

    gan = load_gan(start)
    gan.G, gan.D, gan.G_ema = gan.G.to(where), gan.D.to(where), gan.G_ema.to(where)
    state = start_state(gan, config)
    if saved := ctx.restore():
        state.restore(saved[1])
    watch = None
    if c["watch"]["heldout"] != "off":
        heldout = open_reward(ctx.input("heldout"), where, rays.get("heldout"), grid)
        watch = _Watch(ctx, seeds, heldout, G_old, state)
    rewards_log, samples = _SeedRewards(ctx, "ticks", seeds, before), _Samples(ctx)
    total = int(config.kimg * 1000)
    images = open_images(image_file(ctx.input("images")), workers=data_workers())
    images.expect(reading(config.seed, state.images_seen, config.batch, len(images)))
    ended = watch is not None and watch.ends(rewards_log, state.images_seen)
    for tick in () if ended else finetune(state, images, config, term, G_old, ctx.should_stop):
        if isinstance(tick, Pause):
            ctx.save(tick.images_seen, state.save)
            continue
        scores = score_generator(state.G_ema, rewards[:1], seeds, psi)[0]
        if not np.isfinite(scores).all():  # before it is saved
            raise FloatingPointError(
                f"rewards of the fine-tuned generator are not finite after {tick.images_seen} "
                "images; the last save is from before"
            )
        rewards_log.add(tick.images_seen, scores)
        samples.add(tick)
        said = {"seeds_reward": scores.mean(), "seeds_gain": (scores - before).mean()}
        if watch is not None:
            said |= watch.look(state, rewards_log)
        ctx.log(tick.images_seen, **tick.metrics, **said)
        ctx.save(tick.images_seen, state.save)
        ctx.progress(tick.images_seen, total)
        if watch is not None and watch.ends(rewards_log, tick.images_seen):
            break
    last = state.images_seen
    if watch is not None:
        watch.finish(rewards_log, state)
    save_gan(state.checkpoint(), ctx.folder / "gan")
    rewards_log.frame(last).to_parquet(ctx.folder / "ticks.parquet", index=False)
    samples.frame(last).to_parquet(ctx.folder / "samples.parquet", index=False)
    bounds = {
        "clamp_low": low,
        "clamp_high": high,
        "start_mean": float(before.mean()),
        "start_std": float(before.std()),
    }
    (ctx.folder / "clamp.json").write_text(json.dumps(bounds, indent=1) + "\n")
    used = {
        **config.model_dump(mode="json"),
        "reward_centre": term.centre,
        "reward_spread": term.spread,
    }
    if config.micro_batch == "auto":
        used["micro_batch"] = state.micro_batch
    (ctx.folder / "settings.json").write_text(json.dumps(used, indent=1) + "\n")


class _Parts:
    """Tables by tick, on disk beside the checkpoints so that a resumed run has them."""

    def __init__(self, ctx: Context, name: str):
        self._folder = ctx.checkpoint / name
        self._folder.mkdir(parents=True, exist_ok=True)

    def _paths(self, last: int) -> list:
        """Of ticks up to `last`: an attempt that got further may have left more."""
        return [p for p in sorted(self._folder.iterdir()) if p.stem.isdigit()
                and int(p.stem) <= last]  # fmt: skip


class _SeedRewards(_Parts):
    """Rewards by tick and fixed seed."""

    def __init__(self, ctx: Context, name: str, seeds, before):
        super().__init__(ctx, name)
        self._seeds = seeds
        self.add(0, before)

    def add(self, images_seen: int, scores) -> None:
        import numpy as np

        from sigmaflow.atomic import write_with

        path = self._folder / f"{images_seen:012d}.npy"
        write_with(path, lambda p: np.save(open(p, "wb"), scores))

    def means(self, last: int) -> dict[int, float]:
        """Mean by images seen, up to `last`."""
        import numpy as np

        return {int(p.stem): float(np.load(p).mean()) for p in self._paths(last)}

    def frame(self, last: int):
        import numpy as np
        import pandas as pd

        parts = []
        for path in self._paths(last):
            scores = np.load(path)
            parts.append(
                pd.DataFrame({"images_seen": int(path.stem), "seed": self._seeds, "reward": scores})
            )
        return pd.concat(parts, ignore_index=True)


class _Samples(_Parts):
    """What was logged of every image of the training."""

    def __init__(self, ctx: Context):
        super().__init__(ctx, "samples")

    def add(self, tick) -> None:
        import pandas as pd

        from sigmaflow.atomic import write_with

        path = self._folder / f"{tick.images_seen:012d}.parquet"
        frame = pd.DataFrame(dict(tick.samples))
        write_with(path, lambda p: frame.to_parquet(p, index=False))

    def frame(self, last: int):
        import pandas as pd

        return pd.concat([pd.read_parquet(p) for p in self._paths(last)], ignore_index=True)


class _Watch:
    """Follows the held-out reward; keeps the state that it likes best beside the checkpoints."""

    def __init__(self, ctx: Context, seeds, reward, G_old, state):
        self._ctx, self._how = ctx, ctx.config["watch"]
        self._reward, self._seeds = reward, seeds
        self._log = _SeedRewards(ctx, "heldout", seeds, self._score(G_old))
        self._good = ctx.checkpoint / "good"
        if state.images_seen == 0:
            state.save(self._good)

    def _score(self, G):
        from sigmaflow.rewards.scoring import score_generator

        return score_generator(G, [self._reward], self._seeds, self._reward.truncation_psi)[0]

    def look(self, state, trained: _SeedRewards) -> dict[str, float]:
        """Score a tick; what the metrics say of it."""
        from sigmaflow.finetune.watch import best

        scores, seen = self._score(state.G_ema), state.images_seen
        self._log.add(seen, scores)
        means = self._log.means(seen)
        if list(means)[best(list(means.values()))] == seen:
            state.save(self._good)
        turned = self._turned(trained, seen)
        if turned:
            self._ctx.note(f"after {seen} images the held-out reward falls and the trained rises")
        return {"seeds_heldout": scores.mean(), "heldout_turned": float(turned)}

    def _turned(self, trained: _SeedRewards, seen: int) -> bool:
        from sigmaflow.finetune.watch import turned

        first, second = (list(log.means(seen).values()) for log in (trained, self._log))
        return turned(first, second, self._how["ticks"])

    def ends(self, trained: _SeedRewards, seen: int) -> bool:
        """Whether the run is over after `seen` images."""
        return self._how["heldout"] == "stop" and self._turned(trained, seen)

    def finish(self, trained: _SeedRewards, state) -> None:
        """Where the run was ended, put the best state back; write what happened."""
        import json

        from sigmaflow.finetune.watch import best

        last = state.images_seen
        ended, means = self.ends(trained, last), self._log.means(last)
        alarms = [seen for seen in means if self._turned(trained, seen)]
        kept = list(means)[best(list(means.values()))] if ended else last
        if ended:
            state.restore(self._good)
        said = {"alarms": alarms, "ended": last if ended else None, "kept": kept}
        (self._ctx.folder / "watch.json").write_text(json.dumps(said, indent=1) + "\n")
        self._log.frame(last).to_parquet(self._ctx.folder / "heldout.parquet", index=False)
