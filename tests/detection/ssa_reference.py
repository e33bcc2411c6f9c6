"""SSA's distances written out: the SVD of one trajectory matrix, in float64 and with more digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.ssa.parameters import SsaParameters

EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Reference:
    """D and D~ of one window; `doubt`: by how much of themselves rounding may have changed D and D~ in float64."""

    D: float
    own: float
    doubt: tuple[float, float]


def straightforward(window: np.ndarray, P: SsaParameters) -> Reference:
    """Equations 3 to 6 as they stand: embed, decompose, project."""
    X = np.array([window[j : j + P.L] for j in range(max(P.K, P.q))]).T
    U, sigma, _ = np.linalg.svd(X[:, : P.K])
    return _projected(X, U[:, : P.l], sigma, P)


def precise(window: np.ndarray, P: SsaParameters) -> Reference:
    """The same in extended precision, with one-sided Jacobi rotations (Hestenes, 1958)."""
    X = np.array([window[j : j + P.L] for j in range(max(P.K, P.q))], np.longdouble).T
    W = X[:, : P.K].copy()  # its columns become U diag(sigma)
    for _ in range(12):  # more than it takes: convergence is quadratic
        for a in range(P.K - 1):
            for b in range(a + 1, P.K):
                one, other, both = W[:, a] @ W[:, a], W[:, b] @ W[:, b], W[:, a] @ W[:, b]
                if abs(both) <= np.finfo(np.longdouble).eps * np.sqrt(one * other):
                    continue
                ratio = (other - one) / (2 * both)
                t = (1 if ratio >= 0 else -1) / (abs(ratio) + np.hypot(1, ratio))
                c = 1 / np.sqrt(1 + t * t)
                W[:, a], W[:, b] = c * (W[:, a] - t * W[:, b]), c * (t * W[:, a] + W[:, b])
    lengths = np.sqrt((W * W).sum(axis=0))
    order = np.argsort(-lengths)
    sigma = np.zeros(min(P.L, P.K), np.longdouble)
    sigma[:] = lengths[order][: len(sigma)]
    return _projected(X, W[:, order[: P.l]] / sigma[: P.l], sigma, P)


def _projected(X: np.ndarray, U: np.ndarray, sigma: np.ndarray, P: SsaParameters) -> Reference:
    outside = X - U @ (U.T @ X)
    distance = (outside**2).sum(axis=0)
    D, own = distance[P.p : P.q].sum(), distance[: P.K].sum()
    after = sigma[P.l] if P.l < len(sigma) else 0
    if (
        P.l > len(sigma) or sigma[P.l - 1] - after <= 1e-6 * sigma[P.l - 1]
    ):  # fewer than l eigentriples, or a tie
        return Reference(float(D), float(own / (P.L * P.K)), (np.inf, np.inf))
    # Rounding turns u_i towards what is outside by EPSILON sigma_1 / (sigma_i - sigma_{l+1}), and with it what lies
    # along it; each coordinate is rounded too.
    turns = EPSILON * (1 + sigma[0] / (sigma[: P.l] - after))
    doubt = []
    for part, vectors in ((D, X[:, P.p : P.q]), (own, X[:, : P.K])):
        along = np.sqrt(((U.T @ vectors) ** 2).sum(axis=1))
        doubt.append(float(2 * (turns @ along) / max(np.sqrt(part), 1e-300)))
    return Reference(float(D), float(own / (P.L * P.K)), (doubt[0], doubt[1]))
