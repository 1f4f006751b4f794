"""Tasks of a sweep: which stages, from what, with which settings."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jobs.fid_graph import FidGraph
from jobs.outcomes import REWARD as OF_REWARD
from jobs.outcomes import searches_reward, shown
from jobs.sections import CHECKPOINT_FILES, FinetuneSection, RewardSection
from jobs.space import apply, tables_config
from jobs.stage import FileInput, Input, Task
from jobs.stages.evaluate import EVALUATE
from jobs.stages.faces import FACES, RENDER
from jobs.stages.finetune import FINETUNE
from jobs.stages.pretrain import ADVERSARIAL, WARMSTART
from jobs.stages.rankings import RANKINGS
from jobs.stages.rehearsal import REHEARSAL
from jobs.stages.reward import REWARD
from jobs.stages.shapes import MEASURES, SLABS
from jobs.stages.tables import TABLES, TRIAL
from jobs.sweep import PretrainConfig, RehearsalConfig, SweepConfig

PACKAGE = Path(__file__).resolve().parent.parent / "sigmaflow"


def checkpoint_files(source: str) -> tuple[FileInput, ...]:
    """The files of a checkpoint folder, or of the one that ships; a scored one may lack G and D."""
    folder = PACKAGE / "generators" / "weights" / "mini" if source == "mini" else Path(source)
    there = (folder / name for name in CHECKPOINT_FILES)
    return tuple(FileInput(path) for path in there if path.is_file())


def image_file(source: str) -> FileInput:
    """An image zip, or the sample that ships."""
    return FileInput(PACKAGE / "datasets" / "faces64.zip" if source == "mini" else source)


def blocks(seeds: Sequence[int], size: int) -> Iterator[list[int]]:
    """Consecutive stretches of at most `size` seeds."""
    it = iter(seeds)
    while part := list(itertools.islice(it, size)):
        yield part


def _dump(model) -> dict[str, Any]:
    return model.model_dump(mode="json")


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

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All that is this trial's own."""
        return (self.finetune, self.tuned, *self.features, self.fid, self.summary)


