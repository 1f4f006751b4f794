"""Feature extractors for FID-like numbers, behind one small protocol.

``nvidia-inception`` gives numbers like the paper's (EG3D's ``fid50k_full``),
``clean-fid-inception`` those of clean-fid; ``stlpips-alex`` gives ``fid_mini``, which works offline
and is comparable only with itself. `sigmaflow.metrics.protocol` says all else that they depend on.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, runtime_checkable
from typing import Protocol as Interface

from sigmaflow.metrics.frechet import Moments
from sigmaflow.metrics.protocol import Protocol

if TYPE_CHECKING:
    import torch

EXTRACTORS = ("clean-fid-inception", "nvidia-inception", "stlpips-alex")


@runtime_checkable
class Extractor(Interface):
    """Images to feature vectors. ``key`` names features that may be compared."""

    name: str
    dim: int

    @property
    def key(self) -> str: ...

    def describe(self) -> dict[str, object]: ...

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 ``[B, 3, H, W]`` to float32 ``[B, dim]``."""
        ...


def extractor(
    name: str, weights: str | Path | None = None, sha256: str | None = None, device: str = "cpu"
) -> Extractor:
    """The extractor called ``name``, one of ``EXTRACTORS``.

    ``weights``: path of the weights (needed by both Inceptions; by default stlpips-alex finds its
    own). ``sha256``: the digest they must have. Raises ``ValueError`` for an unknown name or a
    wrong digest and ``FileNotFoundError`` for missing weights, each with the remedy.
    """
    if name in ("clean-fid-inception", "nvidia-inception"):
        from sigmaflow.metrics.inception import CleanFidInception, NvidiaInception

        kind = CleanFidInception if name == "clean-fid-inception" else NvidiaInception
        return kind(weights, sha256, device)
    if name == "stlpips-alex":
        from sigmaflow.metrics.alexnet import AlexNetFeatures

        return AlexNetFeatures(name, weights=weights, sha256=sha256, device=device)
    near = get_close_matches(name, EXTRACTORS, n=1, cutoff=0.3)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"unknown extractor {name!r}{hint} (known: {', '.join(EXTRACTORS)})")


def of_protocol(
    protocol: Protocol, weights: str | Path | None = None, device: str = "cpu"
) -> Extractor:
    """The extractor of an FID protocol, its weights checked against the protocol's digest."""
    return extractor(protocol.extractor, weights, protocol.weights or None, device)


def features_of(extract: Extractor, images: torch.Tensor, batch: int) -> torch.Tensor:
    """float32 ``[B, dim]`` of uint8 ``[B, 3, H, W]``, so many at once: rounding depends on it."""
    import torch

    return torch.cat([extract(part) for part in images.split(batch)])


def moments_of(extract: Extractor, batches: Iterable[torch.Tensor]) -> Moments:
    """Moments of the features of image batches, each uint8 ``[B, 3, H, W]``."""
    out = Moments(extract.dim, extract.key)
    for images in batches:
        out.add(extract(images))
    return out
