"""Tasks of a sweep: which stages, from what, with which settings."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jobs.search.outcomes import REWARD as OF_REWARD
from jobs.search.outcomes import searches_reward, shown
from jobs.stages.evaluate import EVALUATE
from jobs.stages.finetune import FINETUNE
from jobs.stages.judge import JUDGE
from jobs.stages.rehearsal import REHEARSAL
from jobs.stages.tables import TABLES, TRIAL
from jobs.store.stage import FileInput, Input, Task
from jobs.sweep.analysis_graph import AnalysisGraph, Generator
from jobs.sweep.fid_graph import FidGraph
from jobs.sweep.judges import MEMBER, REGULAR, unique
from jobs.sweep.kinds import RehearsalConfig, SweepConfig
from jobs.sweep.outside import CHECKPOINT_FILES
from jobs.sweep.reward_graph import RewardGraph, calibration_of, dump
from jobs.sweep.sections import FinetuneSection, RewardSection
from jobs.sweep.settings import apply, tables_config
from sigmaflow.analysing import ROLES, Role, Subject

PACKAGE = Path(__file__).resolve().parents[2] / "sigmaflow"


def checkpoint_files(source: str) -> tuple[FileInput, ...]:
    """The files of a checkpoint folder, or of the one that ships; a scored one may lack G and D."""
    folder = PACKAGE / "generators" / "weights" / "mini" if source == "mini" else Path(source)
    there = (folder / name for name in CHECKPOINT_FILES)
    return tuple(FileInput(path) for path in there if path.is_file())


def image_file(source: str) -> FileInput:
    """An image zip, or the sample that ships."""
    return FileInput(PACKAGE / "datasets" / "faces64.zip" if source == "mini" else source)


@dataclass(frozen=True)
class Trial:
    """One setting of the searched parameters, and the tasks that measure it."""

    number: int
    params: Mapping[str, Any]
    reward: Task
    start: Task
    finetune: Task
    tuned: Task
    features: tuple[Task, ...]
    fid: Task
    summary: Task
    view_resolution: int  #: of the reward's depth maps or clouds, if it sees any
    rays: int | None  #: the same; None where it sees slabs

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All that is this trial's own."""
        return (self.finetune, self.tuned, *self.features, self.fid, self.summary)


