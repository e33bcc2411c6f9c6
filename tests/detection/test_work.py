"""The books of work: the largest log-likelihood ratio of all windows, and what makes a past begin again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.observation import Observation
from detectors.work import DIP, WorkLedger
from mint.work import DESIGNS, Count, WorkRule

HASHES = 2_000_000
RULE = WorkRule(HASHES, HASHES * 50_000 * 334 // 10**9, 50_000)
SHARE_NS = 50_000_000  # a second's entitlement


class Read(NamedTuple):
    """What one miner shows in one observation."""

    usage_ns: int
    shares: int
    epoch: int = 1
    boot: int = 1

    @property
    def told(self) -> Count:
        """As the law has it."""
        return Count(self.usage_ns, self.shares)


NOTHING = Read(0, 0)


def push(ledger: WorkLedger, number: int, *reads: Read | None) -> None:
    """One observation; None: no reading of that miner."""
    shown = [read or Read(7, 7) for read in reads]
    usage, shares, epoch, boot = np.array(shown, np.int64).T
    none = np.zeros(len(reads), np.int64)
    present = np.array([read is not None for read in reads], bool)
    ledger.push(
        Observation(number, present, none, none, usage, none, boot, epoch, shares=shares.copy()), present
    )


def fed(trace: list[Read | None], rule: WorkRule = RULE) -> WorkLedger:
    """The books after these readings, numbered from 0."""
    ledger = WorkLedger([rule])
    for number, read in enumerate(trace):
        push(ledger, number, read)
    return ledger


def cheats(seconds: int, first: Read = NOTHING) -> list[Read | None]:
    """Three times the shares that its CPU time explains."""
    return [
        first._replace(usage_ns=first.usage_ns + SHARE_NS * t, shares=first.shares + 9 * t)
        for t in range(seconds)
    ]


Steps = st.lists(
    st.none() | st.tuples(st.integers(0, 3 * SHARE_NS), st.integers(0, 60)), min_size=1, max_size=40
)


class Seen(NamedTuple):
    """A reading, its number, and by design whether it is the bottom of a dip."""

    number: int
    read: Read
    dip: tuple[bool, ...]


def in_a_dip(zs: list[tuple[int, ...]], bounds: tuple[int, ...]) -> tuple[bool, ...]:
    """Whether the last of these z, one an observation, is about half a bound below one of the DIP before."""
    *before, now = zs[-DIP - 1 :]
    return tuple(
        max((z[k] for z in before), default=now[k]) - now[k] > bound // 2 - 1000
        for k, bound in enumerate(bounds)
    )


@settings(max_examples=200, deadline=None)
@given(Steps)
def test_convicted_is_whom_some_window_that_ends_now_proves(steps: list[tuple[int, int] | None]) -> None:
    ledger, now, zs, told = WorkLedger([RULE]), Read(0, 0), list[tuple[int, ...]](), list[Seen]()
    for number, step in enumerate(steps):
        if step is not None:
            now = Read(now.usage_ns + step[0], now.shares + step[1])
        push(ledger, number, None if step is None else now)
        if told or step is not None:
            zs.append(
                tuple(
                    one.ln * now.shares - cost * now.usage_ns // 10**9
                    for one, cost in zip(DESIGNS, RULE.costs, strict=True)
                )
            )
        if step is None:
            assert not ledger.convicted[0]
            continue
        proven = [first for first in told if RULE.proves(first.read.told, now.told)]
        if ledger.convicted[0]:
            since = ledger.began(0)
            first = next(one for one in proven if one.number == since)
            assert ledger.shown(0) == (now.shares - first.read.shares, now.usage_ns - first.read.usage_ns)
            assert since in ledger.origins(0)
        else:  # what rounding a step takes off
            a_little_more = Count(now.usage_ns + 100_000, now.shares)
            assert not any(RULE.proves(one.read.told, a_little_more) for one in proven if not any(one.dip))
        told.append(Seen(number, now, in_a_dip(zs, RULE.bounds)))


@pytest.mark.parametrize("held_s", [5, 20, 60])
def test_an_agent_that_was_held_up_makes_no_cheat_of_its_miner(held_s: int) -> None:
    """Its first sample then has the CPU time and not the shares, the next has all of them."""
    honest = [Read(SHARE_NS * t, 3 * t) for t in range(300)]
    late = honest[100 + held_s]._replace(shares=honest[100].shares)
    ledger = fed([*honest[:100], late])
    for number, read in enumerate(honest[101 + held_s :], 101):
        push(ledger, number, read)
        assert not ledger.convicted[0]


def test_a_miner_that_rests_from_work_gains_little_by_it() -> None:
    """Ten minutes of CPU time without a share, then double."""
    idle = [Read(SHARE_NS * t, 0) for t in range(600)]
    ledger = fed(list(idle))
    for number, read in enumerate(cheats(60, idle[-1])):
        push(ledger, 600 + number, read)
        if ledger.convicted[0]:
            break
    assert number < 45


def test_an_honest_miner_is_not_convicted_and_a_cheat_is() -> None:
    honest = [Read(SHARE_NS * t, 3 * t) for t in range(600)]
    assert not fed(list(honest)).above(0)
    assert fed([*honest, *cheats(60, honest[-1])]).convicted[0]


@pytest.mark.parametrize(
    "again",
    [
        lambda read: read._replace(epoch=2),
        lambda read: read._replace(boot=2),
        lambda read: read._replace(usage_ns=0),
        lambda read: read._replace(shares=0),
    ],
)
def test_what_is_not_known_proves_nothing(again) -> None:  # type: ignore[no-untyped-def]
    trace = cheats(60)
    ledger = fed(trace)
    assert ledger.convicted[0]
    push(ledger, 60, again(trace[-1]))
    assert not ledger.convicted[0]
    assert not ledger.above(0)
    assert ledger.began(0) == 60


def test_a_missing_reading_ends_nothing() -> None:
    trace = cheats(60)
    assert fed([*trace[:20], None, None, *trace[22:]]).convicted[0]


def test_what_was_decided_on_is_not_held_against_it_again() -> None:
    trace = cheats(100)
    ledger = fed(trace[:60])
    ledger.rebaseline(0)
    assert not ledger.above(0)
    for number in range(60, 64):
        push(ledger, number, trace[number])
        assert not ledger.convicted[0]
    for number in range(64, 100):
        push(ledger, number, trace[number])
    assert ledger.convicted[0]
    assert ledger.began(0) >= 59


def test_who_has_no_rule_is_never_convicted() -> None:
    ledger = WorkLedger([None, RULE])
    for number, read in enumerate(cheats(60)):
        push(ledger, number, read, read)
    assert ledger.convicted.tolist() == [False, True]


def test_miners_keep_their_past_where_they_are_put_elsewhere() -> None:
    ledger = WorkLedger([RULE, RULE])
    for number, read in enumerate(cheats(60)):
        push(ledger, number, Read(number * SHARE_NS, 0), read)
    ledger.arrange([1, -1, 0], [RULE, RULE, RULE])
    assert [ledger.above(row) for row in range(3)] == [True, False, False]
    assert ledger.origins(1) == set()


def test_books_are_the_same_after_they_were_put_away() -> None:
    trace = cheats(60)
    whole, half = fed(trace), fed(trace[:30])
    again = WorkLedger([RULE])
    again.restore(half.state())
    for number in range(30, 60):
        push(again, number, trace[number])
    assert again.state() == whole.state()


@pytest.mark.parametrize("shares", [2**63 - 1, 2**41])
def test_numbers_that_no_miner_can_have_overflow_nothing(shares: int) -> None:
    ledger = WorkLedger([RULE])
    push(ledger, 0, Read(0, 0))
    push(ledger, 1, Read(SHARE_NS, shares))
    assert ledger.convicted[0]
    assert RULE.proves(Count(0, 0), Count(SHARE_NS, shares))
    push(ledger, 2, Read(2**63 - 1, shares))
    assert not ledger.above(0)
    for number in range(3, 40):
        push(ledger, number, Read(0, 0, boot=number))
        push(ledger, number, Read(2**50 - 1, shares, boot=number))
    assert ledger.low[0, 0] <= ledger.z[0, 0]
