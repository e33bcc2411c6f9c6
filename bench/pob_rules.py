"""Krum, Multi-Krum and Bulyan side by side, their choices in exact integers; MinT decides by Krum alone.

Each is a way to tell which vectors to build on; the paper needs one, B*, and scores.

- Krum (Blanchard et al. 2017): s(i) as in equation 10; B* has the lowest.
- Multi-Krum (the same): the n - f vectors with the lowest s(i), averaged. Its scores are Krum's.
- Bulyan (El Mhamdi et al. 2018): picks n - 2f vectors one by one, each the best of Krum among those that are left, and
  takes, coordinate by coordinate, the mean of the n - 4f picked values closest to their median. n >= 4f + 3. Among the
  last that are left, f that are alike are each other's closest, and picked: its trimming is what bears them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.krum import krum
from detectors.observation import Floats, Ints


@dataclass(frozen=True)
class Choice:
    """What a rule makes of one matrix: the rows it builds on, those it leaves out, worst last, and what it builds."""

    picked: tuple[int, ...]
    left: tuple[int, ...]
    benchmark: Floats


def by_krum(G: Ints, f: int) -> Choice:
    """B* alone; everyone else by score."""
    order = _by_score(krum(G, f).scores)
    return Choice(order[:1], order[1:], G[order[0]].astype(np.float64))


def by_multi_krum(G: Ints, f: int) -> Choice:
    """The n - f of the lowest scores."""
    order = _by_score(krum(G, f).scores)
    picked = order[: len(G) - f]
    return Choice(picked, order[len(G) - f :], G[list(picked)].mean(axis=0))


def by_bulyan(G: Ints, f: int) -> Choice:
    """The n - 2f that Krum picks one after another; the rest by their distances to these. ValueError if n < 4f + 3."""
    n = len(G)
    if n < 4 * f + 3:
        raise ValueError(f"Bulyan needs n >= 4f + 3, not n = {n}, f = {f}")
    difference = G[:, None, :] - G[None, :, :]
    distances = (difference * difference).sum(axis=2)
    left, picked = list(range(n)), []
    for _ in range(n - 2 * f):
        among = np.sort(distances[np.ix_(left, left)], axis=1)[:, 1:]  # without its own
        scores = among[:, : max(1, len(left) - f - 2)].sum(axis=1).tolist()
        picked.append(left.pop(scores.index(min(scores))))
    far = np.sort(distances[np.ix_(left, picked)], axis=1)[:, : n - 3 * f].sum(axis=1).tolist()
    return Choice(tuple(picked), tuple(left[row] for row in _by_score(far)), _trimmed(G[picked], n - 4 * f))


def _trimmed(values: Ints, keep: int) -> Floats:
    """Coordinate by coordinate, the mean of the `keep` values closest to the median."""
    away = np.abs(values - np.median(values, axis=0))
    closest = np.argsort(away, axis=0, kind="stable")[:keep]
    return np.asarray(np.take_along_axis(values, closest, axis=0).mean(axis=0))


def _by_score(scores: tuple[int, ...] | list[int]) -> tuple[int, ...]:
    return tuple(sorted(range(len(scores)), key=lambda row: (scores[row], row)))
