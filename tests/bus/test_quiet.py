"""Log lines that repeat, and the pauses between tries."""

from __future__ import annotations

import logging
import random

import pytest

from mint.bus.bus import BACKOFF_CAP_S, BACKOFF_FIRST_S, backoff_s
from mint.bus.quiet import MAX_KINDS, Quiet


def test_says_it_once_then_at_most_once_a_minute_with_the_count(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    quiet = Quiet(logging.getLogger("test"), clock=lambda: now)
    for _ in range(5):
        quiet.warning("a", "trouble")
    quiet.warning("b", "other trouble")
    now = 61.0
    quiet.warning("a", "trouble")
    quiet.forget("a")
    quiet.warning("a", "trouble again")
    assert caplog.messages == ["trouble", "other trouble", "trouble (and 4 more like it)", "trouble again"]


def test_remembers_no_more_kinds_than_it_says() -> None:
    quiet = Quiet(logging.getLogger("test"))
    for n in range(MAX_KINDS + 5):
        quiet.warning(str(n), "x")
    assert len(quiet._said) == MAX_KINDS


def test_backoff_doubles_up_to_its_cap_with_full_jitter() -> None:
    rng = random.Random(1)
    for attempt in (0, 3, 8, 9, 10_000):
        highest = min(BACKOFF_CAP_S, BACKOFF_FIRST_S * 2.0 ** min(attempt, 64))
        drawn = [backoff_s(attempt, rng) for _ in range(400)]
        assert 0 <= min(drawn) < 0.05 * highest
        assert 0.95 * highest < max(drawn) <= highest
