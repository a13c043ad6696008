"""How figures look: sizes, colours that the colour-blind can tell apart, units, and SVG out."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
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
    "SKY",
    "VERMILLION",
    "draw",
    "legend_columns",
    "log_axis",
    "shortened",
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
_TENTHS = re.compile(r"(\.\d)\d+")
_LONG_PATH = 600  # characters
_PREFIXES = (
    (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"),
    (1e-12, "p"), (1e-15, "f"),
)  # fmt: skip
_SCALED = {
    **dict.fromkeys(("s", "V", "A", "W", "J", "K", "F", "C"), (1e-15, 1.0)),
    **dict.fromkeys(("bit/s", "bit", "Ω"), (1.0, 1e9)),
    "Hz": (1e-3, 1e9),
}
"""Units that take prefixes, and which: from, to. Others (W/m², h) stand as they are."""
_HOUR = 3600.0


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
    """The same picture in half the bytes: shorter numbers and names, nothing that is not drawn."""
    text = re.sub(r"<!--.*?-->", "", svg.decode(), flags=re.DOTALL)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bd="([^"]*)"', lambda m: f'd="{_short_path(m[1])}"', text)
    text = re.sub(r'\b[xy]="[^"]*"|translate\([^)]*\)', lambda m: _DECIMALS.sub(r"\1", m[0]), text)
    text = re.sub(r'style="[^"]*"', lambda m: re.sub(r"([:;]) ", r"\1", m[0]), text)
    text = re.sub(r">\s+<", "><", text).replace("xlink:href", "href")
    used = set(re.findall(r"#([^\")]+)[\")]", text))
    names: dict[str, str] = {}
    for found in re.findall(r'\bid="([^"]*)"', text):
        if found in used:
            names.setdefault(found, f"i{len(names)}")
    text = re.sub(r'\s?\bid="([^"]*)"', lambda m: _named(names, m[1]), text)
    return re.sub(
        r'(href="|url\()#([^")]+)', lambda m: f"{m[1]}#{names.get(m[2], m[2])}", text
    ).encode()


def _short_path(path: str) -> str:
    """Coordinates to a hundredth of a point; of a long curve, which nobody magnifies, a tenth."""
    decimals = _DECIMALS if len(path) < _LONG_PATH else _TENTHS
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", decimals.sub(r"\1", path.replace("\n", " ")))


def _named(names: dict[str, str], found: str) -> str:
    return f' id="{names[found]}"' if found in names else ""


def unit(values: Iterable[float], base: str) -> tuple[float, str]:
    """A prefix that suits the largest value: the factor to divide by, and the unit.

    Examples
    --------
    >>> unit([2e-4, 3e-3], "W"), unit([3e4], "Hz"), unit([86400.0], "s")
    ((0.001, 'mW'), (1000.0, 'kHz'), (3600.0, 'h'))
    >>> unit([999.9], "Hz")  # shown with three digits
    (1000.0, 'kHz')
    """
    finite = [abs(v) for v in values if np.isfinite(v)]
    top = max(finite, default=0.0)
    if top == 0 or base not in _SCALED:
        return 1.0, base
    if base == "s" and top >= _HOUR:
        return _HOUR, "h"
    prefixes = [p for p in _PREFIXES if _SCALED[base][0] <= p[0] <= _SCALED[base][1]]
    for factor, prefix in prefixes:
        if float(f"{top:.3g}") >= factor:
            return factor, prefix + base
    return prefixes[-1][0], prefixes[-1][1] + base


def log_axis(axes: Axes, values: Iterable[float], ends: Iterable[float] = ()) -> None:
    """Make x logarithmic where it spans more than a factor of five, and tick it at the data.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Changed.
    values : iterable of float
        Where the data are.
    ends : iterable of float
        What else is drawn and widens the span, such as the ends of error bars.
    """
    distinct = _positive(values)
    drawn = _positive([*distinct, *ends])
    if len(drawn) < 2 or drawn[-1] < 5 * drawn[0]:
        return
    axes.set_xscale("log")
    span = np.log(drawn[-1] / drawn[0])
    shown: list[float] = []
    for value in [*reversed(distinct), drawn[-1], drawn[0]]:
        # ticks closer than a label is wide are left out
        if all(abs(np.log(other / value)) > 0.1 * span for other in shown):
            shown.append(value)
    shown.sort()
    axes.set_xticks(shown, [_digits(v) for v in shown])
    axes.set_xticks([], minor=True)


def _digits(value: float) -> str:
    """Three digits that count, without an exponent where people need none."""
    text = f"{value:.3g}"
    return f"{float(text):.0f}" if 1e3 <= value < 1e6 else text


def _positive(values: Iterable[float]) -> list[float]:
    return sorted({float(v) for v in values if np.isfinite(v) and v > 0})


def shortened(text: str, most: int = 42) -> str:
    """A name that fits beside an axis or into a legend."""
    return text if len(text) <= most else text[: most - 1] + "…"


def legend_columns(labels: Sequence[str], most: int = 4) -> int:
    """Columns of a legend whose longest label still fits the width of a page's figure.

    Examples
    --------
    >>> legend_columns(["full", "random"]), legend_columns(["x" * 42])
    (4, 2)
    """
    longest = max(map(len, labels), default=0)
    return max(1, min(most, int(9.4 / (0.62 + 0.066 * longest))))  # inches: handle, letter