class SweepGraph(RewardGraph, FidGraph, AnalysisGraph):
    """Tasks of `kind: sweep`. What trials share is made once, because equal tasks are one."""

    def __init__(self, config: SweepConfig):
        self.config = config
        self.generator: Input | tuple[Input, ...]
        self.images: Input
        self.generator, self.images = self._start()
        self.grid = config.slab.grid().as_dict()
        a = config.annotator.resolution
        self.view = {**self.grid, "resolution": a, "kind": "regular"}

    def _start(self) -> tuple[Input | tuple[Input, ...], Input]:
        """The generator to fine-tune and the real images."""
        return checkpoint_files(self.config.checkpoint), image_file(self.config.images)

    def _common(self) -> dict[str, Any]:
        return self.config.stage_base()

    @cached_property
    def reward(self) -> Task:
        """The reward that fine-tunes follow."""
        return self._followed(self.config.reward, "reward")

    @cached_property
    def heldout(self) -> Task:
        """The second reward, other seed and split, which no fine-tune sees."""
        section = self.config.reward
        return self._reward(section, section.heldout_seed, "held-out reward")

    @cached_property
    def members(self) -> tuple[Task, ...]:
        """The ensemble: rewards of other first weights and orders on the first one's split."""
        section = self.config.reward
        first = section.heldout_seed + 1
        return tuple(
            self._reward(section, seed, f"ensemble member {seed}", section.split_seed)
            for seed in range(first, first + section.ensemble)
        )

    def _trained(self, trials: Sequence[Trial]) -> list[tuple[str, Task, int]]:
        """Every reward of the sweep once, by name, with its view resolution."""
        rays = self.config.reward.view_resolution
        first = [("reward", self.reward, rays), ("heldout", self.heldout, rays)]
        own = [(f"trial {t.number}", t.reward, t.view_resolution) for t in trials
               if searches_reward(self.config.search.space)]  # fmt: skip
        members = [(f"{MEMBER}{i}", task, rays) for i, task in enumerate(self.members)]
        return unique([*first, *own, *members])

    def _judges(self, trials: Sequence[Trial]) -> list[tuple[str, Task, int]]:
        """Rewards that score every generator; none where there is only the file's pair."""
        if not searches_reward(self.config.search.space) and not self.members:
            return []
        return [(f"reward of {name}" if name.startswith("trial") else name, task, rays)
                for name, task, rays in self._trained(trials)]  # fmt: skip

    def _judge(
        self,
        generator: Input | tuple[Input, ...],
        judges: Sequence[tuple[str, Task, int]],
        label: str,
    ) -> Task:
        """The judges' scores of a generator on the seeds that it is evaluated with."""
        e, own = self.config.evaluation, self.config.reward
        said = [{"name": name, "grid": "", "resolution": rays} for name, _, rays in judges]
        rewards = [task for _, task, _ in judges]
        if self.config.slab.kind != "regular" and own.representation == "sigma":
            said.append({"name": REGULAR, "grid": "regular", "resolution": own.view_resolution})
            rewards.append(self.reward)
        return Task(
            JUDGE,
            {
                **self._common(),
                "seeds": e.seeds,
                "first_seed": e.first_seed,
                "psi": e.psi,
                "judges": said,
            },
            {"generator": generator, "rewards": tuple(rewards)},
            label,
        )

    def _evaluate(
        self,
        generator: Input | tuple[Input, ...],
        label: str,
        reward: Task | None = None,
        net: RewardSection | None = None,
    ) -> Task:
        """A generator measured by a reward, made as `net` says, and the held-out one."""
        e, a, own = self.config.evaluation, self.config.annotator, self.config.reward
        keep = (
            "seeds",
            "first_seed",
            "psi",
            "annotator_seeds",
            "consistency_resolution",
            "mesh_seeds",
            "mesh_resolution",
        )
        return Task(
            EVALUATE,
            {
                **self._common(),
                **{k: getattr(e, k) for k in keep},
                "annotator": dump(a.config),
                "view": self.view,
                **_rays(reward=net or own, heldout=own),
            },
            {
                "generator": generator,
                "reward": reward or self.reward,
                "heldout": self.heldout,
            },
            label,
        )

    @cached_property
    def start(self) -> Task:
        """The untuned generator, measured."""
        return self._evaluate(self.generator, "measure start")

    def shared(self) -> tuple[Task, ...]:
        """What can run before the first trial is asked."""
        real = (self.real,) if isinstance(self.real, Task) else ()
        return self.reward, self.heldout, *self.members, *real, self.start, self.fid_start

    def trial(self, number: int, params: Mapping[str, Any]) -> Trial:
        """Tasks of one setting. Where the reward is searched, trials of equal reward share it."""
        section, net = apply(params, self.config.finetune, self.config.reward)
        settings = section.settings(self.config.seed)
        own = {k: dump(section)[k] for k in ("clamp", "tick_seeds", "watch", "ensemble")}
        name, watched = _said(params), section.watch.heldout != "off"
        reward, start = self.reward, self.start
        varied = _said({k: v for k, v in params.items() if k.startswith(OF_REWARD)})
        own_reward = self._followed(net, f"reward {varied}") if varied else reward
        if own_reward != reward:
            reward = own_reward
            start = self._evaluate(self.generator, f"measure start {varied}", reward, net)
        finetune = Task(
            FINETUNE,
            {
                **self._common(),
                **own,
                "finetune": settings,
                "grid": self.grid,
                **_rays(reward=net, **({"heldout": self.config.reward} if watched else {})),
            },
            {
                "generator": self.generator,
                "reward": reward,
                "images": self.images,
                **self._beside(section, net),
            },
            f"fine-tune {name}",
        )
        tuned = self._evaluate(finetune, f"measure {name}", reward, net)
        *features, fid = self._fid(finetune, name)
        summary = Task(
            TRIAL,
            {**self._common(), "params": dict(params), "seed": self.config.seed},
            {
                "start": start, "tuned": tuned, "finetune": finetune, "fid_start": self.fid_start,
                "fid": fid,
            },
            f"compare {name}",
        )  # fmt: skip
        return Trial(
            number,
            dict(params),
            reward,
            start,
            finetune,
            tuned,
            tuple(features),
            fid,
            summary,
            net.view_resolution,
            net.rays,
        )

    def _beside(self, section: FinetuneSection, net: RewardSection) -> dict[str, Any]:
        """Rewards that a fine-tune needs beside its own: to watch it, or of its ensemble."""
        found: dict[str, Any]
        found = {} if section.watch.heldout == "off" else {"heldout": self.heldout}
        if (more := section.ensemble.size - 1) > 0:
            taken = {net.split_seed, net.heldout_seed}
            seeds = itertools.islice((s for s in itertools.count() if s not in taken), more)
            found["others"] = tuple(self._reward(net, s, f"reward of seed {s}") for s in seeds)
        return found

    def _subject(self, role: Role) -> Subject:
        return evaluated(self.config)[role]

    def generators(self, trials: Sequence[Trial]) -> list[Generator]:
        """The start under each reward that trials follow, and every trial under its own."""
        found = [self._looked_at("original", "original", self.generator, self.reward, None)]
        seen = {self.reward.key}
        for t in trials:
            if t.reward.key not in seen:
                seen.add(t.reward.key)
                name = f"original, reward of trial {t.number}"
                found.append(self._looked_at(name, "original", self.generator, t.reward, t))
            lambda_r = t.params.get("lambda_r", self.config.finetune.lambda_r)
            role: Role = "tuned" if lambda_r else "control"
            found.append(self._looked_at(f"trial {t.number}", role, t.finetune, t.reward, t))
        return found

    def _looked_at(
        self,
        name: str,
        role: Role,
        generator: Input | tuple[Input, ...],
        reward: Task,
        trial: Trial | None,
    ) -> Generator:
        """A generator under a reward and the held-out one, of a trial or of the sweep itself."""
        own = self.config.reward.rays
        return Generator(
            name,
            role,
            generator,
            {"reward": reward, "heldout": self.heldout},
            {"reward": {"rays": own if trial is None else trial.rays}, "heldout": {"rays": own}},
            {"grid": self.grid, "view": self.view, "annotator": dump(self.config.annotator.config)},
            None if role == "original" else self.generator,
        )

    def tables(self, trials: Sequence[Trial], pareto: Sequence[int]) -> Task:
        """Tables and figures of these trials."""
        search = self.config.search
        own: dict[str, tuple[Task, ...]] = {}
        if searches_reward(search.space):
            own = {
                "starts": tuple(t.start for t in trials),
                "rewards": tuple(t.reward for t in trials),
            }
        settings = {t.number: dict(t.params) for t in trials}
        if judges := self._judges(trials):
            own["judged_start"] = (self._judge(self.generator, judges, "judge start"),)
            own["judged"] = tuple(
                self._judge(t.finetune, judges, f"judge trial {t.number}") for t in trials
            )
        trained = self._trained(trials)
        return Task(
            TABLES,
            {
                **self._common(),
                **tables_config(search, settings, pareto, self.fid_name),
                "calibrated": [name for name, *_ in trained],
            },
            {
                "calibrations": tuple(calibration_of(task) for _, task, _ in trained),
                "start": self.start,
                "reward": self.reward,
                "heldout": self.heldout,
                "real": self.real,
                "rankings": self.rankings,
                "trials": tuple(t.summary for t in trials),
                "tuned": tuple(t.tuned for t in trials),
                "finetunes": tuple(t.finetune for t in trials),
                **own,
            },
            "tables and figures",
        )


