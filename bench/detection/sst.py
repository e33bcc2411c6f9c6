"""Singular spectrum transformation, the change score of changepoynt's SST, from the papers it implements.

changepoynt itself cannot be locked as wheels (docs/decisions/0002-dependencies.md). This is the exact score that
its randomised and Krylov variants approximate: with H_1 the Hankel matrix of the past windows and H_2 that of the
present ones, a few samples on, u_1 ... u_r the r leading left singular vectors of H_1 and beta the first of H_2,

    score = 1 - sum_i (u_i . beta)^2

(Ide and Inoue 2005; Ide and Tsuda 2007). Defaults are changepoynt's: as many windows as a window is long, a third of
that as the lag, r = 5.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WINDOW = 20
LAG = WINDOW // 3
RANK = 5
# Samples that one score looks at.
SPAN = 2 * WINDOW - 1 + LAG
# Scores that are computed at once: their matrices take 7 MiB.
BLOCK = 1024


def scores(series: Floats, *, centred: bool) -> Floats:
    """The score of each sample of a series, (T,), at the newest sample it looks at; 0 before the first.

    `centred`: each window less its mean, so that a constant offset is not what everything has in common.
    """
    result = np.zeros(len(series))
    windows = sliding_window_view(series, WINDOW)
    if centred:
        windows = windows - windows.mean(axis=1, keepdims=True)
    past = sliding_window_view(windows, WINDOW, axis=0)[: len(series) - SPAN + 1]
    for first in range(0, len(past), BLOCK):
        H1 = past[first : first + BLOCK]
        H2 = sliding_window_view(windows, WINDOW, axis=0)[first + LAG : first + LAG + len(H1)]
        _, U = np.linalg.eigh(H1 @ H1.swapaxes(-1, -2))
        _, V = np.linalg.eigh(H2 @ H2.swapaxes(-1, -2))
        within = (U[:, :, -RANK:].swapaxes(-1, -2) @ V[:, :, -1:])[..., 0]
        at = first + SPAN - 1
        result[at : at + len(H1)] = np.clip(1 - (within**2).sum(axis=-1), 0.0, 1.0)
    return result
