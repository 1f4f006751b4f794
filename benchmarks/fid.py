"""How long the end of an FID takes, and how near it is to clean-fid's: python benchmarks/fid.py

Random features of Inception's width stand in for an image set's: merging the blocks of a shard, the
Frechet distance by symmetric eigendecomposition against clean-fid's matrix root (SciPy below 1.18),
influences for the interval, KID. Seconds are process CPU time, which counts every thread. The last
line is one JSON object; `frechet_speedup` is theirs over ours.

--quick takes 256 features.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cleanfid.fid import frechet_distance

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sigmaflow.metrics.blocks import BlockTree
from sigmaflow.metrics.frechet import frechet_of
from sigmaflow.metrics.influence import influences
from sigmaflow.metrics.kernel import kernel_distance
from sigmaflow.metrics.protocol import BLOCK


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives and its CPU seconds."""
    begun = time.process_time()
    return work(), time.process_time() - begun


def theirs(*moments: np.ndarray) -> float | None:
    """clean-fid's distance; None where SciPy has become too new for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return float(frechet_distance(*moments))
        except TypeError:
            return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="256 features, not 2048")
    dim = 256 if parser.parse_args().quick else 2048
    random = np.random.default_rng(0)
    count = 2 * dim + BLOCK - 2 * dim % BLOCK  # the fewest that allow an interval, whole blocks
    scale = np.exp(-np.arange(dim) / (dim / 6))  # spectra of features fall steeply
    turn = np.linalg.qr(random.standard_normal((dim, dim)))[0]
    real, fake = (
        ((random.standard_normal((count, dim)) * scale) @ turn + shift).astype(np.float32)
        for shift in (0.0, 0.02)
    )

    def tree(x: np.ndarray) -> BlockTree:
        out = BlockTree(dim, BLOCK)
        for i in range(0, count, BLOCK):
            out.add(x[i : i + BLOCK])
        return out

    (a, b), summing = timed(lambda: [tree(x).total() for x in (real, fake)])
    print(f"{count} images, {dim} features: moments by blocks of {BLOCK}, twice: {summing:.1f} s")
    moments = a.mean, a.covariance, b.mean, b.covariance
    ours, seconds = timed(lambda: frechet_of(*moments))
    print(f"Frechet distance by eigendecomposition: {ours:.6f} in {seconds:.1f} s")
    reference, slower = timed(lambda: theirs(*moments))
    if reference is None:
        print("clean-fid's does not run with this SciPy")
    else:
        print(f"clean-fid's by matrix root: {reference:.6f} in {slower:.1f} s")
    _, influence = timed(lambda: influences(fake, b.mean, b.covariance, a.mean, a.covariance))
    kid, kernel = timed(lambda: kernel_distance(real, fake, subsets=5))
    print(f"influences {influence:.1f} s; 5 of 100 subsets of KID {kernel:.1f} s ({kid.value:.2e})")
    print(json.dumps({
        "dim": dim, "images": count, "moments_seconds": round(summing, 2),
        "frechet_seconds": round(seconds, 2), "influence_seconds": round(influence, 2),
        "kid_subset_seconds": round(kernel / 5, 3),
        "cleanfid_seconds": None if reference is None else round(slower, 2),
        "frechet_speedup": None if reference is None else round(slower / seconds, 2),
        "relative_difference": None if reference is None else abs(ours - reference) / reference,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
