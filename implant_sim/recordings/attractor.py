"""The Lorenz attractor, and channels whose log rates are linear in its state."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

__all__ = ["LONGEST_STEP", "Z_PEAK", "log_rate_weights", "lorenz_path"]

Z_PEAK = 1.32
"""Spectral peak of z of the correct system [cycles per unit of Lorenz time]: Welch's method, 64
paths of 180 units, Runge-Kutta steps of 0.005, resolution 0.025."""
LONGEST_STEP = 0.005
"""Longest Runge-Kutta step. [units of Lorenz time]"""
_BURN_IN = 20.0  # units of Lorenz time from the random start to the attractor
_State = tuple[Any, ...]  # x, y, z: three floats, or three arrays over paths


def lorenz_path(
    rng: np.random.Generator, n_paths: int, n_steps: int, step: float
) -> Float[np.ndarray, "path step dim"]:
    """Follow the Lorenz system (10, 28, 8/3) on its attractor, by fourth-order Runge-Kutta.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the initial states, which then burn in for 20 units of Lorenz time.
    n_paths, n_steps : int
        How many paths, how many states of each.
    step : float
        Lorenz time from one state to the next; at most 0.005 for the accuracy of the default.

    References
    ----------
    .. [1] E. N. Lorenz, "Deterministic nonperiodic flow," J Atmos Sci 20:130-141, 1963.
    """
    start = rng.standard_normal((n_paths, 3)) * 5 + np.array([0.0, 0.0, 25.0])
    # one path runs ten times faster on plain floats than on arrays of length one
    state: _State = tuple(map(float, start[0])) if n_paths == 1 else tuple(start.T)
    state = _follow(state, round(_BURN_IN / LONGEST_STEP), LONGEST_STEP, None)
    path = np.empty((n_paths, n_steps, 3))
    _follow(state, n_steps, step, path)
    return path


def _follow(
    state: _State, n_steps: int, h: float, path: Float[np.ndarray, "path step dim"] | None
) -> _State:
    """Take Runge-Kutta steps of h, and note the states before each of them.

    Written out: a function call for each slope would double the time.
    """
    x, y, z = state
    for n in range(n_steps):
        if path is not None:
            path[:, n, 0], path[:, n, 1], path[:, n, 2] = x, y, z
        x1, y1, z1 = 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z
        u, v, w = x + h / 2 * x1, y + h / 2 * y1, z + h / 2 * z1
        x2, y2, z2 = 10 * (v - u), u * (28 - w) - v, u * v - 8 / 3 * w
        u, v, w = x + h / 2 * x2, y + h / 2 * y2, z + h / 2 * z2
        x3, y3, z3 = 10 * (v - u), u * (28 - w) - v, u * v - 8 / 3 * w
        u, v, w = x + h * x3, y + h * y3, z + h * z3
        x4, y4, z4 = 10 * (v - u), u * (28 - w) - v, u * v - 8 / 3 * w
        x = x + h / 6 * (x1 + 2 * (x2 + x3) + x4)
        y = y + h / 6 * (y1 + 2 * (y2 + y3) + y4)
        z = z + h / 6 * (z1 + 2 * (z2 + z3) + z4)
    return x, y, z


def log_rate_weights(
    rng: np.random.Generator,
    states: Float[np.ndarray, "state 3"],
    n_channels: int,
    modulation: float,
) -> Float[np.ndarray, "channel 3"]:
    """Draw how each channel's log rate depends on the state, with the deviation asked for.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the directions.
    states : numpy.ndarray, shape (state, 3)
        Where the attractor goes.
    n_channels : int
        How many channels.
    modulation : float
        Standard deviation of each channel's log rate over the states.
    """
    weights = rng.standard_normal((n_channels, 3))
    covariance = np.cov(states.T)
    deviation = np.sqrt(np.einsum("ci,ij,cj->c", weights, covariance, weights))
    return weights * (modulation / deviation[:, None])
