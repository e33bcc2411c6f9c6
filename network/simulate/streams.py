"""Random numbers from one seed: a source of its own for every purpose, so that more use of one changes no other."""

from __future__ import annotations

import random


def stream(seed: int, *purpose: str | int) -> random.Random:
    """The source of `seed` for `purpose`; the same in every process (a text seed is hashed by SHA-512)."""
    return random.Random("/".join(map(str, (seed, *purpose))))  # noqa: S311 (a simulation has no secrets)
