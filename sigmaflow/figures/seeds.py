"""The same settings under several seeds: means with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sigmaflow.figures import style
from sigmaflow.figures.rewards import need_columns
from sigmaflow.figures.search import by_number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

COLOURS = (style.BEFORE, style.AFTER, style.ACCENT, style.CONTROL)


@style.styled
def repeats(table: pd.DataFrame, measures: Sequence[str]) -> Figure:
    """A panel a measure: mean and interval against the setting of most values, a colour for each of
    the others' values together.

    ``table``: columns ``measure``, ``mean``, ``low``, ``high`` (null: no interval), ``n``, ``sd``
    and before them the settings. ``measures``: which, in the order of the panels.
    """
    need_columns(table, ("measure", "n", "mean", "sd", "low", "high"), "repeats")
    settings = list(table.columns[: list(table.columns).index("measure")])
    first = max(settings, key=lambda name: table[name].nunique())
    others = [name for name in settings if name != first]
    values = list(dict.fromkeys(table[first]))  # words stay in their order
    numbers = not any(isinstance(v, str) for v in values)
    places = {v: i for i, v in enumerate(sorted(values, key=_order) if numbers else values)}
    labels = [f"{v:g}" if isinstance(v, float) else str(v) for v in places]
    aside = {"rotation": 35, "ha": "right"} if max(map(len, labels)) > 8 else {}
    figure = style.new_figure(2.9 * len(measures), 4.2 if aside else 3.2)
    grid = figure.subplots(1, len(measures), squeeze=False)[0]
    rows = table.assign(
        series=[
            " ".join(_words(o, v) for o, v in zip(others, values))
            for values in table[others].itertuples(index=False)
        ]
    )
    names = list(dict.fromkeys(rows["series"]))
    for axes, measure in zip(grid, measures):
        shown = rows[rows["measure"] == measure]
        for i, name in enumerate(names):
            one = shown[shown["series"] == name]
            x = one[first].map(places).to_numpy(float) + 0.16 * (i - (len(names) - 1) / 2)
            mean = one["mean"].to_numpy(float)
            reach = np.nan_to_num(np.abs(one[["low", "high"]].to_numpy(float).T - mean))
            axes.errorbar(
                x,
                mean,
                reach,
                fmt="o",
                markersize=4.5,
                linewidth=1.2,
                capsize=0,
                color=COLOURS[i % len(COLOURS)],
                label=name or None,
            )
        axes.set_xticks(range(len(places)), labels, **aside)
        axes.set(xlabel=first, title=measure, xlim=(-0.6, len(places) - 0.4))
        axes.margins(y=0.12)
    if names != [""]:
        figure.legend(
            *grid[0].get_legend_handles_labels(), loc="outside lower right", ncols=len(names)
        )
    return figure


def _order(value: object) -> tuple[bool, float, str]:
    return by_number(str(value))


def _words(name: str, value: object) -> str:
    return value if isinstance(value, str) else f"{name} {value:g}"
