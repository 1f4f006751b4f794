"""Figures of rewards: shift (Fig. 7), trajectories (Fig. 8), final against initial (Fig. 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sigmaflow.figures import style
from sigmaflow.statistics.shift import reward_shift
from sigmaflow.statistics.slope import final_on_initial

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

ROOM = 1.35  # height of a histogram's axes, over the highest bar: the text lies above the bars


def need_columns(frame: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """``ValueError`` naming the columns that ``frame`` lacks."""
    missing = [c for c in columns if c not in frame.columns]
    if missing or not len(frame):
        raise ValueError(
            f"{what} needs rows with {', '.join(columns)}; "
            + (f"missing: {', '.join(missing)}" if missing else "there are no rows")
        )


@style.styled
def reward_histograms(
    before: ArrayLike,
    after: ArrayLike,
    names: tuple[str, str] = ("before", "after"),
    label: str = "reward",
) -> Figure:
    """Paper Fig. 7: rewards of the same seeds before and after, and their differences.

    ``before`` and ``after``: one value a seed, paired by position; ``label``: name of the score.
    """
    shift = reward_shift(before, after)
    first, second = np.asarray(before, float), np.asarray(after, float)
    figure = style.new_figure(7.2, 2.9)
    left, right = figure.subplots(1, 2)
    edges = _edges(np.concatenate([first, second]), shift.n * 2)
    for values, name, colour in ((first, names[0], style.BEFORE), (second, names[1], style.AFTER)):
        left.hist(values, bins=edges, color=colour, alpha=0.28, linewidth=0)
        left.hist(
            values,
            bins=edges,
            color=colour,
            histtype="step",
            linewidth=1.2,
            label=f"{name}, mean {style.plain(values.mean())}",
        )
        left.axvline(values.mean(), 0, 1 / ROOM, color=colour, linestyle=(0, (4, 2)), linewidth=1.2)
    _headroom(left)
    left.legend(loc="upper left", ncols=2, handlelength=1.2, columnspacing=1.2, borderaxespad=0.2)
    left.set(title="Reward of each seed", xlabel=label, ylabel="seeds")
    delta = second - first
    right.hist(
        delta,
        bins=_edges(delta, shift.n),
        color=style.ACCENT,
        alpha=0.75,
        edgecolor="white",
        linewidth=0.6,
    )
    right.axvline(0, 0, 1 / ROOM, color=style.SOFT, linewidth=0.9)
    right.axvline(delta.mean(), 0, 1 / ROOM, color=style.INK, linestyle=(0, (4, 2)), linewidth=1.2)
    _headroom(right)
    low, high = style.signed(shift.delta_low), style.signed(shift.delta_high)
    style.note(
        right,
        f"{shift.positive} of {shift.n} seeds gain\n"
        f"mean {style.signed(shift.delta_mean)} [{low}, {high}]",
    )
    right.set(
        title=f"Change of each seed ({names[1]} − {names[0]})",
        xlabel=f"change of {label}",
        ylabel="seeds",
    )
    _whole_counts(left, right)
    return figure


def _edges(values: np.ndarray, n: int) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, int(np.clip(2 * n ** (1 / 2), 8, 36)) + 1)


def _headroom(axes) -> None:
    axes.set_ylim(0, axes.get_ylim()[1] * ROOM)


def _whole_counts(*many) -> None:
    from matplotlib.ticker import MaxNLocator

    for axes in many:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.grid(False, axis="x")


@style.styled
def trajectories(
    runs: Mapping[str, pd.DataFrame], x: str = "kimg", label: str = "reward"
) -> Figure:
    """Paper Fig. 8: one line a seed during fine-tuning, coloured by its initial reward.

    ``runs``: title -> frame with columns ``x``, ``seed`` and ``reward`` (one row a seed and tick);
    drawn side by side on shared axes, normally the tuned run and the lambda_r = 0 control. A
    seed's initial reward is that at its lowest ``x``. The mean over seeds is drawn in black.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    if not runs:
        raise ValueError("trajectories needs at least one run")
    tables = {}
    for title, frame in runs.items():
        need_columns(frame, (x, "seed", "reward"), f"run {title!r}")
        tables[title] = frame.pivot(index=x, columns="seed", values="reward").sort_index()
    starts = np.concatenate([t.iloc[0].to_numpy() for t in tables.values()])
    norm = Normalize(float(np.nanmin(starts)), float(np.nanmax(starts)) + 1e-9)
    cmap = style.heat()
    figure = style.new_figure(3.5 * len(tables) + 0.9, 3.0)
    row = figure.subplots(1, len(tables), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, table) in zip(row, tables.items()):
        ticks = table.index.to_numpy(float)
        first = table.iloc[0].to_numpy()
        order = np.argsort(first)
        lines = [np.column_stack([ticks, table.iloc[:, i].to_numpy()]) for i in order]
        alpha = float(np.clip(60 / len(lines), 0.4, 0.8))
        axes.add_collection(
            LineCollection(lines, colors=cmap(norm(first[order])), alpha=alpha, linewidths=0.7)
        )
        mean = table.mean(axis=1).to_numpy()
        axes.plot(ticks, mean, color="white", linewidth=3.6, zorder=4)
        axes.plot(ticks, mean, color=style.INK, linewidth=1.9, zorder=5)
        axes.autoscale_view()
        axes.margins(x=0.02)
        change = style.signed(mean[-1] - mean[0])
        axes.set(title=f"{title}: mean of {len(lines)} seeds {change}", xlabel=x)
    row[0].set_ylabel(label)
    bar = figure.colorbar(ScalarMappable(norm, cmap), ax=list(row), pad=0.015, aspect=28)
    bar.set_label(f"initial {label}")
    bar.outline.set_visible(False)
    return figure


