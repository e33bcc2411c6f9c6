"""Embedding and decomposition: trajectory matrices, their signal subspace, and distances from it.

Everything is batched: the leading axis is miners, and a miner's numbers do not depend on who else is there.

**Digits.** The lag-covariance matrix X X^T holds squares: with a mean of 100 % and noise of 0.001 % its entries are
10^10 times the noise's, and the eigenvectors that matter are lost in their rounding. So coordinates are changed
first, by an orthogonal matrix, which changes no distance: the first axis is that of a constant series,
(1, ..., 1) / sqrt(L), and takes up all of the mean; along the others lie differences of samples alone. In these
coordinates the matrix is graded, and eigenvalues and vectors of noise have all their digits, however large the mean.

**Rank.** An eigentriple is there only where its eigenvalue is above zero. Of a series of smaller rank than l (a
constant one: rank 1) fewer make the signal, and all that is new lies outside.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from detectors.ssa.parameters import SsaParameters

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Accuracy asked of the subspace: its angle to the exact one, by which distances are wrong in proportion. Where
# the lag-covariance matrix cannot give it, the SVD of the trajectory matrix does.
ANGLE = 3e-10
EPSILON = float(np.finfo(float).eps)


def lagged(series: Floats, L: int) -> Floats:
    """Lagged vectors of each series (equations 3 and 5): (miners, T) to (miners, T - L + 1, L), one a row."""
    return np.ascontiguousarray(sliding_window_view(series, L, axis=-1))


def rotated(windows: Floats, N: int, L: int) -> Floats:
    """Lagged vectors in coordinates whose first axis is that of the constant series; shapes as `lagged`.

    By Householder's reflection of (1, ..., 1) onto the first axis, after the mean of the first N samples has been
    taken from all (exactly, where it is large) to be added to the first coordinate alone.
    """
    first, side = windows[:, :1], math.sqrt(L)
    mean = first + (windows[:, :N] - first).mean(axis=1, keepdims=True)
    Y = lagged(windows - mean, L)
    total = Y.sum(axis=-1)
    Z: Floats = Y - ((total + side * Y[..., 0]) / (L + side))[..., None]
    Z[..., 0] = -total / side - side * mean
    return Z


def decomposed(windows: Floats, parameters: SsaParameters) -> tuple[Floats, Floats]:
    """D_{n,I,p,q} (equation 6) and D~_{n,I,0,K} of windows of `span` samples: (miners, span) to 2 x (miners,)."""
    K, L, p, q = parameters.K, parameters.L, parameters.p, parameters.q
    Z = rotated(windows, parameters.N, L)
    # Squared length of what lies outside the subspace. X_j^T X_j - X_j^T U U^T X_j as equation 6 writes it is the
    # same, and loses all digits when the series has a mean.
    outside = ((Z @ noise_basis(Z[:, :K], parameters.l)) ** 2).sum(axis=-1)
    return outside[:, p:q].sum(axis=-1), outside[:, :K].sum(axis=-1) / (L * K)


def noise_basis(base: Floats, l: int) -> Floats:  # noqa: E741 - the paper's symbol
    """What the l leading eigenvectors leave of space: rotated (miners, K, L) to (miners, L, L), orthonormal columns.

    Columns of the signal are zero. The eigenvectors U are those of the lag-covariance matrix, the left singular
    vectors of X. An error in the matrix turns the subspace by that error over the gap between lambda_l and
    lambda_{l+1}; where another signal than the mean makes that too much, X itself is decomposed.
    """
    L = base.shape[-1]
    values, vectors = np.linalg.eigh(base.swapaxes(-1, -2) @ base)
    size: Floats = (base[..., 1:] ** 2).sum(axis=(-1, -2))
    gap = values[:, L - l] - values[:, L - l - 1]
    signal = np.arange(L) >= L - l
    poor = np.flatnonzero(gap * ANGLE < size * EPSILON)
    constant = (size == 0)[:, None] & (values <= 0)
    basis = np.where((signal & ~constant)[:, None, :], 0, vectors)
    if len(poor):
        _, sigma, right = np.linalg.svd(base[poor], full_matrices=True)
        leading = np.arange(L) < np.minimum(rank(sigma, max(base.shape[1:])), l)[:, None]
        basis[poor] = np.where(leading[..., None], 0, right).swapaxes(-1, -2)
    return basis


def rank(sigma: Floats, side: int) -> Ints:
    """How many singular values of each matrix are above rounding; `side`: the larger of its sides."""
    return np.asarray((sigma > sigma[:, :1] * (side * EPSILON)).sum(axis=-1))
