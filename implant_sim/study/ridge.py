"""Behaviour read out of inferred rates: lagged ridge, its penalty chosen inside the fitted rows.

Everything rests on moments (Gram matrices) of disjoint rows, which add and subtract.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from sbtt_models.errors import DataError

__all__ = [
    "MAX_FEATURES",
    "RIDGE_ALPHAS",
    "RidgeReadout",
    "fit_ridge",
    "folds",
    "scaling",
]

RIDGE_ALPHAS = tuple(float(a) for a in np.logspace(-3, 6, 19))
"""Penalties tried on features of unit variance; squared errors are summed over bins."""
MAX_FEATURES = 2500  # a Gram matrix of 50 MB; above, taps widen instead
_LEAST_SCALE = 0.1
_CHUNK = 16_000_000  # numbers in one slab of the design matrix


def folds(trial: Int[np.ndarray, " row"], n_folds: int, gap: int = 0) -> Int[np.ndarray, " row"]:
    """Give each row a fold: whole trials, or blocks of time where trials are few and long.

    Parameters
    ----------
    trial : numpy.ndarray of int, shape (row,)
        The trial of each row; rows of a trial follow each other in time.
    n_folds : int
        Folds wanted.
    gap : int
        Rows at the start of each time block that no fold gets, because their lags reach into the
        block before.

    Returns
    -------
    numpy.ndarray of int, shape (row,)
        0 to n_folds - 1, or -1 for the rows of a gap.
    """
    fold = np.full(trial.size, -1)
    if np.unique(trial).size >= 2 * n_folds:
        # only where something is scored: a study that is finished must not wait for it
        from sklearn.model_selection import GroupKFold

        splitter = GroupKFold(n_splits=n_folds)
        for i, (_, held) in enumerate(splitter.split(trial[:, None], groups=trial)):
            fold[held] = i
        return fold
    for i, block in enumerate(np.array_split(np.arange(trial.size), n_folds)):
        fold[block[gap:] if i and block.size > 2 * gap else block] = i
    return fold


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """All that a ridge needs to know of some rows; moments of disjoint rows add up."""

    n: float
    x: Float[np.ndarray, " feature"]
    y: Float[np.ndarray, " dim"]
    xx: Float[np.ndarray, "feature feature"]
    xy: Float[np.ndarray, "feature dim"]
    yy: Float[np.ndarray, " dim"]

    def plus(self, other: _Moments, sign: float = 1.0) -> _Moments:
        return _Moments(
            self.n + sign * other.n,
            self.x + sign * other.x,
            self.y + sign * other.y,
            self.xx + sign * other.xx,
            self.xy + sign * other.xy,
            self.yy + sign * other.yy,
        )


@dataclass(frozen=True, slots=True, eq=False)
class RidgeReadout:
    """Behaviour as a linear function of current and past rates."""

    channels: Int[np.ndarray, " used"]
    """Channels whose rates vary; the others carry nothing."""
    mean: Float[np.ndarray, " used"]
    scale: Float[np.ndarray, " used"]
    lags: tuple[int, ...]
    """Bins between a rate and the behaviour it predicts; each tap averages `width` bins."""
    width: int
    weights: Float[np.ndarray, "feature dim"]
    intercept: Float[np.ndarray, " dim"]
    alpha: float

    def predict(
        self, rates: Shaped[np.ndarray, "trial bin channel"]
    ) -> Float[np.ndarray, "trial bin dim"]:
        """Decode every bin of every trial, padding included."""
        out = np.empty((*rates.shape[:2], self.intercept.size))
        bins = np.arange(rates.shape[1])
        for trial in range(rates.shape[0]):
            z = (rates[trial : trial + 1][:, :, self.channels] - self.mean) / self.scale
            step = max(1, _CHUNK // max(self.weights.shape[0], 1))
            for at in range(0, bins.size, step):
                rows = bins[at : at + step]
                x = _taps(z, np.zeros(rows.size, int), rows, self.lags, self.width)
                out[trial, rows] = x @ self.weights + self.intercept
        return out


def fit_ridge(
    rates: Shaped[np.ndarray, "trial bin channel"],
    target: Float[np.ndarray, "trial bin dim"],
    where: Bool[np.ndarray, "trial bin"],
    lags: tuple[int, ...],
    *,
    n_folds: int = 5,
    alphas: tuple[float, ...] = RIDGE_ALPHAS,
) -> RidgeReadout:
    """Fit behaviour to lagged rates, with the penalty that predicts held-out trials best.

    Each fold's Gram matrix is computed once and subtracted from the total, and one reduction to
    tridiagonal form serves all penalties of a fold. scikit-learn's grid search builds and factors
    the same matrices for every pair of fold and penalty: with equal result, 70 s instead of 4 s on
    one core for 1,881 features, 7,000 bins and 19 penalties.

    Parameters
    ----------
    rates : numpy.ndarray, shape (trial, bin, channel)
        Inferred rates. [1/bin]
    target : numpy.ndarray, shape (trial, bin, dim)
        Behaviour, in its own unit.
    where : numpy.ndarray of bool, shape (trial, bin)
        Bins that the fit may see.
    lags : tuple of int
        Non-negative lags. A lag that reaches before the trial meets its first bin. [bin]
    n_folds : int
        Folds of the inner cross-validation.
    alphas : tuple of float
        Penalties to choose from.

    Returns
    -------
    RidgeReadout
        Fitted on all rows with the chosen penalty.

    Raises
    ------
    DataError
        If fewer bins may be seen than there are folds.
    """
    trial, bin_ = np.nonzero(where)
    if trial.size < 2 * n_folds:
        raise DataError(
            f"velocity: {trial.size} bins with behaviour to fit on, {2 * n_folds} needed; give "
            "the training split more trials"
        )
    width = max(1, -(-rates.shape[2] * len(lags) // MAX_FEATURES))
    lags = lags[::width]
    mean, scale, channels = scaling(rates[where])
    z = np.zeros((*rates.shape[:2], channels.size))
    np.divide(rates[:, :, channels] - mean, scale, out=z, where=_history(where)[:, :, None])
    centre = target[where].mean(axis=0)
    fold = folds(trial, n_folds, gap=max(lags) + width - 1)
    parts = [
        _moments(z, target - centre, trial[fold == i], bin_[fold == i], lags, width)
        for i in range(-1, n_folds)
    ]
    total = parts[1]
    for part in parts[2:]:
        total = total.plus(part)
    alpha = _best_alpha(total, parts[1:], alphas)
    weights, intercept = _ridge_path(total.plus(parts[0]), (alpha,))
    return RidgeReadout(
        channels, mean, scale, lags, width, weights[0], intercept[0] + centre, alpha
    )


def _history(where: Bool[np.ndarray, "trial bin"]) -> Bool[np.ndarray, "trial bin"]:
    """Bins that a row in use can look at: all up to the trial's last one."""
    return np.flip(np.logical_or.accumulate(np.flip(where, 1), axis=1), 1)


