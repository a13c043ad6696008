"""Pennes' equation on a grid: a reference for the closed forms of heat."""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import spsolve

from implant_sim.hardware.physics.heat import Tissue


def _graded(points: list[float], far: float, finest: float, growth: float) -> np.ndarray:
    """Edges from 0 to `far`, finest on both sides of each of `points` and growing away from it."""
    edges = [0.0]
    while edges[-1] < far:
        near = min(abs(edges[-1] - p) for p in points)
        step = finest + growth * near
        ahead = [p for p in points if p > edges[-1] + 1e-12]
        if ahead:
            gap = ahead[0] - edges[-1]
            step = gap if gap <= 1.5 * finest else min(step, max(finest, 0.5 * gap))
        edges.append(edges[-1] + step)
    return np.array(edges)


def disc_w_k(radius_m: float, tissue: Tissue, faces: int = 2, finest: float = 1e-3) -> float:
    """Heat that leaves a thin isothermal disc of 1 K, by finite volumes in (r, z). [W/K]

    Above the plane of the disc only: below is its mirror image, or an insulator. `finest` is the
    smallest cell, as a share of the radius.
    """
    reach = radius_m + 9 * tissue.length_m
    r = _graded([radius_m], reach, finest * radius_m, 0.06)
    z = _graded([0.0], 9 * tissue.length_m + radius_m, finest * radius_m, 0.06)
    rc, zc = (0.5 * (e[1:] + e[:-1]) for e in (r, z))
    ring = math.pi * (r[1:] ** 2 - r[:-1] ** 2)  # area of each column of cells
    n_r, n_z = len(rc), len(zc)
    number = np.arange(n_r * n_z).reshape(n_r, n_z)
    rows, columns, values = [], [], []

    def couple(one: np.ndarray, two: np.ndarray, w_k: np.ndarray) -> None:
        for a, b, sign in ((one, one, 1), (two, two, 1), (one, two, -1), (two, one, -1)):
            rows.append(a.ravel())
            columns.append(b.ravel())
            values.append(sign * w_k.ravel())

    k = tissue.conductivity_w_mk
    side = 2 * math.pi * r[1:-1, None] * np.diff(z)[None] / np.diff(rc)[:, None]
    couple(number[:-1], number[1:], k * side)
    couple(number[:, :-1], number[:, 1:], k * ring[:, None] / np.diff(zc)[None])
    volume = ring[:, None] * np.diff(z)[None]
    rows.append(number.ravel())
    columns.append(number.ravel())
    values.append((tissue.perfusion_w_m3k * volume).ravel())
    held = np.where(rc < radius_m, k * ring / zc[0], 0.0)  # to the disc below the first cell
    rows.append(number[:, 0])
    columns.append(number[:, 0])
    values.append(held)
    matrix = csc_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(number.size, number.size),
    )
    source = np.zeros(number.size)
    source[number[:, 0]] = held
    rise = spsolve(matrix, source).reshape(n_r, n_z)
    return faces * float((held * (1 - rise[:, 0])).sum())


def sphere_w_k(radius_m: float, tissue: Tissue, n: int = 4000) -> float:
    """Heat that leaves an isothermal sphere of 1 K, by finite volumes in r. [W/K]"""
    far = radius_m + 12 * tissue.length_m
    edges = radius_m * (far / radius_m) ** np.linspace(0, 1, n + 1)
    centre = 0.5 * (edges[1:] + edges[:-1])
    k = tissue.conductivity_w_mk
    between = 4 * math.pi * k * edges[1:-1] ** 2 / np.diff(centre)
    first = 4 * math.pi * k * edges[0] ** 2 / (centre[0] - edges[0])
    diagonal = tissue.perfusion_w_m3k * 4 / 3 * math.pi * np.diff(edges**3)
    diagonal[:-1] += between
    diagonal[1:] += between
    diagonal[0] += first
    index = np.arange(n)
    matrix = csc_matrix(
        (
            np.concatenate([diagonal, -between, -between]),
            (
                np.concatenate([index, index[:-1], index[1:]]),
                np.concatenate([index, index[1:], index[:-1]]),
            ),
        )
    )
    source = np.zeros(n)
    source[0] = first
    return float(first * (1 - spsolve(matrix, source)[0]))
