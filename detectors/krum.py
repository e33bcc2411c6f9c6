"""Krum (equations 10 and 11), in exact integers.

    s(i) = sum of ||B_i - B_j||^2 over the n - f - 2 vectors B_j closest to B_i, j != i      (10)
    B* = the B_i with the smallest s(i)                                                     (11)

n vectors of which at most f are Byzantine; n >= 2f + 3. Ties go to the smallest miner id.

Distances are ||a||^2 + ||b||^2 - 2ab, a shortcut that in rounded arithmetic gives negative distances and
another B*. Here it is exact: columns are shifted to begin at zero (distances do not change), and the largest
number that can occur then chooses the arithmetic: float64, whose matrix product is exact in any order as long
as no sum exceeds 2^53; int64; or Python's own integers. Rows are worked off in blocks of bounded memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mint.errors import InputError

# Distances held at a time: 32 MiB of 8-byte numbers.
BLOCK = 1 << 22


@dataclass(frozen=True)
class Krum:
    """`scores`: s(i), row by row; `best`: the row of B*."""

    scores: tuple[int, ...]
    best: int


def krum(G: NDArray[np.int64], f: int, miners: Sequence[str] | None = None) -> Krum:
    """Scores and benchmark of the behaviour vectors G (n x d, int64), at most f of them Byzantine.

    `miners` are the rows' ids, which decide ties; without them rows count as sorted by id. InputError when
    n < 2f + 3.
    """
    matrix = _checked(G)
    n = len(matrix)
    if f < 0 or n < 2 * f + 3:
        raise InputError(
            "f_miners", f"Krum needs n >= 2f + 3, not n = {n}, f = {f}", "name more miners or fewer f"
        )
    if miners is not None and len(miners) != n:
        raise InputError("krum", f"{len(miners)} miner ids for {n} vectors", "give one id a vector")
    V, bound = _shifted(matrix)
    norms = (V * V).sum(axis=1)
    closest = n - f - 2
    scores: list[int] = []
    for start in range(0, n, max(1, BLOCK // n)):
        rows = V[start : start + max(1, BLOCK // n)]
        stop = start + len(rows)
        distances = norms[start:stop, None] + norms[None, :] - 2 * (rows @ V.T)
        # A vector is no neighbour of its own: the largest possible distance takes its place, at the far end.
        distances[np.arange(stop - start), np.arange(start, stop)] = bound + 1
        distances.partition(closest - 1, axis=1)
        scores += _row_sums(distances[:, :closest], bound)
    names: Sequence[Any] = range(n) if miners is None else miners
    best = min(range(n), key=lambda row: (scores[row], names[row]))
    return Krum(tuple(scores), best)


def far_from_benchmark(G: NDArray[np.int64], best: int) -> tuple[int, ...]:
    """Squared distance of every row of G to row `best`, exact."""
    V, bound = _shifted(_checked(G))
    difference = V - V[best]
    return tuple(_row_sums(difference * difference, bound))


def _checked(G: NDArray[np.int64]) -> NDArray[np.int64]:
    if G.ndim != 2 or G.dtype != np.int64 or G.shape[0] == 0 or G.shape[1] == 0:
        raise InputError("behaviour vectors", f"{G.dtype} of shape {G.shape}", "give int64 of shape (n, d)")
    return G


def _shifted(G: NDArray[np.int64]) -> tuple[NDArray[Any], int]:
    """G with each column shifted to begin at 0, in the cheapest exact arithmetic, and a bound on distances."""
    lowest = G.min(axis=0)
    width = max(int(high) - int(low) for high, low in zip(G.max(axis=0), lowest, strict=True))
    bound = G.shape[1] * width * width
    # Every term and partial sum of a distance is at most twice the bound.
    if 2 * bound + 1 < 2**53:
        return (G - lowest).astype(np.float64), bound
    if 2 * bound + 1 < 2**63:
        return G - lowest, bound
    return G.astype(object) - lowest.astype(object), bound


def _row_sums(numbers: NDArray[Any], bound: int) -> list[int]:
    """Exact sums of rows of whole numbers between 0 and `bound`."""
    if numbers.dtype != object and numbers.shape[1] * bound >= 2**63:
        whole = numbers.astype(np.int64)
        high, low = (whole >> 31).sum(axis=1), (whole & (2**31 - 1)).sum(axis=1)
        return [(int(h) << 31) + int(rest) for h, rest in zip(high, low, strict=True)]
    if numbers.dtype == np.float64:
        numbers = numbers.astype(np.int64)
    return [int(total) for total in numbers.sum(axis=1)]
