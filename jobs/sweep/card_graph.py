"""Tasks of `kind: card`: pictures, views, meshes and annotator of one generator, and its card."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from jobs.stages.card import CARD
from jobs.stages.card_pictures import CARD_REAL, CARD_SAMPLES, CARD_SHEETS, CARD_VIEWS
from jobs.stages.card_surfaces import CARD_MESHES, CARD_SHAPES, CARD_TRUTH
from jobs.stages.shapes import MEASURES
from jobs.store.stage import FileInput, Task
from jobs.sweep.graph import checkpoint_files, image_file
from jobs.sweep.kinds import CardConfig
from jobs.sweep.reward_graph import blocks, dump
from sigmaflow.card.providers import Found, find_embedder, find_heads, find_landmarks
from sigmaflow.datasets.headlatent import LATENT
from sigmaflow.metrics.alexnet import shipped_digest
from sigmaflow.metrics.protocol import named

UNTOUCHED = "real"
RUNGS = (UNTOUCHED, "blur1", "blur2", "half", "noise", "one")
PSI = 0.7  # of landmarks and meshes
PSIS = (1.0, PSI)  # of the views that are retrieved


class CardGraph:
    """Optional providers are looked for when a launch begins; what is missing is left out of the
    graph, with the reason among the card's settings."""

    def __init__(self, config: CardConfig):
        self.config, self.card = config, config.card
        self.generator = checkpoint_files(config.checkpoint)
        self.images = image_file(config.images)
        landmarks = find_landmarks(self.card.landmarks)
        embedder, heads = find_embedder(self.card.embedder), find_heads()
        if not heads.why and (why := self._other_latents()):
            heads = Found(None, why)
        found = {"landmarks": landmarks, "embedder": embedder, "truth": heads}
        self.skipped = {name: one.why for name, one in found.items() if one.why}
        self.landmarks, self.embedder = _input(landmarks), _input(embedder)

    def _other_latents(self) -> str:
        """Why this generator's latents are no heads, or nothing."""
        path = next(Path(f.path) for f in self.generator if Path(f.path).name == "config.json")
        z = json.loads(path.read_text(encoding="utf-8"))["G"]["z_dim"]
        return "" if z == LATENT else (f"true heads have latents of {LATENT} numbers, this "
                                       f"generator's have {z}")  # fmt: skip

    def _common(self) -> dict[str, Any]:
        return self.config.stage_base()

    def _seeds(self, count: int) -> list[int]:
        return list(range(self.card.first_seed, self.card.first_seed + count))

    @property
    def _features(self) -> dict[str, Any]:
        """Settings of stages that take features."""
        return {**self._common(), "weights": shipped_digest("stlpips-alex")}

    @property
    def _embedded(self) -> dict[str, Any]:
        return {"embedded": self.card.embedded} if self.embedder else {}

    def _real(self, rung: str) -> Task:
        kept = self.landmarks if rung == UNTOUCHED else ()
        return Task(
            CARD_REAL,
            {**self._features, **self._embedded, "rung": rung, "seed": self.config.seed},
            {"images": self.images, "embedder": self.embedder, "landmarks": kept},
            "real pictures" if rung == UNTOUCHED else f"real pictures, {rung}",
        )  # fmt: skip

    def _samples(self) -> tuple[Task, ...]:
        protocol = named(
            "mini", weights=shipped_digest("stlpips-alex"), real="",
            cameras=f"sha256:{self.images.digest}", images=self.card.samples,
            pose_seed=self.config.seed,
        )  # fmt: skip
        return tuple(
            Task(
                CARD_SAMPLES,
                {
                    **self._common(),
                    **self._embedded,
                    "protocol": protocol.model_dump(mode="json"),
                    "part": [i, j],
                },
                {"generator": self.generator, "images": self.images, "embedder": self.embedder},
                f"samples {i}-{j - 1}",
            )
            for i, j in protocol.shards(self.card.shard)
        )

    def _views(self) -> Task:
        c = self.card
        return Task(
            CARD_VIEWS,
            {
                **self._features, "seeds": self._seeds(c.identities), "yaw": c.yaw,
                "psis": list(PSIS), "landmark_seeds": self._seeds(c.landmark_seeds),
                "landmark_psi": PSI,
            },
            {"generator": self.generator, "embedder": self.embedder, "landmarks": self.landmarks},
            "views of identities",
        )  # fmt: skip

    @property
    def _level(self) -> float:
        return self.config.annotator.config.level

    def _meshes(self) -> tuple[Task, ...]:
        c = self.card
        lit = set(self._seeds(min(c.lit_seeds, c.mesh_seeds)))
        return tuple(
            Task(
                CARD_MESHES,
                {
                    **self._common(), "seeds": part, "psi": PSI, "resolution": c.mesh_resolution,
                    "level": self._level, "lit": [s for s in part if s in lit],
                },
                {"generator": self.generator},
                f"meshes {part[0]}-{part[-1]}",
            )
            for part in blocks(self._seeds(c.mesh_seeds), self.config.block)
        )  # fmt: skip

    def _truth(self) -> tuple[Task, ...]:
        if "truth" in self.skipped:
            return ()
        c = self.card
        first = c.training_first_seed
        return (Task(
            CARD_TRUTH,
            {
                **self._common(), "seeds": list(range(first, first + c.truth_seeds)),
                "resolution": c.mesh_resolution, "level": self._level,
            },
            {"generator": self.generator},
            "distance from true heads",
        ),)  # fmt: skip

    def _measures(self) -> tuple[Task, ...]:
        a = self.config.annotator
        view = {**self.config.slab.grid().as_dict(), "resolution": a.resolution, "kind": "regular"}
        return tuple(
            Task(
                MEASURES,
                {**self._common(), "seeds": part, "psi": 1.0, "view": view,
                 "annotator": dump(a.config)},
                {"generator": self.generator},
                f"annotator looks at {part[0]}-{part[-1]}",
            )
            for part in blocks(self._seeds(self.card.annotator_seeds), self.config.block)
        )  # fmt: skip

    @cached_property
    def last(self) -> Task:
        """The card: bars, tables, figures."""
        c, measures = self.card, self._measures()
        shapes = Task(
            CARD_SHAPES,
            {**self._common(), "resolution": c.mesh_resolution, "level": self._level},
            {"generator": self.generator, "measures": measures}, "worst and best shapes",
        )  # fmt: skip
        sheets = Task(
            CARD_SHEETS, {**self._common(), "seeds": self._seeds(8)},
            {"generator": self.generator}, "sheets of pictures",
        )  # fmt: skip
        return Task(
            CARD,
            {
                **self._common(), "seed": self.config.seed, "rungs": list(RUNGS),
                "skipped": self.skipped, "annotator": dump(self.config.annotator.config),
                "training": [c.training_first_seed, c.training_identities],
                "curves": list(c.curves), "hours": c.hours,
            },
            {
                "real": tuple(self._real(rung) for rung in RUNGS), "samples": self._samples(),
                "views": self._views(), "meshes": self._meshes(), "truth": self._truth(),
                "measures": measures, "shapes": shapes, "sheets": sheets, "images": self.images,
                "curves": tuple(FileInput(path) for path in c.curves.values()),
            },
            "card",
        )  # fmt: skip


def _input(found: Found) -> tuple[FileInput, ...]:
    return () if found.why or found.path is None else (FileInput(found.path),)
