"""Train one reward on ranked slabs and say how good it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.run.attempt import Context
from jobs.stages.learnt import answers_of, items_of, parts_of, trained_on
from jobs.stages.shapes import device
from jobs.stages.views import load_views
from jobs.store.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

REWARD = Stage(
    name="reward",
    version=3,
    run="jobs.stages.reward:run_reward",
    sources=("sigmaflow/rewards", "sigmaflow/preferences/rankings.py", "sigmaflow/fields/slab.py"),
    gpu=1,
    actor=True,
)


def bank_of(ctx: Context, network):
    """What the reward sees of all shapes: slabs, depth maps or clouds, by seed."""
    if network.representation == "sigma":
        return load_bank(ctx.input("slabs"))
    return load_views(ctx.input("views"), network)


def pretrained(ctx: Context):
    """Weights that the backbone starts from, by name; None where it starts from its own."""
    if not ctx.has("pretrained"):
        return None
    from safetensors.torch import load_file

    from sigmaflow.generators.pickles.torchfile import read_torch_file

    path = ctx.input("pretrained")
    with open(path, "rb") as file:
        safe = file.read(9)[8:] == b"{"  # its header is JSON
    return load_file(path) if safe else read_torch_file(path)


def load_bank(folders):
    """Slabs of several `slabs` results as one bank, left on the disk until they are asked for."""
    import numpy as np

    from sigmaflow.rewards.data import SlabBank

    return SlabBank.of_parts(
        [(np.load(f / "slabs.npy", mmap_mode="r"), np.load(f / "seeds.npy").tolist())
         for f in folders]
    )  # fmt: skip


def run_reward(ctx: Context) -> None:
    """`reward.safetensors` (+ .json), `accuracy.parquet`, metrics by tick.

    The split, the order and the first weights come from the config; anchors take part only where
    the rankings' report says so. Trivial scorers are beside a reward of slabs only, and accuracies
    of all heads (`head scalar`, ...) where it has several. A file of several annotators' orders
    also gives `agreement.parquet`: how far they agree.
    """
    import json

    import pandas as pd

    from sigmaflow.preferences.agreement import agreement_row
    from sigmaflow.preferences.orders import Orders
    from sigmaflow.preferences.questions import anchors
    from sigmaflow.preferences.rankings import Rankings, read_rankings, split
    from sigmaflow.rewards.baselines import trivial_accuracies
    from sigmaflow.rewards.data import Items
    from sigmaflow.rewards.evaluate import accuracy, head_reports, noise_ceiling, score_seeds
    from sigmaflow.rewards.model import RewardConfig
    from sigmaflow.rewards.state import RewardState
    from sigmaflow.rewards.train import RewardTick, TrainConfig, train_reward

    c = ctx.config
    source = ctx.input("rankings")
    network = RewardConfig.model_validate(c["network"])
    bank = bank_of(ctx, network)
    answers = answers_of(source, c, bank)
    parts: Sequence[Rankings | Orders] = parts_of(answers, c)
    pools: Sequence[Sequence[int] | None] = [None, None, None]
    report = source / "anchors.json"
    asked = source.is_dir() and json.loads(report.read_text())["on"]
    if c["anchors"] == "always" or (c["anchors"] == "auto" and asked):
        seeds = anchors(c["anchor_count"])
        pools = [seeds[i] for i in _positions(split(seeds, c["split_seed"]))]
    items = [items_of(part, pool) for part, pool in zip(parts, pools)]
    items[0] = trained_on(items[0], c)
    config = TrainConfig(**c["train"])
    saved = ctx.restore()
    loop = train_reward(
        bank,
        items[0],
        items[1],
        config,
        network,
        resume=RewardState.read(saved[1]) if saved else None,
        device=device(),
        backbone=pretrained(ctx),
    )
    last: RewardTick | None = None
    for tick in loop:
        if saved is None or tick.step > saved[0]:  # a finished training tells its last tick again
            ctx.log(tick.step, **tick.metrics)
            ctx.save(tick.step, tick.state.write)
        ctx.progress(tick.epoch + 1, config.epochs)
        last = tick
    assert last is not None  # a training has a tick at least
    model = last.state.model()
    model.save(ctx.folder / "reward.safetensors")

    test, train = items[2], items[0]
    rows = []

    def add(scorer: str, found) -> None:
        for pairs, a in found.items():
            rows.append(dict(scorer=scorer, pairs=pairs, **vars(a)))

    add("reward", accuracy(score_seeds(model, bank, test.shapes), test))
    if c.get("heads"):
        for head, told in head_reports(model, bank, test).items():
            add(f"head {head}", told.accuracy)
    if network.representation == "sigma":
        for name, found in trivial_accuracies(bank, train, test).items():
            add(name, found)
    if source.is_dir() and isinstance(answers, Rankings):
        clean = read_rankings(source / "clean.csv")
        three = split(answers, c["split_seed"])
        observed_test, clean_test = three.of(answers)[2], three.of(clean)[2]
        add("noise_ceiling", {"regular": noise_ceiling(observed_test, clean_test)})
        add(
            "reward_against_clean",
            accuracy(score_seeds(model, bank, test.shapes), Items.of(clean_test)),
        )
    pd.DataFrame(rows).to_parquet(ctx.folder / "accuracy.parquet", index=False)
    if isinstance(answers, Orders) and len(set(answers.annotators)) > 1:
        row = agreement_row(answers)
        pd.DataFrame([row]).to_parquet(ctx.folder / "agreement.parquet", index=False)


def _positions(parts):
    return parts.train, parts.val, parts.test
