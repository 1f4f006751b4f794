"""`kind: rewards`: many rewards on the same questions, and Table 1 of them. Nothing is tuned."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from jobs.search.outcomes import REWARD
from jobs.search.samplers import Proposer
from jobs.stages.comparison import COMPARISON
from jobs.store.stage import Task
from jobs.sweep.graph import checkpoint_files
from jobs.sweep.kinds import RewardsConfig
from jobs.sweep.reward_graph import RewardGraph, calibration_of
from jobs.sweep.sections import RewardSection
from jobs.sweep.settings import apply
from jobs.sweep.space import Params, SearchSection


def proposals(search: SearchSection, seed: int) -> list[Params]:
    """What every row tries: the grid, or `first` and Optuna's random draws up to `trials`.

    The same for all rows, and none waits for another's result, so that all train side by side.
    """
    known = search.known()[: search.count]
    draw = Proposer("random", search.entries(), ["minimize"], startup=0, population=2)
    seeds = ((seed * 100_003 + n) % 2**32 for n in range(len(known), search.count))
    return known + [draw(one, [], 0) for one in seeds]


class RewardsGraph(RewardGraph):
    """Tasks of `kind: rewards`. Rankings and slabs are those of a sweep with the same settings."""

    def __init__(self, config: RewardsConfig):
        self.config = config
        self.generator = checkpoint_files(config.checkpoint)
        self.grid = config.slab.grid().as_dict()
        self.view = {**self.grid, "resolution": config.annotator.resolution, "kind": "regular"}

    def _common(self) -> dict[str, Any]:
        return self.config.stage_base()

    @cached_property
    def candidates(self) -> list[tuple[str, Params, RewardSection]]:
        """(row, searched settings, section) of every reward, row by row."""
        c = self.config
        return [
            (name, params, apply({**c.row(name), **params}, c.finetune, c.reward)[1])
            for name in c.rows
            for params in proposals(c.search, c.seed)
        ]

    def table(self) -> Task:
        """The comparison, which needs all the rewards."""
        rewards, said = [], []
        for i, (name, params, section) in enumerate(self.candidates):
            reward = self._followed(section, f"reward {name} {i}")
            rewards.append(reward)
            said.append(
                {
                    "row": name,
                    "params": {k.removeprefix(REWARD): v for k, v in params.items()},
                    "head": section.training().monitor,
                    "semantics": section.semantics,
                    "pretrained": section.backbone in section.pretrained,
                    "share": section.share,
                    "seed": reward.config["train"]["seed"],
                }
            )
        return Task(
            COMPARISON,
            {**self._common(), "candidates": said},
            {"rewards": tuple(rewards), "calibrations": tuple(map(calibration_of, rewards))},
            "Table 1",
        )
