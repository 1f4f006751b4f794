"""The part of a graph that ends in rewards: questions, what each representation shows, training."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from jobs.stages.calibration import CALIBRATION
from jobs.stages.rankings import RANKINGS
from jobs.stages.reward import REWARD
from jobs.stages.shapes import MEASURES, SLABS
from jobs.stages.views import VIEWS
from jobs.store.stage import FileInput, Input, Stage, Task
from jobs.sweep.sections import RewardSection
from sigmaflow.rewards.config import RewardConfig


def blocks(seeds: Sequence[int], size: int) -> Iterator[list[int]]:
    """Consecutive stretches of at most `size` seeds."""
    it = iter(seeds)
    while part := list(itertools.islice(it, size)):
        yield part


def dump(model: BaseModel) -> dict[str, Any]:
    """A section as a stage's config holds it."""
    return model.model_dump(mode="json")


class RewardGraph:
    """For a graph with `config`, `generator`, `grid`, `view` and `_common`."""

    config: Any
    generator: Input | tuple[Input, ...]
    grid: dict[str, Any]
    view: dict[str, Any]
    _common: Callable[[], dict[str, Any]]

    def _measures(self, seeds: Sequence[int], psi: float, label: str) -> tuple[Task, ...]:
        a = self.config.annotator
        return tuple(
            Task(
                MEASURES,
                {
                    **self._common(),
                    "seeds": part,
                    "psi": psi,
                    "view": self.view,
                    "annotator": dump(a.config),
                },
                {"generator": self.generator},
                f"{label} {part[0]}-{part[-1]}",
            )
            for part in blocks(seeds, self.config.block)
        )

    @cached_property
    def rankings(self) -> Input:
        """The user's file, or the synthetic annotator's answers."""
        from sigmaflow.preferences.questions import anchors, make_questions

        r = self.config.rankings
        if r.file is not None:
            return FileInput(r.file)
        questions = make_questions(r.seed, r.questions, r.sizes)
        seeds = [s for q in questions for s in q]
        high = anchors(r.anchors.count).tolist()
        return Task(
            RANKINGS,
            {
                **self._common(),
                **{k: dump(r)[k] for k in ("questions", "sizes", "flip", "seed", "anchors")},
            },
            {
                "measures": self._measures(seeds, r.psi, "annotator looks at"),
                "anchors": self._measures(high, r.anchors.psi, "annotator looks at anchors"),
            },
            f"rankings of {r.questions} questions",
        )

    def _ranked(self) -> int:
        """How many shapes the rankings name: known before they are."""
        r = self.config.rankings
        if r.file is None:
            return 2 * r.questions
        from sigmaflow.preferences.orders import read_preferences

        return len(read_preferences(r.file).seeds)

    @cached_property
    def slabs(self) -> tuple[Task, ...]:
        """Slabs of all ranked shapes and of the anchors."""
        return self._of_shapes(SLABS, {"grid": self.grid}, "slabs", self.anchored)

    @property
    def anchored(self) -> bool:
        """Whether the rankings may have anchors."""
        return self.config.rankings.anchors.use != "never"

    def _of_shapes(
        self, stage: Stage, settings: dict[str, Any], label: str, anchored: bool
    ) -> tuple[Task, ...]:
        """A stage for all ranked shapes, and for the anchors, by blocks of seeds."""
        r, size, n = self.config.rankings, self.config.block, self._ranked()
        base = {**self._common(), **settings}
        ranked = [
            Task(
                stage,
                {**base, "psi": r.psi, "part": [i, min(i + size, n)]},
                {"generator": self.generator, "rankings": self.rankings},
                f"{label} {i}-{min(i + size, n) - 1}",
            )
            for i in range(0, n, size)
        ]
        if not anchored:
            return tuple(ranked)
        from sigmaflow.preferences.questions import anchors

        high = [
            Task(
                stage,
                {**base, "psi": r.anchors.psi, "seeds": part},
                {"generator": self.generator},
                f"{label} of anchors {part[0]}-{part[-1]}",
            )
            for part in blocks(anchors(r.anchors.count).tolist(), size)
        ]
        return (*ranked, *high)

    def _seen(self, section: RewardSection, network: RewardConfig) -> dict[str, tuple[Task, ...]]:
        """What a reward sees of the shapes. Clouds are made of single-view depth maps."""
        if section.representation == "sigma":
            return {
                "slabs": self.slabs
                if section.has_anchors
                else self._of_shapes(SLABS, {"grid": self.grid}, "slabs", False)
            }
        settings = {
            "resolution": section.view_resolution,
            "yaws": list(section.yaws),
            "latents": network.latents,
        }
        latents = "" if network.latents == "one" else ", a latent for each view"
        label = f"{section.views if len(section.yaws) > 1 else 'single'}-view depth{latents}"
        anchored = self.anchored and section.has_anchors
        return {"views": self._of_shapes(VIEWS, settings, label, anchored)}

    def _followed(self, section: RewardSection, label: str) -> Task:
        """The reward of a section, as fine-tunes follow it and Table 1 shows it."""
        seed = section.split_seed if section.seed is None else section.seed
        return self._reward(section, seed, label, section.split_seed)

    def _reward(self, section: RewardSection, seed: int, label: str, split: int | None = None
                ) -> Task:  # fmt: skip
        """A reward: weights, order and draws by `seed`; the split by `split`, else too."""
        r = self.config.rankings
        network = section.network(self.config.slab.grid(), _digest_of(self.generator), r.psi)
        config: dict[str, Any] = {
            **self._common(),
            "network": dump(network),
            "train": {**dump(section.training()), "seed": seed},
            "split_seed": seed if split is None else split,
            "anchors": r.anchors.use if section.has_anchors else "never",
            "anchor_count": r.anchors.count,
        }
        inputs: dict[str, Any] = {"rankings": self.rankings, **self._seen(section, network)}
        if len(network.heads) > 1:
            config["heads"] = True  # accuracy of each
        if section.share < 1:
            config["share"] = section.share
        if section.answers != "whole" and self.config.whole_orders:
            config["answers"] = section.answers
        if weights := section.pretrained.get(section.backbone):
            inputs["pretrained"] = FileInput(weights)
        return Task(REWARD, config, inputs, label)


def calibration_of(reward: Task) -> Task:
    """How far a reward can be trusted, on its own test pairs."""
    kept = ("threads", "sampler", "split_seed", "train", "share", "answers")
    seen = {name: reward.inputs[name] for name in ("slabs", "views") if name in reward.inputs}
    return Task(
        CALIBRATION,
        {name: reward.config[name] for name in kept if name in reward.config},
        {"reward": reward, "rankings": reward.inputs["rankings"], **seen},
        f"calibration of {reward.label}",
    )


def _digest_of(generator: Input | tuple[Input, ...]) -> str:
    """What a reward remembers of the generator whose slabs it saw."""
    if isinstance(generator, Task):
        return generator.key
    every = generator if isinstance(generator, tuple) else (generator,)
    digests = [one.key if isinstance(one, Task) else one.digest for one in every]
    return hashlib.sha256("".join(digests).encode()).hexdigest()
