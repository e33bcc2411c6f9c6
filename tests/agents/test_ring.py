"""The ring of unacknowledged samples: what it keeps, in which order, and what it sends again when."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.ring import MAX_AGAIN, MAX_DOUBLINGS, RING_SAMPLES, Ring

RESEND_NS = 1_000

adds = st.tuples(st.just("add"), st.integers(0, 3), st.integers(1, 500))  # steps of session and sequence
acks = st.tuples(st.just("ack"), st.integers(0, 12), st.integers(0, 5_000))
waits = st.tuples(st.just("wait"), st.integers(0, 20_000), st.just(0))
connects = st.tuples(st.just("connect"), st.just(0), st.just(0))
events = st.lists(st.one_of(adds, acks, waits, connects), max_size=200)


def data_of(place: tuple[int, int]) -> bytes:
    return f"{place[0]}/{place[1]}".encode()


@given(events)
def test_the_ring_is_the_last_sixty_without_those_acknowledged(history: list[tuple[str, int, int]]) -> None:
    ring, kept, now, last, dropped = Ring(RESEND_NS), [], 0, (1, 0), 0
    for what, a, b in history:
        if what == "add":
            # a new session begins its sequences anew
            last = (last[0] + 1, b) if a == 3 else (last[0], last[1] + b)
            ring.add(*last, data_of(last), now)
            kept.append(last)
            dropped += len(kept) > RING_SAMPLES
            kept = kept[-RING_SAMPLES:]
        elif what == "ack":
            left = [place for place in kept if place > (a, b)]
            assert ring.acked(a, b) == len(kept) - len(left)
            kept = left
        elif what == "wait":
            now += a
            again = ring.unacked(now)
            places = [data_of(place) for place in kept]
            assert len(again) <= MAX_AGAIN
            assert again == [data for data in places if data in set(again)]  # those bytes, in order, once
        else:
            assert ring.everything(now) == [data_of(place) for place in kept]
        assert len(ring) == len(kept)
        assert ring.dropped == dropped


@given(st.integers(1, RING_SAMPLES), st.integers(0, 200 * RESEND_NS))
def test_a_sample_is_sent_again_with_doubling_waits(samples: int, until: int) -> None:
    ring = Ring(RESEND_NS)
    for sequence in range(1, samples + 1):
        ring.add(1, sequence, data_of((1, sequence)), 0)
    sent: dict[bytes, list[int]] = {}
    for now in range(0, until, RESEND_NS):
        while again := ring.unacked(now):
            for data in again:
                sent.setdefault(data, []).append(now)
    for times in sent.values():
        assert times[0] == RESEND_NS
        waits_seen = [(after - before) // RESEND_NS for before, after in itertools.pairwise(times)]
        assert waits_seen == [2 ** min(k + 1, MAX_DOUBLINGS) for k in range(len(waits_seen))]


def test_nothing_is_sent_again_before_its_time_nor_after_its_ack() -> None:
    ring = Ring(RESEND_NS)
    for sequence in (1, 2, 3):
        ring.add(1, sequence, data_of((1, sequence)), 0)
    assert ring.unacked(RESEND_NS - 1) == []
    assert ring.acked(1, 2) == 2
    assert ring.unacked(RESEND_NS) == [b"1/3"]
    assert ring.unacked(RESEND_NS) == []
    assert ring.acked(1, 3) == 1
    assert ring.everything(0) == []


def test_a_new_connection_starts_the_waits_again() -> None:
    ring = Ring(RESEND_NS)
    ring.add(1, 1, b"a", 0)
    for now in range(0, 20 * RESEND_NS, RESEND_NS):
        ring.unacked(now)
    assert ring.everything(20 * RESEND_NS) == [b"a"]
    assert ring.unacked(21 * RESEND_NS) == [b"a"]


@pytest.mark.parametrize("place", [(1, 5), (1, 4), (0, 9)])
def test_samples_go_in_in_their_order_only(place: tuple[int, int]) -> None:
    ring = Ring(RESEND_NS)
    ring.add(1, 5, b"", 0)
    with pytest.raises(ValueError):
        ring.add(*place, b"", 0)
    assert ring.newest == (1, 5)
