"""Tasks of `kind: pretrain`: render heads, fit them, train against adversaries."""

from __future__ import annotations

from jobs.stages.faces import FACES, RENDER
from jobs.stages.pretrain import ADVERSARIAL, PROJECTED, WARMSTART
from jobs.store.stage import FileInput, Input, Task
from jobs.sweep.kinds import PretrainConfig, RenderedSet
from jobs.sweep.reward_graph import dump


def _rendered(config: PretrainConfig, pictures: RenderedSet, name: str) -> Task:
    """A rendered set, in blocks of identities."""
    base, seeds = config.stage_base(), pictures.seeds
    parts = tuple(
        Task(
            RENDER,
            {
                **base,
                "seeds": [i, min(i + config.block, seeds.stop)],
                "views": pictures.views,
                "around": pictures.around,
                "resolution": config.G["img_resolution"],
            },
            label=f"render identities {i}-{min(i + config.block, seeds.stop) - 1}",
        )
        for i in range(seeds.start, seeds.stop, config.block)
    )
    return Task(FACES, base, {"parts": parts}, f"join the {name} set")


def pretrain_graph(config: PretrainConfig) -> Task:
    """Task of `kind: pretrain`: render faces, fit them, train against a projected discriminator
    where that is asked for, then against EG3D's."""
    base = config.stage_base()
    heldout: dict[str, Input] = {}
    if config.images == "mini":
        images: Input = _rendered(config, config.training, "training")
        heldout = {"heldout": _rendered(config, config.heldout, "held-out")}
    else:
        images = FileInput(config.images)
    start = Task(
        WARMSTART,
        {**base, "G": config.G, "D": config.D, "warmstart": dump(config.warmstart)},
        {"images": images, **heldout},
        "warm start by rays",
    )
    if config.refine is not None:
        start = Task(
            WARMSTART,
            {**base, "warmstart": dump(config.refine)},
            {"images": images, **heldout, "start": start},
            "warm start by images",
        )
    seen = {} if config.max_yaw is None else {"max_yaw": config.max_yaw}
    if config.projected is not None:
        start = Task(
            PROJECTED,
            {**base, **seen, "projected": dump(config.projected)},
            {"images": images, **heldout, "start": start},
            "projected training",
        )
    return Task(
        ADVERSARIAL,
        {**base, **seen, "adversarial": dump(config.adversarial)},
        {"images": images, "start": start},
        "adversarial training",
    )
