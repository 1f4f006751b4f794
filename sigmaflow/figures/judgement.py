"""Figures of how far a reward can be trusted: reliability, and accuracy by number of rankings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sigmaflow.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sigmaflow.rewards.calibration import Calibration
    from sigmaflow.rewards.learning import CurvePoint

ACROSS = 4
COLOURS = (style.BEFORE, style.AFTER, style.ACCENT, style.CONTROL)


@style.styled
def reliability(heads: Mapping[str, Calibration]) -> Figure:
    """Share of right pairs on confidence, a panel a head: name -> `Calibration`; at most
    `ACROSS` of them side by side.

    Dashed: as often right as said. Bars are 95 % Wilson intervals; below, how many pairs there are.
    """
    if not heads:
        raise ValueError("reliability needs the calibration of at least one head")
    across, down = min(len(heads), ACROSS), -(-len(heads) // ACROSS)
    figure = style.new_figure(2.9 * across + 0.4, 3.4 * down)
    grid = figure.subplots(
        2 * down,
        across,
        sharex=True,
        squeeze=False,
        sharey="row",
        gridspec_kw={"height_ratios": [4, 1] * down},
    )
    for empty in range(len(heads), across * down):
        for axes in grid[2 * (empty // across) :, empty % across]:
            axes.set_visible(False)
    for i, (name, found) in enumerate(heads.items()):
        top, bottom = grid[2 * (i // across) : 2 * (i // across) + 2, i % across]
        x = np.array([row.confidence for row in found.bins])
        y = np.array([row.share for row in found.bins])
        low, high = (
            np.array([getattr(row, end) for row in found.bins])
            for end in ("share_low", "share_high")
        )
        top.plot([0.5, 1], [0.5, 1], color=style.SOFT, linestyle=(0, (4, 3)), linewidth=1.0)
        top.errorbar(
            x,
            y,
            np.clip([y - low, high - y], 0, None),
            color=style.BEFORE,
            marker="o",
            markersize=4,
            linewidth=1.2,
            elinewidth=0.9,
            capsize=2,
        )
        top.set(title=name, xlim=(0.48, 1.02), ylim=(-0.02, 1.02))
        style.note(
            top,
            f"ECE {style.plain(found.ece, 3)}\nBrier {style.plain(found.brier, 3)}\n"
            f"{found.n} pairs",
            "lower right",
        )
        for row in found.bins:
            bottom.bar(
                (row.low + row.high) / 2,
                row.n,
                0.92 * (row.high - row.low),
                color=style.BEFORE,
                alpha=0.35,
                linewidth=0,
            )
        bottom.set(xlabel="confidence")
        bottom.grid(False, axis="x")
    for top, bottom in zip(grid[::2, 0], grid[1::2, 0]):
        top.set_ylabel("share that is right")
        bottom.set_ylabel("pairs")
    return figure


@style.styled
def learning_curves(
    runs: Mapping[str, Sequence[CurvePoint]],
    ceiling: float | None = None,
    baseline: float | None = None,
) -> Figure:
    """Test accuracy on the number of training questions, a line a run: name -> points.

    Points of several seeds are drawn faintly, their mean as the line; bars are the mean of their
    95 % Wilson intervals. ``ceiling``: what label noise allows; ``baseline``: of the best trivial
    scorer.
    """
    if not runs or any(not points for points in runs.values()):
        raise ValueError("learning_curves needs runs with at least one point each")
    figure = style.new_figure(4.6, 3.2)
    axes = figure.subplots()
    for (name, points), colour in zip(runs.items(), COLOURS * len(runs)):
        sizes = np.array(sorted({p.questions for p in points}))
        mean, low, high = (
            np.array(
                [np.mean([getattr(p, k) for p in points if p.questions == size]) for size in sizes]
            )
            for k in ("share", "low", "high")
        )
        axes.errorbar(
            sizes,
            mean,
            [mean - low, high - mean],
            color=colour,
            marker="o",
            markersize=4,
            elinewidth=0.9,
            capsize=2,
            label=name,
            zorder=3,
        )
        if len({p.seed for p in points}) > 1:
            axes.scatter(
                [p.questions for p in points],
                [p.share for p in points],
                s=9,
                color=colour,
                alpha=0.35,
                linewidths=0,
                zorder=2,
            )
    lines = ((ceiling, "label noise"), (baseline, "best trivial scorer"), (0.5, "chance"))
    for (value, text), dash in zip(lines, ((6, 1.5, 1, 1.5), (1, 1.5), (4, 3))):
        if value is not None:
            axes.axhline(value, color=style.SOFT, linestyle=(0, dash), linewidth=1.0, label=text)
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log", base=2)
    ticks = sorted({p.questions for points in runs.values() for p in points})
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(
        title="How many rankings are enough?",
        xlabel="training questions",
        ylabel="accuracy, regular test pairs",
    )
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i] not in runs)  # runs before lines
    axes.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )
    return figure