@style.styled
def final_against_initial(runs: Mapping[str, pd.DataFrame], label: str = "reward") -> Figure:
    """Paper Fig. 9: final on initial reward, one point a seed, with the fitted slope b.

    ``runs``: title -> frame with columns ``initial`` and ``final``; side by side on shared axes.
    The first run is drawn in the colour of tuned shapes, the others in the control's. Dashed:
    y = x, no change; the band is the 95 % interval of the fitted line.
    """
    from scipy.stats import t

    if not runs:
        raise ValueError("final_against_initial needs at least one run")
    figure = style.new_figure(3.5 * len(runs) + 0.2, 3.5)
    row = figure.subplots(1, len(runs), sharex=True, sharey=True, squeeze=False)[0]
    for i, (axes, (title, frame)) in enumerate(zip(row, runs.items())):
        need_columns(frame, ("initial", "final"), f"run {title!r}")
        colour = style.AFTER if i == 0 else style.CONTROL
        a, b = (frame[k].to_numpy(float) for k in ("initial", "final"))
        s = final_on_initial(a, b)
        axes.scatter(a, b, s=13, color=colour, alpha=0.55, linewidths=0, zorder=3)
        span = np.linspace(a.min(), a.max(), 60)
        line = s.intercept + s.slope * span
        spread = ((span - a.mean()) ** 2) / ((a - a.mean()) ** 2).sum()
        half = t.ppf(0.975, s.n - 2) * s.residual_sd * np.sqrt(1 / s.n + spread)
        axes.fill_between(
            span, line - half, line + half, color=style.INK, alpha=0.13, linewidth=0, zorder=2
        )
        axes.plot(span, line, color=style.INK, linewidth=1.6, zorder=4)
        axes.set(title=title, xlabel=f"initial {label}")
        b_text, low, high = (style.plain(v) for v in (s.slope, s.slope_low, s.slope_high))
        style.note(
            axes,
            f"b = {b_text} [{low}, {high}], n = {s.n}\n"
            f"p = {_power(s.p)} against b = 1\n"
            f"mean gain {style.signed(s.mean_gain)}",
        )
    row[0].set_ylabel(f"final {label}")
    # Room above for the note, so that it never lies on points.
    low, high = row[0].get_ylim()
    row[0].set_ylim(low, high + 0.28 * (high - low))
    middle = (low + high) / 2  # a point of y = x among the data: the axes stretch to hold it
    for axes in row:
        axes.axline(
            (middle, middle),
            slope=1,
            color=style.SOFT,
            linestyle=(0, (4, 3)),
            linewidth=1.0,
            zorder=2,
            label="no change",
        )
    row[-1].legend(loc="lower right")
    return figure


def _power(p: float) -> str:
    if p == 0:
        return "0"
    if p >= 0.001:
        return f"{p:.3f}"
    exponent = int(np.floor(np.log10(p)))
    return rf"${p / 10.0**exponent:.0f}\times10^{{{exponent}}}$"
