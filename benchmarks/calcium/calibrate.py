"""Fit the fluorescence model of `calcium` to cells whose true spikes were recorded.

python benchmarks/calcium/calibrate.py calcium_groundtruth_gcamp8.h5 benchmarks/calcium

The file: 12 cells of mouse V1 with jGCaMP8f, 8m or 8s, imaged at 122 Hz (Zhang et al. 2023, Nature
615:884; in the ground truth of Rupprecht et al. 2021, Nat Neurosci 24:1324). Model of a trace:

    F(t) = b(t) + a k(t - t_spike), summed over spikes; k = exp(-t / decay) - exp(-t / rise)

with k of peak 1 and b piecewise linear between knots 20 s apart. `exponent` is that of a second
fit, in which the sum of kernels enters to a power; its gain says whether the cell asks for one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.signal import lfilter

from implant_sim.study.paths import found

KNOT_S = 20.0
FINE = 8  # steps of a frame on which spikes are laid
MAD_TO_SD = 1.4826


def calcium(spikes_s, frame_s, time_s, rise_s, decay_s):
    """Sum of kernels of unit peak at the times of the frames."""
    step = frame_s / FINE
    counts = np.bincount(
        np.clip(((spikes_s - time_s[0]) / step).astype(int), 0, None),
        minlength=len(time_s) * FINE,
    ).astype(float)
    slow, fast = (lfilter([1.0], [1.0, -np.exp(-step / s)], counts) for s in (decay_s, rise_s))
    lag = np.log(decay_s / rise_s) * decay_s * rise_s / (decay_s - rise_s)
    peak = np.exp(-lag / decay_s) - np.exp(-lag / rise_s)
    return ((slow - fast) / peak)[: len(time_s) * FINE : FINE]


def baseline(time_s):
    """Hat functions: piecewise linear between knots."""
    knots = np.linspace(time_s[0], time_s[-1], max(2, round(np.ptp(time_s) / KNOT_S) + 1))
    return np.stack([np.interp(time_s, knots, row) for row in np.eye(len(knots))], axis=1)


def solve(trace, columns):
    weights = np.linalg.lstsq(columns, trace, rcond=None)[0]
    return weights, trace - columns @ weights


def fit(cell):
    time_s, trace = cell["time"][:].astype(float), cell["fluorescence"][:].astype(float)
    spikes_s = cell["spike_times"][:]
    spikes_s = spikes_s[(spikes_s > time_s[0]) & (spikes_s < time_s[-1])]
    frame_s = float(np.median(np.diff(time_s)))
    hats = baseline(time_s)

    def residual(log):
        rise_s, decay_s = np.exp(log[0]), np.exp(log[0]) + np.exp(log[1])
        shape = calcium(spikes_s, frame_s, time_s, rise_s, decay_s)
        if len(log) > 2:
            shape = shape ** np.exp(log[2])
        return solve(trace, np.column_stack([shape, hats]))

    def loss(log):
        if not (np.abs(log) < 7).all():
            return np.inf
        return float((residual(log)[1] ** 2).mean())

    options = {"xatol": 1e-3, "fatol": 1e-9, "maxiter": 400}
    start = np.log([0.02, 0.2])
    best = minimize(loss, start, method="Nelder-Mead", options=options)
    bent = minimize(loss, [*best.x, 0.0], method="Nelder-Mead", options=options)
    weights, left = residual(best.x)
    without = (solve(trace, hats)[1] ** 2).mean()
    # of the differences, which drift and slow misfit leave alone
    noise = MAD_TO_SD * np.median(np.abs(np.diff(left))) / np.sqrt(2)
    return {
        "spikes": len(spikes_s),
        "frame_hz": 1 / frame_s,
        "rise_s": np.exp(best.x[0]),
        "decay_s": np.exp(best.x[0]) + np.exp(best.x[1]),
        "amplitude": weights[0],
        "noise": noise,
        "noise_density": noise * np.sqrt(frame_s),
        "explained": 1 - best.fun / without,
        "exponent": np.exp(bent.x[2]),
        "explained_with_exponent": 1 - bent.fun / without,
    }


def table(frame):
    names = [name.replace("_", " ") for name in frame.columns]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(row) + " |" for row in frame.itertuples(index=False)]
    return lines


def main() -> None:
    path, out = found(Path.cwd(), sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    with h5py.File(path, "r") as file:
        for indicator, cells in file.items():
            for name, cell in cells.items():
                rows.append({"indicator": f"j{indicator}", "cell": name} | fit(cell))
                print(rows[-1], file=sys.stderr)
    cells = pd.DataFrame(rows)
    cells.to_csv(out / "cells.csv", index=False, float_format="%.6g")
    numbers = [
        "rise_s", "decay_s", "amplitude", "noise_density", "explained", "exponent",
        "explained_with_exponent",
    ]  # fmt: skip
    medians = []
    for indicator, group in [*cells.groupby("indicator"), ("all", cells)]:
        row = {"indicator": indicator, "cells": str(len(group))}
        for name in numbers:
            values = group[name]
            row[name] = f"{values.median():.3g} ({values.min():.3g} to {values.max():.3g})"
        for name in ("amplitude", "decay_s"):
            row[f"sd of log {name}"] = f"{np.log(group[name]).std():.2g}"
        medians.append(row)
    lines = [
        "Median (least to most) over cells. Amplitude: peak of one spike, dF/F. Noise density:",
        "of a frame at one frame a second, dF/F. Explained: share of the variance above the",
        "baseline; beside it with an exponent. Times in seconds.",
        "",
        *table(pd.DataFrame(medians)),
        "",
        "`python benchmarks/calcium/calibrate.py calcium_groundtruth_gcamp8.h5 benchmarks/calcium`",  # noqa: E501
    ]
    (out / "calibration.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
