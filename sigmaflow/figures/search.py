"""What a search found out about its settings: importances, and objectives against settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sigmaflow.figures import style
from sigmaflow.figures.rewards import need_columns

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (style.BEFORE, style.AFTER, style.ACCENT)


@style.styled
def importances(table: pd.DataFrame) -> Figure:
    """Share of each objective's variance that each setting explains, as bars.

    ``table``: columns ``objective``, ``parameter``, ``importance`` (0 to 1; rows without a number
    are left out) and ``trials``. The setting that explains most over all objectives is on top.
    """
    need_columns(table, ("objective", "parameter", "importance", "trials"), "importances")
    known = table[table["importance"].notna()]
    if not len(known):
        raise ValueError("no importance has a number: too few trials, or objectives that are equal")
    objectives = list(dict.fromkeys(known["objective"]))
    total = known.groupby("parameter", sort=False)["importance"].sum()
    order = list(total.sort_values(kind="stable").index)
    figure = style.new_figure(6.4, 1.5 + 0.5 * len(order))
    axes = figure.subplots()
    height = 0.76 / len(objectives)
    for i, objective in enumerate(objectives):
        share = known[known["objective"] == objective].set_index("parameter")["importance"]
        places = np.arange(len(order)) + 0.38 - height * (i + 0.5)
        values = share.reindex(order).fillna(0.0).to_numpy(float)
        axes.barh(places, values, height * 0.92, color=COLOURS[i % 3], label=objective)
        for y, value in zip(places, values):
            axes.annotate(
                f"{100 * value:.0f} %",
                (value, y),
                (3, 0),
                va="center",
                fontsize=7,
                textcoords="offset points",
                color=style.SOFT,
            )
    axes.set_yticks(np.arange(len(order)), order)
    axes.grid(False, axis="y")
    axes.set(
        xlim=(0, 1.1),
        xlabel="share of the variance explained",
        title=f"Importance of each setting, {int(known['trials'].iloc[0])} trials",
    )
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.legend(
        loc="lower right", frameon=True, facecolor="white", edgecolor="none", framealpha=0.9
    )
    return figure


@style.styled
def slices(
    table: pd.DataFrame, directions: Mapping[str, str], logs: Collection[str] = ()
) -> Figure:
    """Each objective (rows) against each searched setting (columns), a point a trial.

    ``table``: columns ``parameter``, ``objective``, ``trial``, ``value`` (of a numeric setting),
    ``label`` (of any other), ``outcome``, ``feasible`` and ``pareto``. ``directions``: "minimize"
    or "maximize" by objective, in the order of the rows. ``logs``: parameters on a log axis. Later
    trials are darker, those on the front have a ring, those not feasible are hollow.
    """
    need_columns(
        table,
        ("parameter", "objective", "trial", "value", "label", "outcome", "feasible", "pareto"),
        "slices",
    )
    parameters = list(dict.fromkeys(table["parameter"]))
    figure = style.new_figure(max(4.2, 1.2 + 2.3 * len(parameters)), 0.6 + 2.1 * len(directions))
    grid = figure.subplots(
        len(directions), len(parameters), squeeze=False, sharey="row", sharex="col"
    )
    for row, (objective, way) in zip(grid, directions.items()):
        better = "higher" if way == "maximize" else "lower"
        row[0].set_ylabel(f"{objective}\n({better} is better)")
        for axes, parameter in zip(row, parameters):
            chosen = (table["objective"] == objective) & (table["parameter"] == parameter)
            _slice(axes, table[chosen], parameter in logs)
    for axes, parameter in zip(grid[-1], parameters):
        axes.set_xlabel(parameter)
    trials = table["trial"].nunique()
    figure.suptitle(
        f"Objectives against each setting, {trials} trials (later ones darker)",
        x=0.01,
        ha="left",
        fontsize=9.5,
    )
    marks: list[tuple[int, str, dict[str, Any]]] = (
        [(8, "on the front", {"markerfacecolor": "none", "markeredgecolor": style.INK})]
        if table["pareto"].any()
        else []
    )
    if not table["feasible"].all():
        marks.append(
            (6, "not feasible", {"markerfacecolor": "white", "markeredgecolor": style.CONTROL})
        )
    if marks:
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], linestyle="none", marker="o", markersize=size, label=name, **look)
            for size, name, look in marks
        ]
        figure.legend(handles=handles, loc="outside lower right", ncols=len(handles))
    return figure


def _slice(axes: Axes, table: pd.DataFrame, log: bool) -> None:
    outcome = table["outcome"].to_numpy(float)
    if table["label"].notna().any():
        names = sorted(table["label"].unique(), key=by_number)
        places = {name: i for i, name in enumerate(names)}
        x = table["label"].map(places).to_numpy(float)
        axes.set_xticks(
            range(len(names)),
            names,
            rotation=30 if _long(names) else 0,
            ha="right" if _long(names) else "center",
        )
        axes.set_xlim(-0.6, len(names) - 0.4)
    else:
        x = table["value"].to_numpy(float)
        if log:
            axes.set_xscale("log")
    feasible, pareto = table["feasible"].to_numpy(bool), table["pareto"].to_numpy(bool)
    order = table["trial"].rank(method="dense").to_numpy(float)
    shade = 0.15 + 0.85 * (order - 1) / max(1.0, order.max() - 1)
    axes.scatter(
        x[feasible],
        outcome[feasible],
        s=26,
        c=1 - shade[feasible],
        cmap=style.heat(),
        vmin=0,
        vmax=1,
        linewidth=0.4,
        edgecolor="white",
        zorder=3,
    )
    axes.scatter(
        x[~feasible],
        outcome[~feasible],
        s=24,
        color="white",
        edgecolor=style.CONTROL,
        linewidth=1.0,
        zorder=3,
    )
    axes.scatter(
        x[pareto],
        outcome[pareto],
        s=62,
        facecolor="none",
        edgecolor=style.INK,
        linewidth=0.9,
        zorder=4,
    )
    axes.margins(y=0.12)


def by_number(label: str) -> tuple[bool, float, str]:
    """Numbers by size, words by the alphabet."""
    try:
        return False, float(label), ""
    except ValueError:
        return True, 0.0, str(label)


def _long(names: list[str]) -> bool:
    return sum(map(len, names)) > 22
