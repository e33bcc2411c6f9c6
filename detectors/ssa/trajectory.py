"""Embedding and decomposition: trajectory matrices, their signal subspace, and distances from it.

Everything is batched: the leading axis is miners, and a miner's numbers do not depend on who else is there.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Accuracy asked of the subspace: its angle to the exact one. Where the lag-covariance matrix, whose entries
# are squares, cannot give it, the SVD of the trajectory matrix does.
ANGLE = 3e-10


def lagged(series: Floats, L: int) -> Floats:
    """Lagged vectors of each series (equations 3 and 5): (miners, T) to (miners, T - L + 1, L), one a row."""
    return np.ascontiguousarray(sliding_window_view(series, L, axis=-1))


def noise_basis(base: Floats, l: int) -> Floats:  # noqa: E741 - the paper's symbol
    """What the l leading eigenvectors leave of space: (miners, K, L) to (miners, L, L - l), orthonormal.

    The eigenvectors U are those of the lag-covariance X X^T, the left singular vectors of X. An error in the
    matrix turns the subspace by that error over the gap between lambda_l and lambda_{l+1}; with a large
    mean and little noise that is too much for a matrix of squares, and X itself is decomposed instead.
    """
    values, vectors = np.linalg.eigh(base.swapaxes(-1, -2) @ base)
    L = base.shape[-1]
    basis = vectors[..., : L - l]
    gap = values[..., L - l] - values[..., L - l - 1]
    poor = np.flatnonzero(gap * ANGLE <= values[..., -1] * np.finfo(float).eps)
    if len(poor):
        _, _, right = np.linalg.svd(base[poor], full_matrices=True)
        basis[poor] = right[:, l:, :].swapaxes(-1, -2)
    return np.ascontiguousarray(basis)


def squared_distances(vectors: Floats, noise: Floats) -> Floats:
    """X_j^T X_j - X_j^T U U^T X_j of each lagged vector: (miners, J, L) to (miners, J).

    Taken as the squared length of what lies outside the subspace: the difference as written loses all
    digits when the series has a mean.
    """
    outside = vectors @ noise
    return np.asarray((outside * outside).sum(axis=-1))
