"""Table 1: test accuracy of rewards by representation, ours beside the paper's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sigmaflow.statistics.intervals import wilson

Verdict = Literal["above chance", "at chance", "below chance", "unknown"]
QUESTIONS = 652
"""Of the paper's test split: as many regular pairs, and three times as many with the anchor's."""


@dataclass(frozen=True)
class Printed:
    """A row of the paper's Table 1 (section 4.1): shares of right test pairs, to two digits."""

    all: float
    regular: float

    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `regular`, which the paper does not give."""
        return wilson(round(self.regular * QUESTIONS), QUESTIONS)


PAPER: Mapping[tuple[str, str], Printed] = {
    ("unet3d", "volume"): Printed(0.97, 0.91),
    ("resnet50", "single"): Printed(0.83, 0.50),
    ("resnet50", "triple"): Printed(0.91, 0.74),
    ("pointnet", "cloud"): Printed(0.83, 0.50),
    ("pointnet2", "cloud"): Printed(0.50, 0.50),
    ("curvenet", "cloud"): Printed(0.51, 0.51),
}
"""Table 1 of arXiv 2606.27305 by backbone and view. Its depth maps and clouds were made by public
code that draws another latent for each view (`sigmaflow.rewards.semantics.seen_latents`)."""
STANDS_FOR = {"resnet18": "resnet50"}
"""Smaller networks of ours that are put beside a row of the paper's."""


def printed(backbone: str, view: str) -> Printed | None:
    """The paper's row of a backbone, or of what it stands for."""
    return PAPER.get((STANDS_FOR.get(backbone, backbone), view))


def view_name(network: Mapping[str, Any]) -> str:
    """ "volume", "single", "triple" or "cloud": what a recorded network looks at."""
    from sigmaflow.rewards.config import REPRESENTATIONS

    kind = REPRESENTATIONS[network.get("backbone", "unet3d")]
    if kind != "depth":
        return {"sigma": "volume", "points": "cloud"}[kind]
    return "single" if len(network.get("yaws", (0.0,))) == 1 else "triple"


def verdict(low: float, high: float) -> Verdict:
    """Where an interval of an accuracy lies against coin tosses."""
    if math.isnan(low) or math.isnan(high):
        return "unknown"
    if low > 0.5:
        return "above chance"
    return "below chance" if high < 0.5 else "at chance"


def statement(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """For each depth or point reward of Table 1: is it at chance, with which latents, by how much?

    Rows as in the table `table1`: representation, backbone, view, latents, regular, regular_low,
    regular_high, n_regular, paper_regular.
    """
    said = []
    for row in rows:
        if row["representation"] == "sigma":
            continue
        latents = "one latent" if row["latents"] == "one" else "a latent for each view"
        found = verdict(row["regular_low"], row["regular_high"])
        paper = row.get("paper_regular", math.nan)
        beside = "" if math.isnan(paper) else f"; the paper has {paper:.2f}"
        said.append(
            f"{row['backbone']} ({row['view']}), {latents}: {row['regular']:.2f}"
            f" [{row['regular_low']:.2f}, {row['regular_high']:.2f}] of {row['n_regular']} regular"
            f" pairs, {found}{beside}"
        )
    return said
