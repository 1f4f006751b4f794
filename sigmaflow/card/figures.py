"""Figures of a card: sheets of pictures and meshes, the ladder, training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sigmaflow.card.ladder import GENERATED, HALVES, HARMS, Distance
from sigmaflow.figures import style
from sigmaflow.figures.sheets import mesh_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sigmaflow.fields.mesh import Mesh

LIT = (0.0, 45.0, 90.0)  #: yaws of the meshes: front, three-quarter, side
SHAPE_YAW = 30.0
PROVIDERS = {"stlpips-alex": "AlexNet (stlpips)", "dlib-resnet": "dlib's face embedding"}


def lit_meshes(meshes: Mapping[int, Mesh], columns: int = 3, resolution: int = 200) -> Figure:
    """Meshes by seed from the front, three-quarter and side, ``columns`` seeds a row.

    One light and one scale. Meshes that fill no whole row are left out, so give a multiple.
    """
    seeds = list(meshes)
    columns = min(columns, len(seeds))
    rows = [seeds[i : i + columns] for i in range(0, len(seeds) - columns + 1, columns)]
    return mesh_table([("\n".join(str(s) for s in row), [meshes[s] for s in row]) for row in rows],
                      [""] * columns, yaws=LIT, resolution=resolution)  # fmt: skip


def shape_rows(rows: Sequence[tuple[str, Sequence[Mesh]]], resolution: int = 200) -> Figure:
    """Rows of single views of equally many meshes, such as the worst and the best."""
    return mesh_table(rows, [""] * len(rows[0][1]), yaws=(SHAPE_YAW,), resolution=resolution)


@style.styled
def ladder_figure(ladders: Mapping[str, Mapping[str, Distance]], title: str = "") -> Figure:
    """Frechet distances of every rung, a panel a provider, on a log scale with their intervals."""
    names = list(next(iter(ladders.values())))
    figure = style.new_figure(3.4 * len(ladders) + 0.6, 0.3 * len(names) + 1.0)
    panels = figure.subplots(1, len(ladders), sharey=True, squeeze=False)[0]
    for axes, (provider, rungs) in zip(panels, ladders.items()):
        for y, name in enumerate(names):
            found = rungs[name].frechet
            colour = style.AFTER if name == GENERATED else style.BEFORE
            if found.low is not None and found.high is not None:
                axes.plot(
                    [max(found.low, 1e-9), max(found.high, 1e-9)],
                    [y, y],
                    color=colour,
                    lw=4,
                    alpha=0.3,
                    solid_capstyle="butt",
                )
            axes.plot(max(found.value, 1e-9), y, "o", color=colour, ms=5)
        axes.set_xscale("log")
        axes.set_xlabel("Frechet distance from the real pictures")
        axes.set_title(PROVIDERS.get(provider, provider))
    panels[0].set_yticks(range(len(names)), [_called(n) for n in names])
    if title:
        figure.suptitle(title)
    return figure


def _called(name: str) -> str:
    return HARMS.get(name, "generated, psi 1" if name == GENERATED else name.replace(
        HALVES, "two halves of them"))  # fmt: skip


@style.styled
def curves(stages: Mapping[str, Any], hours: Mapping[str, float] | None = None) -> Figure:
    """Held-out L1 and perceptual distance of trainings, by name, against kimg.

    ``stages``: frames with the columns ``kimg`` and, of each, ``heldout_l1`` and
    ``heldout_perceptual`` where they were measured. ``hours``: what a whole training took, by name;
    it becomes a second axis above. ``ValueError`` where no frame has either column.
    """
    panels = [(c, label) for c, label in (("heldout_l1", "held-out L1, [-1, 1]"),
                                          ("heldout_perceptual", "held-out perceptual distance"))
              if any(c in frame for frame in stages.values())]  # fmt: skip
    if not panels:
        raise ValueError("no training has a column heldout_l1 or heldout_perceptual")
    figure = style.new_figure(3.4 * len(panels), 2.7)
    colours = (style.BEFORE, style.AFTER, style.ACCENT, style.CONTROL)
    for axes, (column, label) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        for (name, frame), colour in zip(stages.items(), colours * len(stages)):
            if column not in frame:
                continue
            known = frame[["kimg", column]].dropna()
            took = (hours or {}).get(name)
            said = name if took is None else f"{name}, {took:.1f} h"
            axes.plot(known["kimg"], known[column], color=colour, label=said)
            if took is not None and len(stages) == 1:
                factor = took / float(frame["kimg"].max())
                above = axes.secondary_xaxis(
                    "top", functions=(lambda x, f=factor: x * f, lambda x, f=factor: x / f)
                )
                above.set_xlabel("hours")
        axes.set_xlabel("kimg")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.legend()
    return figure
