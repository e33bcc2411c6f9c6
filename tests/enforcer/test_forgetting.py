"""What an enforcer forgets: miners that left, on purpose; penalties, where its disk was put back to an older state."""

from __future__ import annotations

import msgspec

from tests.enforcer.device import (
    FAIR,
    KEYS,
    LOW,
    MINER,
    Disk,
    convicted,
    device,
    offend,
    proven_with,
    served,
)
from tests.enforcer.offences import CPU_PPM, PERIOD_NS


def test_a_miner_that_left_the_charter_is_forgotten_and_its_name_counts_from_one_again() -> None:
    at = convicted()
    served(at)
    without = tuple(miner for miner in at.charter.miners if miner.name != MINER)
    at.core.take_charter(KEYS.charter(version=2, miners=without).charter)
    change = at.core.pending()
    assert change is not None
    assert change.forgotten == (MINER,)
    at.disk.commit(change)
    assert at.disk.states == {}
    at.retained.clear()
    at.charter = KEYS.charter(version=3).charter
    at.restart()
    at.judge(offend(at))
    assert at.quota == LOW
    assert [(r.action, r.offence) for r in at.disk.receipts][-1] == ("correct", 1)


def test_a_penalty_in_progress_is_not_forgotten_with_its_miner_but_the_count_of_its_offences_is() -> None:
    at = convicted()
    without = tuple(miner for miner in at.charter.miners if miner.name != MINER)
    at.core.take_charter(KEYS.charter(version=2, miners=without).charter)
    at.core.take_charter(KEYS.charter(version=3).charter)
    assert not at.core.knows(MINER, 1)
    at.period()
    assert at.quota == LOW
    served(at)


def test_a_miner_that_another_enforcer_has_for_a_while_is_remembered() -> None:
    at = convicted()
    served(at)
    nodes = tuple(msgspec.structs.replace(node, devices=()) for node in at.charter.nodes)
    at.core.take_charter(KEYS.charter(version=2, nodes=nodes).charter)
    assert at.core.miners == {}
    at.core.take_charter(KEYS.charter(version=3).charter)
    at.judge(at.retained[1])
    assert not at.core.open


# --- a disk that was put back -----------------------------------------------------------------------------------


def test_a_penalty_that_was_paid_and_forgotten_is_not_paid_twice() -> None:
    at = device()
    at.judge(proven_with(offend(at), until=0))
    served(at)
    at.disk = Disk()
    at.writes = 0
    at.restart()  # the broker retains the verdict
    assert not at.core.open
    assert (at.quota, at.writes) == (FAIR, 0)
    assert at.actions() == ["restore"]


def test_only_what_is_still_owed_of_a_forgotten_penalty_is_paid() -> None:
    at = device()
    at.judge(offend(at))
    for _ in range(3):
        at.period()
    owed = at.core.states[MINER].cases[0].books.excess_ns
    at.disk = Disk()
    at.restart()
    assert at.core.states[MINER].cases[0].books.excess_ns == owed
    assert at.quota == LOW
    served(at)
    assert at.usage_ns <= CPU_PPM * (at.mono_ns - 1_000 * PERIOD_NS) // 1_000_000


def test_a_forgotten_offence_of_a_higher_rung_holds_until_the_next_frame_says_that_it_is_over() -> None:
    at = device()
    at.judge(offend(at, offence=2))
    served(at)
    at.disk = Disk()
    at.restart()
    at.period()
    assert not at.core.open
    assert at.quota == FAIR


def test_a_verdict_of_before_the_boot_that_comes_long_after_it_adds_nothing_to_what_was_taken() -> None:
    at = device()
    offence = offend(at)
    at.boot_again()
    at.usage_ns = CPU_PPM * at.mono_ns // 1_000_000  # busy since the boot, at its entitlement
    at.use(1_000)
    at.judge(offence)
    assert at.core.states[MINER].cases[0].books.excess_ns == offence.excess_ns
    served(at)