class SweepGraph(FidGraph):
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
                    "annotator": _dump(a.config),
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
                **{k: _dump(r)[k] for k in ("questions", "sizes", "flip", "seed", "anchors")},
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
        from sigmaflow.preferences.rankings import read_rankings

        return len(read_rankings(r.file).seeds)

    @cached_property
    def slabs(self) -> tuple[Task, ...]:
        """Slabs of all ranked shapes and of the anchors."""
        r, size, n = self.config.rankings, self.config.block, self._ranked()
        base = {**self._common(), "grid": self.grid}
        ranked = [
            Task(
                SLABS,
                {**base, "psi": r.psi, "part": [i, min(i + size, n)]},
                {"generator": self.generator, "rankings": self.rankings},
                f"slabs {i}-{min(i + size, n) - 1}",
            )
            for i in range(0, n, size)
        ]
        if r.anchors.use == "never":
            return tuple(ranked)
        from sigmaflow.preferences.questions import anchors

        high = [
            Task(
                SLABS,
                {**base, "psi": r.anchors.psi, "seeds": part},
                {"generator": self.generator},
                f"slabs of anchors {part[0]}-{part[-1]}",
            )
            for part in blocks(anchors(r.anchors.count).tolist(), size)
        ]
        return (*ranked, *high)

    def _reward(self, section: RewardSection, seed: int, label: str) -> Task:
        r = self.config.rankings
        digest = _digest(self.generator)
        network = section.network(self.config.slab.grid(), digest, r.psi)
        return Task(
            REWARD,
            {
                **self._common(),
                "network": _dump(network),
                "train": {**_dump(section.train), "seed": seed},
                "split_seed": seed,
                "anchors": r.anchors.use,
                "anchor_count": r.anchors.count,
            },
            {"rankings": self.rankings, "slabs": self.slabs},
            label,
        )

    @cached_property
    def reward(self) -> Task:
        """The reward that fine-tunes follow."""
        section = self.config.reward
        return self._reward(section, section.split_seed, "reward")

    @cached_property
    def heldout(self) -> Task:
        """The second reward, other seed and split, which no fine-tune sees."""
        section = self.config.reward
        return self._reward(section, section.heldout_seed, "held-out reward")

    def _evaluate(
        self, generator: Input | tuple[Input, ...], label: str, reward: Task | None = None
    ) -> Task:
        e, a = self.config.evaluation, self.config.annotator
        keep = (
            "seeds", "first_seed", "psi", "annotator_seeds", "consistency_resolution",
            "mesh_seeds", "mesh_resolution",
        )
        return Task(
            EVALUATE,
            {
                **self._common(),
                **{k: getattr(e, k) for k in keep},
                "annotator": _dump(a.config),
                "view": self.view,
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
        return self.reward, self.heldout, *real, self.start, self.fid_start

    def trial(self, number: int, params: Mapping[str, Any]) -> Trial:
        """Tasks of one setting. Where the reward is searched, trials of equal reward share it."""
        section, net = apply(params, self.config.finetune, self.config.reward)
        settings = section.settings(self.config.seed)
        own = {k: _dump(section)[k] for k in ("clamp", "tick_seeds", "watch", "ensemble")}
        name = _said(params)
        reward, start = self.reward, self.start
        if net != self.config.reward:
            varied = _said({k: v for k, v in params.items() if k.startswith(OF_REWARD)})
            reward = self._reward(net, net.split_seed, f"reward {varied}")
            start = self._evaluate(self.generator, f"measure start {varied}", reward)
        finetune = Task(
            FINETUNE,
            {**self._common(), **own, "finetune": settings, "grid": self.grid},
            {"generator": self.generator, "reward": reward, "images": self.images,
             **self._beside(section, net)},
            f"fine-tune {name}",
        )
        tuned = self._evaluate(finetune, f"measure {name}", reward)
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
            number, dict(params), reward, start, finetune, tuned, tuple(features), fid, summary
        )

    def _beside(self, section: FinetuneSection, net: RewardSection) -> dict[str, Any]:
        """Rewards that a fine-tune needs beside its own: to watch it, or of its ensemble."""
        found = {} if section.watch.heldout == "off" else {"heldout": self.heldout}
        if (more := section.ensemble.size - 1) > 0:
            taken = {net.split_seed, net.heldout_seed}
            seeds = itertools.islice((s for s in itertools.count() if s not in taken), more)
            found["others"] = tuple(self._reward(net, s, f"reward of seed {s}") for s in seeds)
        return found

    def tables(self, trials: Sequence[Trial], pareto: Sequence[int]) -> Task:
        """Tables and figures of these trials."""
        search = self.config.search
        own: dict[str, tuple[Task, ...]] = {}
        if searches_reward(search.space):
            own = {"starts": tuple(t.start for t in trials),
                   "rewards": tuple(t.reward for t in trials)}
        settings = {t.number: t.params for t in trials}
        return Task(
            TABLES,
            {**self._common(), **tables_config(search, settings, pareto, self.fid_name)},
            {
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


def _digest(generator: Input | tuple[Input, ...]) -> str:
    """What a reward remembers of the generator whose slabs it saw."""
    if isinstance(generator, Task):
        return generator.key
    return hashlib.sha256("".join(f.digest for f in generator).encode()).hexdigest()


def _said(params: Mapping[str, Any]) -> str:
    return " ".join(f"{k}={shown(v)}".replace(" ", "") for k, v in params.items())


def pretrain_graph(config: PretrainConfig) -> Task:
    """Task of `kind: pretrain`: render faces, fit them, train against the adversary."""
    base = config.stage_base()
    if config.images == "mini":
        parts = tuple(
            Task(
                RENDER,
                {
                    **base,
                    "seeds": [i, min(i + config.block, config.identities)],
                    "views": config.views,
                    "resolution": config.G["img_resolution"],
                },
                label=f"render identities {i}-{min(i + config.block, config.identities) - 1}",
            )
            for i in range(0, config.identities, config.block)
        )
        images: Input = Task(FACES, base, {"parts": parts}, "join the rendered set")
    else:
        images = FileInput(config.images)
    warm = Task(
        WARMSTART,
        {**base, "G": config.G, "D": config.D, "warmstart": _dump(config.warmstart)},
        {"images": images},
        "warm start",
    )
    return Task(
        ADVERSARIAL,
        {**base, "adversarial": _dump(config.adversarial)},
        {"images": images, "start": warm},
        "adversarial training",
    )
