"""The twin manager's core: which verdicts and receipts a frame takes note of."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from mint.charter.seal import SealedCharter
from mint.errors import Reason, Rejected
from mint.frames import NO_HASH
from mint.messages.frame import MAX_DECISIONS, Frame
from mint.messages.judgement import Alarm
from mint.messages.sample import Twin
from mint.verdict import Proven
from tests.builders import T0_MS, Net, S
from tests.twin_broker.bare import NET, NOW, begun, edge, frame_of, manager, said
from twin_broker.core import Closed, TwinManager


def proven(miner: str = "m01", offence: int = 1, until: int = 5, frame: int = 1) -> Proven:
    sealed: SealedCharter = NET.sealed
    nothing: Any = None
    known = sealed.charter.miners_by_name()[miner]
    return Proven(known, offence, 1, frame, NO_HASH, until, "budget", 1, nothing, nothing, b"", 1, sealed)


def note(core: TwinManager, mark: bytes, given_: Proven) -> None:
    core.verdict(mark * 32, envelope(mark), given_)


def envelope(mark: bytes) -> bytes:
    """What stands for a verdict's: here nobody looks into it."""
    return NET.signer("det1").object(Alarm(0, "m01", "budget", mark.decode()))


def noted(closed: Closed) -> list[tuple[bytes, str, int]]:
    return [(d.verdict[:1], d.miner, d.offence) for d in frame_of(closed).decisions]


def offences(closed: Closed) -> dict[str, int]:
    return {miner.miner: miner.offences for miner in frame_of(closed).miners}


def test_an_offence_is_noted_once_whoever_publishes_it_and_counted_in_every_frame_from_then_on() -> None:
    core, _ = begun()
    note(core, b"1", proven())
    note(core, b"2", proven())  # another's certificate of the same
    note(core, b"3", proven("m03"))
    closed = core.close(NOW + 2 * S, T0_MS)
    assert noted(closed) == [(b"1", "m01", 1), (b"3", "m03", 1)]
    assert closed.verdicts == (envelope(b"1"), envelope(b"3"))
    assert said(closed, Twin)[0].condition == "convicted"
    assert offences(closed) == {"m01": 1, "m03": 1}
    note(core, b"2", proven())
    closed = core.close(NOW + 3 * S, T0_MS)
    assert (noted(closed), closed.verdicts, offences(closed)) == ([], (), {"m01": 1, "m03": 1})


def test_a_frame_notes_one_offence_of_a_miner_and_the_next_frame_the_next() -> None:
    core, _ = begun()
    for number, mark in enumerate((b"1", b"2", b"3"), start=1):
        note(core, mark, proven(offence=number))
    frames = [core.close(NOW + n * S, T0_MS) for n in (2, 3, 4, 5)]
    assert [noted(closed) for closed in frames] == [
        [(b"1", "m01", 1)],
        [(b"2", "m01", 2)],
        [(b"3", "m01", 3)],
        [],
    ]
    assert [offences(closed)["m01"] for closed in frames] == [1, 2, 3, 3]


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        (proven(offence=2), Reason.BAD_CHAIN),
        (proven("m02"), Reason.IMPOSSIBLE),  # whose device has not spoken
        (proven(frame=2), Reason.NOT_PROVEN),  # the frame that notes it would be that one, or before it
    ],
)
def test_a_verdict_that_does_not_come_next_is_refused(given_: Proven, reason: Reason) -> None:
    core, _ = begun()
    with pytest.raises(Rejected) as caught:
        note(core, b"1", given_)
    assert caught.value.reason is reason
    assert noted(core.close(NOW + 2 * S, T0_MS)) == []


def test_a_twin_is_convicted_until_its_quota_is_back() -> None:
    core, _ = begun()
    note(core, b"1", proven())
    core.receipt(b"r" * 32, "m01", restored=False)
    core.receipt(b"r" * 32, "m01", restored=False)
    closed = core.close(NOW + 2 * S, T0_MS)
    assert frame_of(closed).receipts == (b"r" * 32,)
    assert said(closed, Twin)[0].condition == "convicted"
    core.receipt(b"s" * 32, "m01", restored=True)
    assert said(core.close(NOW + 3 * S, T0_MS), Twin)[0].condition != "convicted"


def test_without_a_receipt_it_is_convicted_to_the_end_of_the_penalty_and_a_round() -> None:
    core, _ = begun()
    note(core, b"1", proven(until=5))
    conditions = [said(core.close(NOW + n * S, T0_MS), Twin)[0].condition for n in range(2, 18)]
    assert conditions == ["convicted"] * 14 + ["fair"] * 2


def test_more_decisions_than_a_frame_holds_go_to_the_next() -> None:
    net = Net(miners=MAX_DECISIONS + 1, devices=1)
    core = manager(net)
    core.sample(net.opened(edge(net=net).sealed(NOW)), NOW)
    core.close(NOW + S, T0_MS)
    for n, miner in enumerate(net.charter.miners):
        given_ = dataclasses.replace(proven(), miner=miner)
        core.verdict(n.to_bytes(32, "big"), b"", given_)
        core.receipt(n.to_bytes(32, "big"), "m01", restored=False)
    first, second = (net.message(core.close(NOW + n * S, T0_MS).data, Frame) for n in (2, 3))
    assert [len(frame.decisions) for frame in (first, second)] == [MAX_DECISIONS, 1]
    assert [len(frame.receipts) for frame in (first, second)] == [MAX_DECISIONS, 1]