def scaling(
    rows: Shaped[np.ndarray, "row channel"],
) -> tuple[Float[np.ndarray, " used"], Float[np.ndarray, " used"], Int[np.ndarray, " used"]]:
    """Mean and scale of the channels that vary, and which they are.

    The scale is the standard deviation, but at least a tenth of the typical channel's: a channel
    that hardly fires in the fitted rows would otherwise enter the test rows hundreds of standard
    deviations from its mean.
    """
    mean, sd = rows.mean(axis=0, dtype=float), rows.std(axis=0, dtype=float)
    used = np.flatnonzero(sd > 1e-6 * np.abs(mean) + 1e-12)  # rounding of float32 rates
    typical = float(np.sqrt((sd[used] ** 2).mean())) if used.size else 0.0
    return mean[used], np.maximum(sd[used], _LEAST_SCALE * typical), used


def _taps(
    z: Float[np.ndarray, "trial bin channel"],
    trial: Int[np.ndarray, " row"],
    bin_: Int[np.ndarray, " row"],
    lags: tuple[int, ...],
    width: int,
) -> Float[np.ndarray, "row feature"]:
    n = z.shape[2]
    x = np.zeros((trial.size, len(lags) * n))
    for i, lag in enumerate(lags):
        for extra in range(width):
            x[:, i * n : (i + 1) * n] += z[trial, np.maximum(bin_ - lag - extra, 0)] / width
    return x


