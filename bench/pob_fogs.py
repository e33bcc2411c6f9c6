"""Fogs of sixteen miners for Proof-of-Behavior's benchmarks: excess frame by frame, honest or with colluders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from detectors.behaviour import PPM, WINDOW
from detectors.observation import Ints

MINERS = 16
# The most Byzantine miners that Krum bears of so many: n >= 2f + 3.
MOST_F = 6
# What each colluder gains, of its entitlement.
GAIN = 0.10
# Standard deviation of a second's use, of entitlement: the highest of real containers that a quota holds.
NOISE = 0.055

Noise = Literal["quota", "independent"]


@dataclass(frozen=True)
class Colluders:
    """The last `f` miners use GAIN more than they may, all through. `same`: their telemetry is the same."""

    noise: Noise
    f: int
    same: bool

    def use(self, rng: np.random.Generator, rounds: int, frames: int) -> Ints:
        """What was used beyond entitlement in each frame, (rounds, frames, miners), in ppm of a frame's entitlement.

        Noise of a quota is the difference of bounded amounts: what a reading came too late for, the next has.
        Independent noise is normal, and adds up.
        """
        if self.noise == "quota":
            # The difference of two uniform numbers from -a to a has variance 2/3 a^2.
            late = rng.uniform(-1, 1, (rounds, frames + 1, MINERS)) * NOISE * np.sqrt(1.5)
            use = np.diff(late, axis=1)
        else:
            use = rng.normal(0, NOISE, (rounds, frames, MINERS))
        first = MINERS - self.f
        if self.same:
            use[:, :, first:] = use[:, :, first, None]
        use[:, :, first:] += GAIN
        return np.asarray(np.rint(use * PPM).astype(np.int64))


def cumulative(use: Ints, d: int, window: int = WINDOW) -> Ints:
    """Vectors as detectors/behaviour.py has them: the last d frames of a window of rounds, (rounds, miners, d)."""
    excess = np.cumsum(use[:, -window * d :], axis=1)[:, -d:]
    return np.ascontiguousarray(excess.swapaxes(1, 2))


def frame_by_frame(use: Ints, d: int) -> Ints:
    """Vectors of what each of the last d frames alone had, (rounds, miners, d)."""
    return np.ascontiguousarray(use[:, -d:].swapaxes(1, 2))
