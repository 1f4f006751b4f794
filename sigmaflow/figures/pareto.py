"""What a sweep bought: mean reward gain against FID."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigmaflow.figures import style
from sigmaflow.figures.rewards import need_columns

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


ROOMY = 12  # trials that all have room for their settings; of more, the front has


def front_of(gain: np.ndarray, fid: np.ndarray, feasible: np.ndarray | None = None) -> np.ndarray:
    """Whether each trial is on the front (bool ``[n]``): no other gains more at a lower FID.

    A trial with a value that is not finite, or that is not ``feasible``, is never on it and keeps
    no other from it.
    """
    gain, fid = np.asarray(gain, float), np.asarray(fid, float)
    fine = np.isfinite(gain) & np.isfinite(fid)
    if feasible is not None:
        fine &= np.asarray(feasible, bool)
    better = (
        (gain[:, None] <= gain)
        & (fid[:, None] >= fid)
        & ((gain[:, None] < gain) | (fid[:, None] > fid))
    )
    return fine & ~(better & fine[None, :]).any(1)


@style.styled
def pareto_front(
    trials: pd.DataFrame,
    start_fid: float | None = None,
    fid_label: str = "FID",
    reward_label: str = "reward",
) -> Figure:
    """Trials by FID (left is better) and mean reward gain (up is better).

    ``trials``: columns ``trial``, ``gain``, ``fid``; optional ``lambda_r`` and ``lambda_c`` (colour
    and labels), ``role`` (``"control"``, ``"paper"`` or empty), ``feasible`` (drawn hollow where it
    is not) and ``gain_low``, ``gain_high`` (error bars). ``start_fid``: FID before tuning, drawn as
    a line. ``reward_label``: whose gain it is. Trials without finite numbers are left out and
    counted in the figure.
    """
    need_columns(trials, ("trial", "gain", "fid"), "pareto_front")
    fine = np.isfinite(trials["gain"]) & np.isfinite(trials["fid"])
    t = trials[fine].reset_index(drop=True)
    if not len(t):
        raise ValueError("no trial has both a finite gain and a finite FID")
    gain, fid = t["gain"].to_numpy(float), t["fid"].to_numpy(float)
    role = t["role"].fillna("").astype(str) if "role" in t else t["trial"].map(lambda _: "")
    feasible = t["feasible"].to_numpy(bool) if "feasible" in t else np.ones(len(t), bool)
    front = front_of(gain, fid, feasible)
    left_out = "" if fine.all() else f" ({int((~fine).sum())} without numbers left out)"
    figure = style.new_figure(6.4, 4.2)
    axes = figure.subplots()
    if start_fid is not None:
        axes.axvline(start_fid, color=style.SOFT, linestyle=(0, (4, 3)), linewidth=1.0)
    axes.axhline(0, color=style.SOFT, linewidth=0.8)
    order = np.lexsort((gain, fid))
    steps = [i for i in order if front[i]]
    if len(steps) > 1:
        axes.step(
            fid[steps],
            gain[steps],
            where="post",
            color=style.AFTER,
            linewidth=1.3,
            alpha=0.7,
            zorder=2,
            label="Pareto front",
        )
    if {"gain_low", "gain_high"} <= set(t.columns):
        bars = np.abs(t[["gain_low", "gain_high"]].to_numpy(float).T - gain)
        axes.errorbar(fid, gain, bars, fmt="none", ecolor=style.CONTROL, elinewidth=0.9, zorder=2)
    kinds = (
        ("control", "D", style.BEFORE, r"control ($\lambda_r$ = 0)", 48),
        ("paper", "*", style.ACCENT, "paper's setting", 150),
        ("", "o", style.AFTER, "trial", 38),
    )
    for kind, marker, colour, name, size in kinds:
        chosen = role.to_numpy() == kind if kind else ~role.isin(["control", "paper"]).to_numpy()
        chosen &= feasible
        if chosen.any():
            axes.scatter(
                fid[chosen],
                gain[chosen],
                s=size,
                marker=marker,
                color=colour,
                edgecolor=style.INK if kind == "paper" else "white",
                linewidth=0.7,
                zorder=4,
                label=name,
            )
    if not feasible.all():
        axes.scatter(
            fid[~feasible],
            gain[~feasible],
            s=38,
            marker="o",
            color="white",
            edgecolor=style.CONTROL,
            linewidth=1.1,
            zorder=4,
            label="not feasible",
        )
    axes.margins(x=0.2, y=0.16)
    if start_fid is not None:
        axes.annotate(
            f"start {start_fid:.4g}",
            (start_fid, 1),
            (4, -3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            color=style.SOFT,
            fontsize=7.5,
            va="top",
        )
    axes.set(
        xlabel=f"{fid_label} (lower is better)",
        ylabel=f"mean {reward_label} gain (higher is better)",
        title=f"Reward gained against image quality, {len(t)} trials{left_out}",
    )
    legend = axes.legend(
        loc="lower right", frameon=True, facecolor="white", edgecolor="none", framealpha=0.9
    )
    legend.set_zorder(6)
    corners = np.repeat(np.column_stack([fid[steps], gain[steps]]), 2, axis=0)
    path = np.column_stack([corners[1:, 0], corners[:-1, 1]])
    whole = front | role.isin(["control", "paper"]).to_numpy() | (len(t) <= ROOMY)
    texts = [_text(r) if said else f"{r['trial']}" for said, (_, r) in zip(whole, t.iterrows())]
    _labels(figure, axes, texts, fid, gain, path)
    return figure


def _text(row: pd.Series) -> str:
    head = f"{row['trial']}"
    if "lambda_r" in row and "lambda_c" in row:
        head += rf": $\lambda_r$ {row['lambda_r']:.3g}, $\lambda_c$ {row['lambda_c']:.3g}"
    return head


def _labels(figure, axes, texts: list[str], x: np.ndarray, y: np.ndarray, path: np.ndarray) -> None:
    """Put each label at the free place around its point that overlaps least what is there."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    points = axes.transData.transform(np.column_stack([x, y]))
    taken: list[tuple[float, ...]]
    taken = [(px - 6, py - 6, px + 6, py + 6) for px, py in points]
    bends = axes.transData.transform(path)
    for (ax, ay), (bx, by) in zip(bends[:-1], bends[1:]):
        taken.append((min(ax, bx) - 1, min(ay, by) - 1, max(ax, bx) + 1, max(ay, by) + 1))
    zero = axes.transData.transform((0, 0))[1]
    taken.append((0, zero - 1, 1e6, zero + 1))
    legend = axes.get_legend()
    fixed = ([legend] if legend else []) + list(axes.texts)
    taken += [tuple(a.get_window_extent(renderer).extents) for a in fixed]
    frame = axes.get_window_extent(renderer).extents
    for i in np.lexsort((y, x)):
        best = None
        for dx, dy, ha, va in _PLACES:
            line = (
                {
                    "arrowstyle": "-",
                    "color": style.CONTROL,
                    "linewidth": 0.6,
                    "shrinkB": 4,
                    "shrinkA": 0,
                }
                if abs(dy) > 9
                else None
            )
            label = axes.annotate(
                texts[i],
                (x[i], y[i]),
                (dx, dy),
                textcoords="offset points",
                fontsize=6.8,
                ha=ha,
                va=va,
                color=style.INK,
                zorder=5,
                arrowprops=line,
            )
            box = _text_box(label, renderer)
            cost = sum(_overlap(box, other) for other in taken)
            cost += 3 * _outside(box, frame)
            if best is None or cost < best[0] - 1e-6:
                if best is not None:
                    best[1].remove()
                best = (cost, label, box)
            else:
                label.remove()
            if best[0] == 0:
                break
        if best is not None:
            taken.append(best[2])


_PLACES = [
    (9, 0, "left", "center"),
    (-9, 0, "right", "center"),
    (0, 8, "center", "bottom"),
    (0, -8, "center", "top"),
    (6, 7, "left", "bottom"),
    (6, -7, "left", "top"),
    (-6, 7, "right", "bottom"),
    (-6, -7, "right", "top"),
    (10, 16, "left", "bottom"),
    (10, -16, "left", "top"),
    (-10, 16, "right", "bottom"),
    (-10, -16, "right", "top"),
]


def _text_box(label, renderer) -> tuple[float, ...]:
    """Extent of the words alone, without the line to the point."""
    from matplotlib.text import Text

    label.update_positions(renderer)
    return tuple(Text.get_window_extent(label, renderer).extents)


def _overlap(a, b) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


def _outside(box, frame) -> float:
    area = (box[2] - box[0]) * (box[3] - box[1])
    return area - _overlap(box, frame)
