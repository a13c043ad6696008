"""What the implant saw and what was made of it: raster, rates and behaviour of a test trial."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

from implant_sim.report import style
from implant_sim.report.load import Run
from implant_sim.report.summary import Point, Summary

__all__ = [
    "Example",
    "behaviour",
    "busiest",
    "examples",
    "liveliest",
    "raster",
    "rates",
    "scored_bins",
]

_SAMPLED = (190, 218, 241)
_UNSEEN, _SPIKE, _SPIKES = (212, 204, 196), (75, 80, 88), (10, 12, 15)
_MAX_BINS = 120
_MAX_ROWS = 96  # channels of a raster; more would be thinner than a line of the screen


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One point's first repeat, looked at in one stretch of a test trial."""

    point: int
    title: str
    arrays: dict[str, Shaped[np.ndarray, " ..."]]
    trial: int
    bins: slice
    bin_s: float

    def cut(self, name: str) -> Shaped[np.ndarray, "bin last"]:
        """The stretch of one array."""
        return np.asarray(self.arrays[name][self.trial, self.bins])

    @property
    def times(self) -> Float[np.ndarray, " bin"]:
        """Bin centres from the start of the stretch. [s]"""
        return (np.arange(self.bins.stop - self.bins.start) + 0.5) * self.bin_s

    @property
    def exposure(self) -> Float[np.ndarray, "bin channel"]:
        """Share of each bin that was sampled."""
        name = "exposure" if "exposure" in self.arrays else "observed"
        return self.cut(name).astype(float)

    @property
    def real(self) -> bool:
        """Whether the values are events that a microscope has read, rather than spikes."""
        return self.arrays["counts"].dtype.kind == "f"

    @property
    def decodes(self) -> bool:
        """Whether there is behaviour, and what was decoded of it."""
        return {"behaviour", "decoded"} <= set(self.arrays)

    @property
    def unit(self) -> str:
        """What a channel is called."""
        return "Neuron" if self.real else "Channel"

    @property
    def truth(self) -> tuple[Float[np.ndarray, "bin channel"], str]:
        """Expected counts where they are known, else the counts, smoothed; and its name."""
        for name, factor in (("expected", 1.0), ("rates_hz", self.bin_s)):
            if name in self.arrays:
                return self.cut(name) * factor, "true rate"
        if self.real:
            events, seen = (
                gaussian_filter1d(self.cut(name).astype(float), 2.0, axis=0)
                for name in ("counts", "observed")
            )
            return events / np.maximum(seen, 1e-9), "smoothed events"
        counts = self.cut("true_counts" if "true_counts" in self.arrays else "counts")
        return gaussian_filter1d(counts.astype(float), 2.0, axis=0), "smoothed counts"


def examples(run: Run, summary: Summary, most: int = 3) -> list[Example]:
    """Up to three points to look at closely: of the best line, its extremes and its middle."""
    best = summary.best
    line = [p for p in summary.points if p.ok]
    if best is not None:
        lines = [[p for p in summary.of(m) if p.ok] for m in summary.methods]
        longest = max(lines, key=len)
        mine = next((ps for ps in lines if best in ps), longest)
        line = mine if len(mine) > 1 else longest
    found: list[Example] = []
    if len(line) > most:
        places = np.linspace(0, len(line) - 1, most).round().astype(int)
        line = [line[i] for i in places]
    for point in reversed(line):
        example = _example(run, point)
        if example is not None:
            found.append(example)
    return found


def _example(run: Run, point: Point) -> Example | None:
    for row in point.rows:
        arrays = run.arrays(point.index, int(row["repeat"])) if row["status"] == "ok" else None
        if arrays is None:
            continue
        test = arrays["split/test"]
        lengths = arrays["lengths"][test]
        trial = int(test[int(np.argmax(lengths >= min(lengths.max(), _MAX_BINS)))])
        stop = min(int(arrays["lengths"][trial]), _MAX_BINS)
        return Example(
            point.index, point.label, arrays, trial, slice(0, stop), point.mean("bin_s")
        )
    return None


