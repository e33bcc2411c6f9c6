"""Bytes from anywhere end in a message or in `Rejected`, in every way in (tests/fuzz/decoders.py).

`python -m tests.fuzz` goes on with other seeds for as long as one likes.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mint import kinds
from tests.fuzz.decoders import Decoders, specimens

# Some eight seconds.
ROUNDS = 30_000
WAYS = ("wire", "open_envelope", "open_frame", "open_charter", "verify_verdict", "verify_fault", "read_case")


def test_there_is_a_specimen_of_every_kind_of_message() -> None:
    assert set(specimens().by_kind) == set(kinds.BY_NAME)


def test_whatever_comes_is_taken_or_refused_and_raises_nothing_else(tmp_path: Path) -> None:
    decoders = Decoders(tmp_path)
    for seed in range(ROUNDS):
        decoders.once(random.Random(seed))
    # Where everything is refused, what lies behind was never tried.
    assert {f"{way}: {end}" for way in WAYS for end in ("taken", "refused")} <= set(decoders.counts)


@settings(max_examples=200)
@given(st.randoms(use_true_random=False))
def test_what_hypothesis_draws_is_taken_or_refused_too(rng: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Decoders(Path(folder)).once(rng)
