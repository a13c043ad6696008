"""How figures look: sizes, colours that the colour-blind can tell apart, units, and SVG out."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "COMPONENTS",
    "EXAMPLES",
    "INK",
    "LINES",
    "MARKERS",
    "MUTED",
    "PALE",
    "draw",
    "log_axis",
    "unit",
]

# Okabe and Ito, Color Universal Design, 2008
BLUE, SKY, GREEN, ORANGE = "#0072B2", "#56B4E9", "#009E73", "#E69F00"
VERMILLION, PURPLE = "#D55E00", "#CC79A7"
INK, MUTED, PALE = "#1a1d21", "#5f6873", "#c9ced6"

COMPONENTS = {
    "amplifier": BLUE,
    "multiplexer": SKY,
    "adc": GREEN,
    "processing": ORANGE,
    "radio": VERMILLION,
    "delivery": PURPLE,
    "overhead": "#8c96a3",
}
"""One colour for each component, the same in every figure."""
LINES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, "#4d4d4d", "#882255", "#117733")
EXAMPLES = ("#5b2a86", "#0e8f9e", "#e08e00")
"""Points looked at closely; apart from the colours of lines and components."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "h", "p")
_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#e6e9ee",
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",  # the same on machines without the font
    "svg.hashsalt": "implant-sim",
    "text.parse_math": False,  # a name may hold dollar signs
}
_DECIMALS = re.compile(r"(\.\d\d)\d+")
_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


def draw(make: Callable[[], Figure | None], kind: Literal["svg", "png"] = "svg") -> bytes | None:
    """Make a figure in the house style and return it as a file; equal data give equal bytes.

    Parameters
    ----------
    make : callable
        Returns the figure, or None if there is nothing to show.
    kind : {"svg", "png"}
        Format.
    """
    with mpl.rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        figure = make()
        if figure is None:
            return None
        out = io.BytesIO()
        nobody = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        figure.savefig(out, format=kind, dpi=130 if kind == "svg" else 160, metadata=nobody)
        return _lean(out.getvalue()) if kind == "svg" else out.getvalue()


def _lean(svg: bytes) -> bytes:
    """The same picture in half the bytes: coordinates to a hundredth of a point, no comments."""
    text = re.sub(r"<!--.*?-->", "", svg.decode(), flags=re.DOTALL)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bd="[^"]*"', lambda m: _DECIMALS.sub(r"\1", m[0]).replace("\n", ""), text)
    return re.sub(r">\s+<", "><", text).encode()


def unit(values: Iterable[float], base: str) -> tuple[float, str]:
    """A prefix that suits the largest value: the factor to divide by, and the unit.

    Examples
    --------
    >>> unit([2e-4, 3e-3], "W")
    (0.001, 'mW')
    """
    finite = [abs(v) for v in values if np.isfinite(v)]
    top = max(finite, default=0.0)
    for factor, prefix in _PREFIXES:
        if top >= factor or factor == _PREFIXES[-1][0]:
            return (factor, prefix + base) if top > 0 else (1.0, base)
    return 1.0, base


def log_axis(axes: Axes, values: Iterable[float]) -> None:
    """Make x logarithmic where it spans more than a factor of five, and tick it at the data."""
    distinct = sorted({float(v) for v in values if np.isfinite(v) and v > 0})
    if len(distinct) < 2 or distinct[-1] < 5 * distinct[0]:
        return
    axes.set_xscale("log")
    span = np.log(distinct[-1] / distinct[0])
    shown: list[float] = []
    for value in reversed(distinct):  # ticks closer than a label is wide are left out
        if not shown or np.log(shown[-1] / value) > 0.07 * span:
            shown.append(value)
    axes.set_xticks(shown, [f"{v:.3g}" for v in shown])
    axes.set_xticks([], minor=True)
