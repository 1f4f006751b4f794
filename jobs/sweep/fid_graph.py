"""The part of a sweep's graph that ends in FIDs: real statistics, shards of features, distances."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from jobs.stages.fid import FEATURES, FID, REAL
from jobs.store.stage import FileInput, Input, Task
from sigmaflow.metrics.alexnet import shipped_digest
from sigmaflow.metrics.protocol import OF_EXTRACTOR, Protocol, named
from sigmaflow.metrics.reference import features_beside, source_of


class FidGraph:
    """For a graph with `config`, `generator`, `images` and `_common`."""

    config: Any
    generator: Input | tuple[Input, ...]
    images: Input
    _common: Callable[[], dict[str, Any]]

    @cached_property
    def _weights(self) -> tuple[FileInput, ...]:
        """The feature network's file, where it is not the one that ships."""
        path = self.config.evaluation.extractor_weights
        return () if path is None else (FileInput(path),)

    @cached_property
    def protocol(self) -> Protocol:
        """How every FID of this sweep is taken."""
        e, images = self.config.evaluation, _source(self.images)
        return named(
            OF_EXTRACTOR[e.extractor],
            weights=self._weights[0].digest if self._weights else shipped_digest(e.extractor),
            real=images if e.fid_reference is None else source_of(e.fid_reference),
            mirror=e.fid_mirror,
            cameras=images,
            images=e.fid_images,
            pose_seed=self.config.seed,
            psi=e.fid_psi,
        )

    @property
    def fid_name(self) -> str:
        """What the Frechet number may be called: see `Protocol.column`."""
        return self.protocol.column

    @cached_property
    def real(self) -> Input:
        """Statistics of the real images: measured, or a file of them."""
        if (file := self.config.evaluation.fid_reference) is not None:
            return FileInput(file)
        # Nothing of the generated images, or the real ones would be measured again for each.
        plain = named(self.protocol.name, **self.protocol.of_reals(), cameras="", images=2)
        return Task(
            REAL,
            {**self._common(), "protocol": plain.model_dump(mode="json")},
            {"images": self.images, "weights": self._weights},
            "real images",
        )

    @cached_property
    def fid_start(self) -> Task:
        """FID and KID of the untuned generator."""
        return self._fid(self.generator, "start")[-1]

    def _fid(self, generator: Input | tuple[Input, ...], name: str) -> tuple[Task, ...]:
        """Features of generated images, shard by shard, and last the distances."""
        protocol = self.protocol
        # Images do not depend on what they are compared with.
        drawn = protocol.model_copy(update={"real": "", "mirror": False}).model_dump(mode="json")
        inputs = {"generator": generator, "images": self.images, "weights": self._weights}
        shards = tuple(
            Task(
                FEATURES,
                {**self._common(), "protocol": drawn, "part": [i, j]},
                inputs,
                f"images {i}-{j - 1} of {name}",
            )
            for i, j in protocol.shards(self.config.evaluation.fid_shard)
        )
        kept: tuple[Input, ...] = ()
        if isinstance(self.real, FileInput) and features_beside(self.real.path).is_file():
            kept = (FileInput(features_beside(self.real.path)),)
        fid = Task(
            FID,
            {
                **self._common(),
                "protocol": protocol.model_dump(mode="json"),
                "seed": self.config.seed,
            },
            {"real": self.real, "real_features": kept, "shards": shards},
            f"FID of {name}",
        )
        return (*shards, fid)


def _source(images: Input) -> str:
    """What a protocol remembers of an image set."""
    return f"task:{images.key}" if isinstance(images, Task) else f"sha256:{images.digest}"
