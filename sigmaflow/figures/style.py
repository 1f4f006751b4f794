"""One look for all figures, and how they are saved.

Figures are made without pyplot and without a display, under a private copy of matplotlib's
settings: what the user's matplotlibrc says does not change them, and they change nothing of it.
"""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from sigmaflow.atomic import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

INK = "#22272E"
SOFT = "#6B7480"
GRID = "#E4E7EB"
# Paul Tol's high-contrast scheme: told apart with any colour vision and in grey.
BEFORE = "#004488"
AFTER = "#BB5566"
ACCENT = "#DDAA33"
CONTROL = "#7A8794"

DPI = 200
SETTINGS: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "figure.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.7,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    "axes.unicode_minus": True,
    "figure.dpi": 100.0,
    "backend": "agg",
}

_lock = threading.RLock()
F = TypeVar("F", bound=Callable[..., Any])


def styled(function: F) -> F:
    """Run ``function`` under the house style; matplotlib's own settings are restored after it."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        import matplotlib

        with _lock, matplotlib.rc_context():
            matplotlib.rcParams.update(
                {k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith("backend")}
            )
            own: Any = {k: v for k, v in SETTINGS.items() if k != "backend"}
            matplotlib.rcParams.update(own)
            return function(*args, **kwargs)

    return cast(F, run)


def new_figure(
    width: float, height: float, layout: Literal["constrained", "tight"] | None = "constrained"
) -> Figure:
    """An empty figure of this size in inches, drawn by Agg (no display)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    engine: Any = figure.get_layout_engine()
    if layout == "constrained":
        engine.set(w_pad=0.08, h_pad=0.08, wspace=0.04, hspace=0.04)
    return figure


def heat() -> Colormap:
    """Low to high for lines on white: viridis without its palest end."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    base = colormaps["viridis"]
    return LinearSegmentedColormap.from_list("sigmaflow", [base(0.9 * i / 255) for i in range(256)])


def signed(value: float, digits: int = 2) -> str:
    """``+1.23`` or, with a true minus sign, ``−1.23``."""
    return f"{value:+.{digits}f}".replace("-", "\u2212")


def plain(value: float, digits: int = 2) -> str:
    """``1.23`` or, with a true minus sign, ``−1.23``."""
    return f"{value:.{digits}f}".replace("-", "\u2212")


def note(axes: Axes, text: str, corner: str = "upper left", **kwargs: Any) -> None:
    """Small text in a corner of the axes, on a faint white ground."""
    up, side = corner.split()
    axes.text(
        0.03 if side == "left" else 0.97,
        0.97 if up == "upper" else 0.03,
        text,
        transform=axes.transAxes,
        ha=side,
        va="top" if up == "upper" else "bottom",
        fontsize=7.5,
        linespacing=1.5,
        zorder=6,
        bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2.5},
        **kwargs,
    )


@styled
def save(figure: Figure, path: str | Path) -> tuple[Path, Path]:
    """Write ``path`` as PNG (200 dpi) and as PDF, whatever its suffix; returns both paths.

    The same figure gives the same bytes with the same matplotlib: no date, no version is written.
    """
    path = Path(path)
    stem = path.with_suffix("") if path.suffix.lower() in (".png", ".pdf") else path
    png, pdf = (stem.with_name(stem.name + suffix) for suffix in (".png", ".pdf"))
    write_bytes(png, _bytes(figure, "png", {"Software": None}))
    write_bytes(
        pdf,
        _bytes(
            figure,
            "pdf",
            {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
        ),
    )
    return png, pdf


def _bytes(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=DPI, metadata=metadata)
    return stream.getvalue()
