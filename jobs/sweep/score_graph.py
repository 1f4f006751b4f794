"""Tasks of `kind: score`: two or three generators, one reward, the same seeds; Table 2."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from jobs.stages.shapes import SLABS
from jobs.stages.tables import SCORES
from jobs.stages.views import VIEWS
from jobs.store.stage import FileInput, Task
from jobs.sweep.analysis_graph import AnalysisGraph, Generator
from jobs.sweep.fid_graph import FidGraph
from jobs.sweep.graph import checkpoint_files, image_file
from jobs.sweep.kinds import ScoreConfig
from jobs.sweep.outside import network_of
from jobs.sweep.reward_graph import blocks
from sigmaflow.analysing import ROLES, Role, Subject

CALLED: dict[str, Role] = {"before": "original", "control": "control", "after": "tuned"}


def scored(config: ScoreConfig) -> dict[Role, Subject]:
    """Generators of `kind: score` as analyses are asked of them."""
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    return {role: Subject(role, seeds, config.evaluation.psi) for role in ROLES}


class ScoreGraph(FidGraph, AnalysisGraph):
    """The generators are `before`, `after` and, where there is one, `control`."""

    def __init__(self, config: ScoreConfig):
        self.config = config
        self.images = image_file(config.images)
        named = {"before": config.before, "control": config.control, "after": config.after}
        self.generators = {k: checkpoint_files(v) for k, v in named.items() if v is not None}
        self.generator = self.generators["before"]

    def _common(self) -> dict[str, Any]:
        return self.config.stage_base()

    def _shapes(self, name: str) -> tuple[Task, ...]:
        """What the reward sees of a generator's seeds: slabs or depth maps."""
        c, network = self.config, network_of(self.config.reward_model)
        stage, seen = SLABS, {"grid": c.slab.grid().as_dict()}
        if network is not None and network.representation != "sigma":
            seen = {"resolution": c.reward.view_resolution, "yaws": list(network.yaws),
                    "latents": network.latents}  # fmt: skip
            stage = VIEWS
        base = {**self._common(), **seen, "psi": c.evaluation.psi}
        seeds = list(range(c.first_seed, c.first_seed + c.seeds))
        return tuple(
            Task(
                stage, {**base, "seeds": part}, {"generator": self.generators[name]},
                f"{stage.name} {name} {part[0]}-{part[-1]}",
            )
            for part in blocks(seeds, c.block)
        )  # fmt: skip

    @property
    def _reward(self) -> tuple[FileInput, FileInput]:
        """Weights of the reward, and its record."""
        weights = Path(self.config.reward_model)
        return FileInput(weights), FileInput(weights.with_suffix(".json"))

    def _subject(self, role: Role) -> Subject:
        return scored(self.config)[role]

    def named(self) -> list[Generator]:
        """The generators as analyses are asked of them."""
        network = network_of(self.config.reward_model)
        slabs = network is None or network.representation == "sigma"
        rays = None if slabs else self.config.reward.view_resolution
        c = self.config
        grid = c.slab.grid().as_dict()
        given = {
            "grid": grid,
            "view": {**grid, "resolution": c.annotator.resolution, "kind": "regular"},
            "annotator": c.annotator.config.model_dump(mode="json"),
        }
        return [
            Generator(role, role, self.generators[name], {"reward": self._reward},
                      {"reward": {"rays": rays}}, given,
                      None if name == "before" else self.generator)
            for name, role in CALLED.items() if name in self.generators
        ]  # fmt: skip

    @cached_property
    def last(self) -> Task:
        """The task whose result is the tables and figures."""
        c = self.config
        inputs: dict[str, Any] = {"reward": self._reward}
        for name in ("before", "control", "after"):
            there = name in self.generators
            files = self.generators.get(name, ())
            inputs |= {
                name: self._shapes(name) if there else (),
                f"generator_{name}": files,
                f"fid_{name}": self._fid(files, name)[-1:] if there and c.fid else (),
            }
        for name, ticks in (("control", c.control_ticks), ("after", c.ticks)):
            inputs[f"ticks_{name}"] = () if ticks is None else (FileInput(ticks),)
        return Task(
            SCORES,
            {
                **self._common(),
                "grid": c.slab.grid().as_dict(),
                "psi": c.evaluation.psi,
                "mesh_seeds": c.evaluation.mesh_seeds,
                "mesh_resolution": c.evaluation.mesh_resolution,
                "level": c.annotator.config.level,
                "fid_name": self.fid_name if c.fid else "",
                "seed": c.seed,
            },
            inputs,
            "scores",
        )
