"""The next value of a series by SSA's linear recurrence (recurrent forecasting)."""

from __future__ import annotations

import numpy as np

from detectors.ssa.trajectory import Floats, lagged, rank
from mint.errors import InputError


def forecast(series: Floats, L: int, l: int) -> Floats:  # noqa: E741 - the paper's symbol
    """The next value of each series: (miners, T) to (miners,).

    The l leading eigenvectors U of the trajectory matrix span a space in which the last coordinate follows
    from the others (Golyandina, Nekrutkin, Zhigljavsky 2001, section 2.1): with pi the last coordinates of
    the U_i, nu^2 their squared length and U' the U_i without them,

        x_{T+1} = 1 / (1 - nu^2) * sum_i pi_i U'_i . (the last L - 1 values of the reconstructed series)

    It is exact for a series of rank at most l (sums of exponentials, sinusoids, polynomials): of one of smaller
    rank only the eigentriples that are there are taken, so that a series of zeros goes on with zeros. nan where
    nu^2 is 1, for then the last coordinate is free.
    """
    if series.ndim != 2 or not 0 < l < L <= series.shape[1]:
        raise InputError("SSA forecast", f"shape {series.shape}, L = {L}, l = {l}", "give 0 < l < L <= T")
    X = lagged(series, L)
    _, sigma, right = np.linalg.svd(X, full_matrices=True)
    there = np.arange(l) < rank(sigma, max(X.shape[1:]))[:, None]
    U = np.where(there[..., None], right[:, :l, :], 0)
    parts = (X @ U.swapaxes(-1, -2)) @ U
    past = np.stack([_antidiagonal_mean(parts, back) for back in range(L - 1, 0, -1)], axis=-1)
    last = U[:, :, -1]
    free: Floats = 1.0 - (last * last).sum(axis=-1)
    ahead = (last[:, None, :] @ U[:, :, :-1])[:, 0, :]
    value: Floats = (ahead * past).sum(axis=-1)
    unknown = np.full(len(series), np.nan)
    np.divide(value, free, out=unknown, where=free > np.finfo(float).eps)
    return unknown


def _antidiagonal_mean(parts: Floats, back: int) -> Floats:
    """The reconstructed value `back` places from the end (equation 2): (miners, K, L) to (miners,)."""
    K, L = parts.shape[1:]
    rows = np.arange(max(0, K - back), K)
    columns = K + L - 1 - back - rows
    return np.asarray(parts[:, rows, columns].mean(axis=-1))