def evaluated(config: SweepConfig) -> dict[Role, Subject]:
    """Generators of a sweep as analyses are asked of them."""
    e = config.evaluation
    seeds = range(e.first_seed, e.first_seed + e.seeds)
    return {role: Subject(role, seeds, e.psi, ("reward", "heldout")) for role in ROLES}


class RehearsalGraph(SweepGraph):
    """Tasks of `kind: rehearsal`: a sweep that starts from a pickle of random weights."""

    def _start(self) -> tuple[Task, Task]:
        c: RehearsalConfig = self.config
        made = Task(
            REHEARSAL,
            {**self._common(), "G": c.G, "D": c.D, "pictures": c.pictures, "seed": c.seed},
            {"images": image_file("mini")},
            "random pickle, read back",
        )
        return made, made


def _rays(**rewards: RewardSection) -> dict[str, Any]:
    """The setting `view_resolution` of a stage that shows a generator to these rewards.

    Slabs have a grid of their own, so that keys of stages that know them alone stay.
    """
    found = {name: net.view_resolution for name, net in rewards.items()
             if net.representation != "sigma"}  # fmt: skip
    return {"view_resolution": found} if found else {}


def _said(params: Mapping[str, Any]) -> str:
    return " ".join(f"{k}={shown(v)}".replace(" ", "") for k, v in params.items())