def _moments(
    z: Float[np.ndarray, "trial bin channel"],
    target: Float[np.ndarray, "trial bin dim"],
    trial: Int[np.ndarray, " row"],
    bin_: Int[np.ndarray, " row"],
    lags: tuple[int, ...],
    width: int,
) -> _Moments:
    p, d = len(lags) * z.shape[2], target.shape[2]
    zero = np.zeros
    sum_ = _Moments(0.0, zero(p), zero(d), zero((p, p)), zero((p, d)), zero(d))
    step = max(1, _CHUNK // max(p, 1))
    for at in range(0, trial.size, step):
        rows = slice(at, at + step)
        x = _taps(z, trial[rows], bin_[rows], lags, width)
        y = np.asarray(target[trial[rows], bin_[rows]], float)
        slab = _Moments(float(len(y)), x.sum(0), y.sum(0), x.T @ x, x.T @ y, (y**2).sum(0))
        sum_ = sum_.plus(slab)
    return sum_


def _ridge_path(
    m: _Moments, alphas: tuple[float, ...]
) -> tuple[Float[np.ndarray, "alpha feature dim"], Float[np.ndarray, "alpha dim"]]:
    """Solve the ridge for every penalty from one reduction ``X'X = Q T Q'``, T tridiagonal."""
    from scipy.linalg import lapack

    p, d = m.xy.shape
    x, y = m.x / m.n, m.y / m.n
    gram = m.xx - m.n * np.outer(x, x)
    rhs = m.xy - m.n * np.outer(x, y)
    weights = np.zeros((len(alphas), p, d))
    if p == 1:
        weights[:] = rhs / (gram + np.array(alphas)[:, None, None])
    elif p > 1:
        packed, diagonal, off, tau, _ = lapack.dsytrd(
            np.asfortranarray(gram), lower=1, lwork=64 * p, overwrite_a=1
        )
        # dsytrd leaves the Householder vectors of Q below the subdiagonal; Q keeps row 0
        reflectors = np.asfortranarray(packed[1:, :-1])
        turned = np.array(rhs, order="F")
        turned[1:] = lapack.dormqr("L", "T", reflectors, tau, rhs[1:], 64 * d)[0]
        solved = np.empty((p, len(alphas) * d), order="F")
        for i, alpha in enumerate(alphas):
            *_, solved[:, i * d : (i + 1) * d], info = lapack.dptsv(diagonal + alpha, off, turned)
            if info != 0:
                raise DataError(f"velocity: the ridge with penalty {alpha:g} is singular")
        solved[1:] = lapack.dormqr("L", "N", reflectors, tau, solved[1:], 64 * solved.shape[1])[0]
        weights = solved.reshape(p, len(alphas), d).transpose(1, 0, 2)
    return weights, y - np.einsum("p,apd->ad", x, weights)


def _best_alpha(total: _Moments, parts: list[_Moments], alphas: tuple[float, ...]) -> float:
    """Penalty with the highest R² on held-out folds, mean over dimensions and folds."""
    score = np.zeros(len(alphas))
    for held in parts:
        spread = held.yy - held.y**2 / max(held.n, 1.0)
        vary = spread > 1e-12 * np.maximum(held.yy, 1e-300)
        if not vary.any():
            continue
        w, b = _ridge_path(total.plus(held, -1.0), alphas)
        image = np.einsum("pq,aqd->apd", held.xx, w, optimize=True)
        # |y - Xw - b|² from the moments alone
        fit = (w * image).sum(1) + 2 * b * np.einsum("p,apd->ad", held.x, w) + held.n * b**2
        cross = np.einsum("apd,pd->ad", w, held.xy) + b * held.y
        error = held.yy - 2 * cross + fit
        score += (1.0 - error[:, vary] / spread[vary]).mean(axis=1)
    return alphas[int(np.argmax(score))]
