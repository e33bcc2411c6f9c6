"""The paper's parameters, and the threshold that follows from them (equation 9)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mint.errors import InputError


@dataclass(frozen=True)
class SsaParameters:
    """Parameters of equations 3 to 9, in the paper's symbols; the defaults are the preset `paper`.

    N: samples of the base series. L: window length. p, q: the test matrix holds the lagged vectors p + 1 to
    q. l: eigentriples that make the signal, the l largest. t_alpha: the (1 - alpha) quantile of the standard
    normal distribution. `threshold`: alarms when W is above it; None: h of equation 9.
    """

    N: int = 24
    L: int = 12
    p: int = 12
    q: int = 24
    l: int = 4  # noqa: E741 - the paper's symbol
    t_alpha: float = 1.2815
    threshold: float | None = None

    def __post_init__(self) -> None:
        checks = (
            (self.L >= 2, "L", self.L, "a window length of at least 2"),
            (self.L < self.N, "N", self.N, "more samples than the window length L"),
            (0 < self.l < self.L, "l", self.l, "between 1 and L - 1 eigentriples"),
            (self.p >= 0, "p", self.p, "0 or more"),
            (self.q > self.p, "q", self.q, "more than p, so that Q = q - p > 0"),
            # Equation 9 takes a square root of 3LQ - Q^2 + 1.
            (3 * self.L * self.Q + 1 > self.Q**2, "q", self.q, "Q = q - p of at most 3L"),
            (math.isfinite(self.t_alpha) and self.t_alpha >= 0, "t_alpha", self.t_alpha, "a number >= 0"),
            (
                self.threshold is None or (math.isfinite(self.threshold) and self.threshold > 0),
                "threshold",
                self.threshold,
                "a number > 0, or none for equation 9",
            ),
        )
        for holds, name, value, need in checks:
            if not holds:
                raise InputError(f"SSA parameter {name}", f"{value} is not possible", f"give {need}")

    @property
    def K(self) -> int:  # noqa: N802 - the paper's symbol
        """Lagged vectors in the base matrix."""
        return self.N - self.L + 1

    @property
    def Q(self) -> int:  # noqa: N802 - the paper's symbol
        """Lagged vectors in the test matrix."""
        return self.q - self.p

    @property
    def span(self) -> int:
        """Samples that one n looks at: x_{n+1} to the last one of the base and the test matrix."""
        return max(self.N, self.q + self.L - 1)

    @property
    def drift(self) -> float:
        """What W loses a tick (equation 8): kappa / sqrt(LQ) with kappa = 1 / (3 sqrt(LQ)), so 1 / (3LQ)."""
        return 1 / (3 * self.L * self.Q)

    @property
    def h(self) -> float:
        """The alarm threshold for W: `threshold`, or equation 9."""
        if self.threshold is not None:
            return self.threshold
        L, Q = self.L, self.Q
        return 2 * self.t_alpha / (L * Q) * math.sqrt(Q * (3 * L * Q - Q**2 + 1) / 3)


PAPER = SsaParameters()
# h of detectors/ssa/direction.py, whose W takes the place of equation 8's; `mint calibrate` finds it for a rate.
CALIBRATED = SsaParameters(threshold=6.0)
