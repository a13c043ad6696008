"""Many small matrices at once: products, and the inverse of positive definite ones."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from sbtt_models.errors import DivergedError

__all__ = ["apply", "inverse_positive", "log_det", "symmetric", "times"]


def symmetric(matrix: Float[np.ndarray, "*batch n n"]) -> Float[np.ndarray, "*batch n n"]:
    """Remove what rounding made unequal across the diagonal."""
    return 0.5 * (matrix + np.swapaxes(matrix, -1, -2))


def times(
    matrices: Float[np.ndarray, "row n n"], constant: Float[np.ndarray, "n n"]
) -> Float[np.ndarray, "row n n"]:
    """Multiply each matrix by the same one, as one large product."""
    return (matrices.reshape(-1, constant.shape[0]) @ constant).reshape(matrices.shape)


def apply(
    matrices: Float[np.ndarray, "row n n"], vectors: Float[np.ndarray, "row n"]
) -> Float[np.ndarray, "row n"]:
    """Multiply each matrix by its own vector."""
    return (matrices @ vectors[:, :, None])[:, :, 0]


def inverse_positive(
    matrices: Float[np.ndarray, "row n n"],
) -> tuple[Float[np.ndarray, "row n n"], Float[np.ndarray, "row n"]]:
    """Inverse of positive definite matrices, and the diagonals of their Cholesky factors.

    Raises
    ------
    DivergedError
        If one is not positive definite.
    """
    import torch  # not at import of this library; numpy has no batched inverse by Cholesky

    factor, info = torch.linalg.cholesky_ex(torch.from_numpy(matrices))
    if bool(info.any()):
        raise DivergedError(
            "linear dynamics: a covariance is no longer positive definite; lower size, or give "
            "more trials or samples"
        )
    inverse = torch.cholesky_inverse(factor).numpy()
    return inverse, torch.diagonal(factor, dim1=-2, dim2=-1).numpy()


def log_det(pivots: Float[np.ndarray, "*lead n"]) -> Float[np.ndarray, "*lead"]:
    """Log determinant from the diagonal of a Cholesky factor."""
    return 2.0 * np.log(pivots).sum(-1)
