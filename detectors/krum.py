"""Krum (equations 10 and 11), in exact integers.

    s(i) = sum of ||B_i - B_j||^2 over the n - f - 2 vectors B_j closest to B_i, j != i      (10)
    B* = the B_i with the smallest s(i)                                                     (11)

n vectors of which at most f are Byzantine; n >= 2f + 3. Ties go to the smallest miner id.

Distances are ||a||^2 + ||b||^2 - 2ab, a shortcut that in rounded arithmetic gives negative distances and
another B*. Here it is exact: columns are shifted to lie about zero (distances do not change), and the largest
number that can occur then chooses the arithmetic: float64, whose matrix product is exact in any order as long
as no sum exceeds 2^53; int64; or Python's own integers. Norms are columns of the factors, so that the product
is the distances. Rows are worked off in blocks that fit a cache: n^2 d multiplications, and n^2 steps to select
the closest; memory grows with n d.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mint.errors import InputError

# Distances held at a time: 8 MiB of 8-byte numbers. Larger blocks leave the cache between product and selection,
# smaller ones keep the product from its best.
BLOCK = 1 << 20


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
    left, right = _factors(V)
    closest, step = n - f - 2, max(1, BLOCK // n)
    block = np.empty((min(step, n), n), V.dtype)
    # Distances to vectors that are the same are equal, and among many equal numbers numpy selects in twenty times the
    # time: then it sorts, in twice.
    alike = step < n and len(np.unique(right[-1])) < n - n // 100
    scores: list[int] = []
    for start in range(0, n, step):
        rows = left[start : start + step]
        distances = np.matmul(rows, right, out=block[: len(rows)])
        # A vector is no neighbour of its own: more than any distance takes its place, at the far end.
        distances.flat[start :: n + 1] = bound
        if alike:
            distances.sort(axis=1)
        else:
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
    """G with each column shifted to lie about 0, in the cheapest exact arithmetic, and more than any distance.

    With columns at most `width` wide, numbers are at most (width + 1) / 2 from 0, and the terms of a distance as
    `_factors` has it add up to d (width + 1)^2 at most, whatever their signs.
    """
    lowest, highest = G.min(axis=0), G.max(axis=0)
    width = max(high - low for high, low in zip(highest.tolist(), lowest.tolist(), strict=True))
    bound = G.shape[1] * (width + 1) ** 2
    if bound < 2**63:
        centred = G - (lowest + (highest - lowest) // 2)
        return (centred.astype(np.float64) if bound <= 2**53 else centred), bound
    return G.astype(object), bound


def _factors(V: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two matrices whose product is the squared distances of all rows of V."""
    n, d = V.shape
    left, right = np.empty((n, d + 2), V.dtype), np.empty((d + 2, n), V.dtype)
    left[:, :d], left[:, d], left[:, d + 1] = V, (V * V).sum(axis=1), 1
    right[:d], right[d], right[d + 1] = -2 * V.T, 1, left[:, d]
    return left, right


def _row_sums(numbers: NDArray[Any], bound: int) -> list[int]:
    """Exact sums of rows of whole numbers from 0 to below `bound`."""
    if numbers.dtype != object and numbers.shape[1] * bound >= 2**63:
        whole = numbers.astype(np.int64)
        high, low = (whole >> 31).sum(axis=1), (whole & (2**31 - 1)).sum(axis=1)
        return [(int(h) << 31) + int(rest) for h, rest in zip(high, low, strict=True)]
    if numbers.dtype == np.float64:
        numbers = numbers.astype(np.int64)
    sums: list[int] = numbers.sum(axis=1).tolist()
    return sums