def raster(shown: Sequence[Example]) -> Figure | None:
    """One cell for each bin and channel: how much of it was sampled, and what fired in it."""
    if not shown:
        return None
    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    panels = np.ravel(figure.subplots(1, len(shown), sharey=True))
    order = busiest(shown[0])
    for axes, example in zip(panels, shown, strict=True):
        end = example.times[-1] + example.bin_s / 2
        # as many pixels as cells: small in the file, and sharp at any size
        axes.imshow(_cells(example, order), aspect="auto", interpolation="none",
                    extent=(0, end, len(order), 0))  # fmt: skip
        axes.set_title(textwrap.shorten(example.title, 100 // len(shown), placeholder="…"))
        axes.set_xlabel("Time in trial (s)")
        sampled = example.exposure.mean()
        axes.text(1.0, 1.01, f"{sampled:.0%} sampled", transform=axes.transAxes,
                  ha="right", va="bottom", fontsize=8, color=style.MUTED)  # fmt: skip
    panels[0].set_ylabel(f"{shown[0].unit}, busiest first")
    return figure


def busiest(example: Example) -> Int[np.ndarray, " channel"]:
    """Channels of a raster, the one that fires most first."""
    name = "true_counts" if "true_counts" in example.arrays else "counts"
    spikes = example.cut(name).sum(axis=0).astype(float)  # counts are unsigned: -0 would be last
    return np.argsort(-spikes, kind="stable")[:_MAX_ROWS]


def _cells(
    example: Example, order: Int[np.ndarray, " channel"]
) -> UInt8[np.ndarray, "channel bin colour"]:
    """Colours: blue by exposure, black where a spike arrived, grey where one went unseen."""
    counts = _firing(example, "counts", order)
    full = _firing(example, "true_counts", order) if "true_counts" in example.arrays else counts
    image = 255 + example.exposure[:, order].T[:, :, None] * (np.array(_SAMPLED) - 255)
    image[(full > counts) & (counts == 0)] = _UNSEEN
    image[counts == 1] = _SPIKE
    image[counts > 1] = _SPIKES
    return image.round().astype(np.uint8)


def _firing(
    example: Example, name: str, order: Int[np.ndarray, " channel"]
) -> Int[np.ndarray, "channel bin"]:
    """Spikes of each cell; where events have sizes, 2 for an event of any size."""
    values = example.cut(name)[:, order].T
    return 2 * (values > 0) if example.real else values.astype(int)


def liveliest(example: Example, most: int = 6) -> Int[np.ndarray, " channel"]:
    """Channels whose rate varies most."""
    truth, _ = example.truth
    return np.argsort(-truth.std(axis=0), kind="stable")[:most]


def rates(shown: Sequence[Example]) -> Figure | None:
    """True against inferred rates of the channels whose rate varies most."""
    if not shown:
        return None
    truth, name = shown[0].truth
    picked = liveliest(shown[0])
    columns = min(3, len(picked))
    n_rows = -(-len(picked) // columns)
    figure = Figure(figsize=(9.6, 1.75 * n_rows + 0.5), layout="constrained")
    panels = np.ravel(figure.subplots(n_rows, columns, sharex=True, squeeze=False))
    for i, (axes, channel) in enumerate(zip(panels, picked, strict=False)):
        hz = 1.0 / shown[0].bin_s
        axes.fill_between(
            shown[0].times, truth[:, channel] * hz, color="#e3e7ec", lw=0, label=name
        )
        axes.plot(shown[0].times, truth[:, channel] * hz, color="#9aa4b0", lw=0.9)
        for example, colour in zip(shown, style.EXAMPLES, strict=False):
            inferred = example.cut("rates")[:, channel] * hz
            axes.plot(example.times, inferred, color=colour, lw=1.2, label=example.title)
        axes.set_title(f"{shown[0].unit} {channel}", fontsize=8.5)
        axes.set_ylim(bottom=0)
        axes.margins(x=0)
        if i % columns == 0:
            axes.set_ylabel("Event size per s" if shown[0].real else "Rate (spikes/s)")
        if i + columns >= len(picked):
            axes.set_xlabel("Time in trial (s)")
    for axes in panels[len(picked) :]:
        axes.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    columns = style.legend_columns(labels)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    return figure


def behaviour(shown: Sequence[Example], summary: Summary, most: int = 2) -> Figure | None:
    """Behaviour as it was and as the rates tell it, over test bins in a row."""
    shown = [e for e in shown if e.decodes]
    if not shown:
        return None
    first = shown[0]
    bins = scored_bins(first)
    n_dims = min(most, first.arrays["behaviour"].shape[2])
    figure = Figure(figsize=(9.6, 1.6 * n_dims + 0.7), layout="constrained")
    panels = np.ravel(figure.subplots(n_dims, 1, sharex=True))
    times = (np.arange(len(bins[0])) + 0.5) * first.bin_s
    starts = np.flatnonzero(np.diff(bins[0])) + 1
    for dim, axes in enumerate(panels):
        true = first.arrays["behaviour"][bins[0], bins[1], dim]
        axes.plot(times, _broken(true, starts), color=style.INK, lw=1.4, label="true")
        for example, colour in zip(shown, style.EXAMPLES, strict=False):
            decoded = example.arrays["decoded"][bins[0], bins[1], dim]
            axes.plot(times, _broken(decoded, starts), color=colour, lw=1.1, label=example.title)
        for at in starts:
            axes.axvline(at * first.bin_s, color=style.PALE, lw=0.6, zorder=0)
        axes.axhline(0, color=style.PALE, lw=0.6, zorder=0)
        axes.set_ylabel("xyzw"[dim] if n_dims <= 4 else str(dim))
        axes.margins(x=0)
    name = next(
        (p.first("behaviour") for p in summary.points if p.first("behaviour")), "Behaviour"
    )
    panels[0].set_title(name[:1].upper() + name[1:] + ", test trials")
    panels[-1].set_xlabel("Time, trials side by side (s)" if starts.size else "Time (s)")
    handles, labels = panels[0].get_legend_handles_labels()
    columns = style.legend_columns(labels)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    return figure


def scored_bins(
    example: Example, most: int = 400
) -> tuple[Int[np.ndarray, " bin"], Int[np.ndarray, " bin"]]:
    """Trial and bin of the first scored test bins."""
    arrays = example.arrays
    n_bins = arrays["behaviour"].shape[1]
    valid = np.arange(n_bins)[None, :] < arrays["lengths"][:, None]
    if "behaviour_valid" in arrays:
        valid = valid & arrays["behaviour_valid"].astype(bool)
    test = arrays["split/test"]
    trial, bin_ = np.nonzero(valid[test])
    return test[trial[:most]], bin_[:most]


def _broken(
    values: Shaped[np.ndarray, " bin"], starts: Int[np.ndarray, " start"]
) -> Float[np.ndarray, " bin"]:
    """The same line, not drawn across the border of two trials."""
    out = np.asarray(values, float).copy()
    out[starts] = np.nan
    return out
