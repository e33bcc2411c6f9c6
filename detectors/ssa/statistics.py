"""The statistics D, S and W (equations 6 to 8), batched over miners.

**n and ticks.** The paper's n counts windows of `span` samples. The first full window is its n = 1 of
equation 8 (W_1 = S_1); the tick of a statistic is that of the newest sample in its window.

**mu.** The paper takes mu_n = D~_{m,I,0,K}, how far the base matrix at m lies from its own subspace, for the
largest m <= n at which no change is accepted; and accepting is W_m <= h, which needs mu_m: a circle. Read
here as: m = n is tried first, and stands if W_n comes out at most h. If not, m is the last window that was
accepted, and S_n and W_n are computed with its mu; n itself is accepted if that W_n is at most h. Before any
window was accepted, m = n.

**Zero variance.** A residual below the rounding of the arithmetic is none at all: D below it is 0, and mu is
never below it; and 0/0, where the whole window is zero, is S = 0. So a constant series scores D = S = 0, and the
least change of it still scores enormously, as the paper has it (direction.py has a floor, for what decides).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.ssa.kernel import kernel
from detectors.ssa.parameters import SsaParameters
from detectors.ssa.trajectory import ANGLE, Floats, decomposed

Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]

# Residuals smaller than this part of a window's root mean square are rounding: float64 carries 2e-16, the
# decomposition and the sums over it some hundred times that.
ROUNDING = 1e-13


def distances(windows: Floats, parameters: SsaParameters) -> tuple[Floats, Floats]:
    """D_{n,I,p,q} (equation 6) and D~_{n,I,0,K} of windows of `span` samples: (miners, span) to 2 x (miners,).

    D is not normalised; D~_{n,I,0,K} is, by L K.
    """
    native = kernel()
    if native is None or not native.takes(parameters):
        D, own = decomposed(windows, parameters)
    else:
        D, own, angle = native.distances(windows, parameters)
        poor = np.flatnonzero(~(angle <= ANGLE))
        if len(poor):
            D[poor], own[poor] = decomposed(windows[poor], parameters)
    nothing = rounding(windows) * (parameters.L * parameters.Q) >= D
    return np.where(nothing, 0.0, D), own


def rounding(windows: Floats) -> Floats:
    """The residual of each window below which it is rounding, and mu is no smaller: (miners,)."""
    squares: Floats = np.einsum("ij,ij->i", windows, windows)  # without a temporary of all of them
    return np.asarray(squares * (ROUNDING**2 / windows.shape[-1]))


@dataclass(frozen=True)
class Statistics:
    """One tick's statistics, each (miners,) and nan where not defined yet; h as in W > h."""

    D: Floats
    S: Floats
    W: Floats
    h: Floats


@dataclass
class Cusum:
    """Equations 7 and 8 between ticks: S_n, W_n, and the mu of the last accepted window, each (miners,).

    `started` says whether a first window came, `settled` whether any was accepted.
    """

    S: Floats
    W: Floats
    mu: Floats
    started: Bools
    settled: Bools

    @classmethod
    def fresh(cls, miners: int) -> Cusum:
        """Before the first window."""
        S, W, mu = np.zeros((3, miners))
        started, settled = np.zeros((2, miners), bool)
        return cls(S, W, mu, started, settled)

    def step(
        self, rows: Indices | slice, windows: Floats, parameters: SsaParameters
    ) -> tuple[Floats, Floats, Floats]:
        """Take the next window of the miners `rows`, (rows, span); returns their D, S and W."""
        D, own = distances(windows, parameters)
        residual = D / (parameters.L * parameters.Q)
        least = rounding(windows)
        S = _ratio(residual, np.maximum(own, least))
        W = self._next(rows, S, parameters)
        doubted = (parameters.h < W) & self.settled[rows]
        if doubted.any():
            S = np.where(doubted, _ratio(residual, np.maximum(self.mu[rows], least)), S)
            W = self._next(rows, S, parameters)
        accepted = parameters.h >= W
        self.mu[rows] = np.where(accepted, own, self.mu[rows])
        self.settled[rows] |= accepted
        self.S[rows], self.W[rows], self.started[rows] = S, W, True
        return D, S, W

    def _next(self, rows: Indices | slice, S: Floats, parameters: SsaParameters) -> Floats:
        """W by equation 8."""
        onward = np.maximum(0.0, self.W[rows] + S - self.S[rows] - parameters.drift)
        return np.where(self.started[rows], onward, S)


def _ratio(residual: Floats, mu: Floats) -> Floats:
    """S (equation 7); 0/0 is 0, for nothing lies outside nothing."""
    return np.divide(residual, mu, out=np.zeros_like(residual), where=mu > 0)
