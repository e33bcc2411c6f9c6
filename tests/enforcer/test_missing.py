"""A verdict that passed the enforcer by is found by the log's count, and asked of whoever holds the frame."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.missing import GRACE_NS, MAX_WANTS, MOST_NS
from enforcer.state import MinerState, Saved
from mint.charter.model import Resume
from mint.charter.seal import SealedCharter
from mint.effects import Now, Say
from mint.errors import Reason
from mint.messages.frame import Decision, Frame, FrameReply, FrameRequest, MinerEntry
from tests.enforcer.offences import CPU_PPM, DETECTORS, FOG, MANAGER, MINERS, PERIOD_MS, PERIOD_NS, Keys
from tests.enforcer.test_enforcer import MINER, Edge, verdict

KEYS = Keys()
TOPICS = KEYS.sealed.topics()
HOLDERS = (MANAGER, *DETECTORS)
COUNT_FRAMES = 10


class Log:
    """The frames of a network in which MINER is decided on in some of them, and whoever has them."""

    def __init__(self, *decided: int, charter: SealedCharter = KEYS.sealed) -> None:
        self.decided, self.charter = decided, charter
        self.verdicts = {
            number: KEYS.signer(DETECTORS[0]).object(verdict(KEYS, offence=n))
            for n, number in enumerate(decided, 1)
        }
        self._replies = {name: KEYS.signer(name) for name in HOLDERS}

    def frame(self, number: int) -> bytes:
        past = [one for one in self.decided if one <= number]
        counts = (len(past), max(past, default=0))
        entry = MinerEntry(MINER, False, 0, 0, 0, 0, 0, 0, 0, 0, CPU_PPM, *counts, 0)
        noted = (Decision(bytes(32), MINER, counts[0]),) if counts[1] == number else ()
        frame = Frame(
            FOG, number, bytes(32), self.charter.hash, number * PERIOD_MS, bytes(32), (), (entry,), noted, ()
        )
        return KEYS.signer(MANAGER).object(frame)

    def reply(self, asked: FrameRequest, edge: Edge) -> tuple[str, bytes]:
        numbers = range(asked.first, asked.first + asked.count)
        proofs = tuple(self.verdicts[number] for number in numbers if number in self.verdicts)
        reply = FrameReply(asked.first, b"", tuple(map(self.frame, numbers)), proofs)
        topic = TOPICS.frame_reply(asked.client)
        return topic, self._replies[asked.holder].stream(reply, topic, edge.now.wall_ms)


def asks(edge: Edge, *, after_ns: int = 0) -> list[FrameRequest]:
    """What it asks for in the period to come."""
    edge.now = Now(edge.now.monotonic_ns + PERIOD_NS + after_ns, edge.now.wall_ms)
    said = [one for one in edge.enforcer.tick(edge.now) if isinstance(one, Say)]
    assert all(one.topic == TOPICS.frame_request() for one in said)
    return [one.message for one in said if isinstance(one.message, FrameRequest)]


def counted(edge: Edge, log: Log, number: int) -> None:
    """A frame comes when the next is due to be counted."""
    edge.now = Now(edge.now.monotonic_ns + COUNT_FRAMES * PERIOD_NS, edge.now.wall_ms)
    assert edge.hears(TOPICS.frame(), log.frame(number)) == []


def test_a_verdict_whose_place_the_next_one_took_is_asked_for_and_carried_out() -> None:
    log, edge = Log(20, 25), Edge(KEYS)
    counted(edge, log, 1)
    assert edge.hears_verdict(verdict(KEYS, offence=2)) == [MINER]
    assert not edge.enforcer.core.knows(MINER, 1)
    counted(edge, log, 30)
    assert asks(edge) == [], "it may still be on its way"
    (asked,) = asks(edge, after_ns=GRACE_NS)
    assert (asked.holder, asked.first, asked.count, asked.proofs) == (MANAGER, 24, 2, True)
    assert edge.hears(*log.reply(asked, edge)) == []
    (asked,) = asks(edge)
    assert (asked.first, asked.count) == (19, 2)
    assert edge.hears(*log.reply(asked, edge)) == [MINER]
    assert edge.enforcer.core.knows(MINER, 1)
    assert asks(edge, after_ns=MOST_NS) == []
    assert edge.rejected() == []


def test_what_comes_by_itself_is_not_asked_for() -> None:
    log, edge = Log(20), Edge(KEYS)
    counted(edge, log, 1)
    counted(edge, log, 21)
    assert edge.hears_verdict(verdict(KEYS)) == [MINER]
    assert asks(edge, after_ns=GRACE_NS) == []


def test_the_past_of_a_miner_that_is_new_to_us_is_settled_but_for_its_last_offence() -> None:
    log, edge = Log(5, 10, 15), Edge(KEYS)
    counted(edge, log, 100)
    (asked,) = asks(edge, after_ns=GRACE_NS)
    assert asked.first == 14
    assert edge.hears(*log.reply(asked, edge)) == [MINER]
    assert asks(edge, after_ns=MOST_NS) == []
    assert all(edge.enforcer.core.knows(MINER, offence) for offence in (1, 2, 3))
    assert [case.offence for case in edge.enforcer.core.states[MINER].cases] == [3]


def test_what_was_counted_once_is_known_after_a_restart() -> None:
    log, edge = Log(20, 25), Edge(KEYS)
    counted(edge, log, 1)
    batch = edge.enforcer.pending()
    assert batch is not None
    assert batch.change.states == {MINER: MinerState(counted=True)}
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(batch.change.states[MINER]), type=MinerState)
    again = Edge(KEYS, saved=Saved({MINER: stored}, 0, batch.change.frame))
    counted(again, log, 30)
    (asked,) = asks(again, after_ns=GRACE_NS)
    again.hears(*log.reply(asked, again))
    (asked,) = asks(again)
    again.hears(*log.reply(asked, again))
    assert [case.offence for case in again.enforcer.core.states[MINER].cases] == [1, 2]


def test_holders_are_asked_in_turn_ever_more_seldom_and_for_ever() -> None:
    log, edge = Log(20), Edge(KEYS)
    counted(edge, log, 1)
    counted(edge, log, 30)
    told: list[tuple[int, str]] = []
    begun_ns = edge.now.monotonic_ns
    hours = 3
    while edge.now.monotonic_ns < begun_ns + hours * 3600 * 10**9:
        told += [(edge.now.monotonic_ns, asked.holder) for asked in asks(edge)]
    assert [holder for _, holder in told[: 2 * len(HOLDERS)]] == [*HOLDERS, *HOLDERS]
    assert len(told) < 10 * len(HOLDERS) + hours * 3600 * 10**9 // MOST_NS
    last, before = told[-1][0], told[-2][0]
    assert MOST_NS <= last - before <= MOST_NS + 2 * PERIOD_NS


def test_what_nobody_needs_to_show_any_more_is_not_asked_for() -> None:
    log, edge = Log(20), Edge(KEYS)
    counted(edge, log, 1)
    counted(edge, log, 30)
    fewer = tuple(one for one in KEYS.sealed.charter.miners if one.name != MINER)
    edge.hears_charter(KEYS.charter(version=2, miners=fewer))
    assert asks(edge, after_ns=GRACE_NS) == []


def test_what_the_operator_has_made_void_counts_nothing() -> None:
    log, edge = Log(20), Edge(KEYS)
    counted(edge, log, 1)
    edge.hears_charter(KEYS.charter(version=2, resume=Resume(10, bytes(32))))
    counted(edge, log, 30)
    assert asks(edge, after_ns=GRACE_NS) == []


@settings(max_examples=60, deadline=None)
@given(
    proofs=st.lists(st.binary(max_size=300), max_size=5), frames=st.lists(st.binary(max_size=300), max_size=5)
)
def test_whatever_is_shown_instead_is_counted_and_harms_nothing(
    proofs: list[bytes], frames: list[bytes]
) -> None:
    log, edge = Log(20), Edge(KEYS)
    counted(edge, log, 1)
    counted(edge, log, 30)
    (asked,) = asks(edge, after_ns=GRACE_NS)
    topic = TOPICS.frame_reply(asked.client)
    junk = FrameReply(asked.first, b"", tuple(frames), tuple(proofs))
    assert edge.hears(topic, KEYS.signer(DETECTORS[1]).stream(junk, topic, edge.now.wall_ms)) == []
    assert sum(edge.member.rejections.by_reason.values()) == len(proofs) + len(frames)
    assert edge.hears(*log.reply(asked, edge)) == [MINER]


def test_an_answer_counts_once() -> None:
    log, edge = Log(20), Edge(KEYS)
    counted(edge, log, 1)
    counted(edge, log, 30)
    (asked,) = asks(edge, after_ns=GRACE_NS)
    answer = log.reply(asked, edge)
    assert edge.hears(*answer) == [MINER]
    assert edge.hears(*answer) == []
    assert edge.rejected() == [Reason.REPLAYED]


def test_a_manager_that_counts_without_end_has_us_look_for_a_bounded_number() -> None:
    edge = Edge(KEYS)
    counted(edge, Log(), 1)
    for number in range(2, 3 * MAX_WANTS):
        entry = MinerEntry(MINER, False, 0, 0, 0, 0, 0, 0, 0, 0, CPU_PPM, number, number, 0)
        frame = Frame(
            FOG, number, bytes(32), KEYS.sealed.hash, number * PERIOD_MS, bytes(32), (), (entry,), (), ()
        )
        edge.now = Now(edge.now.monotonic_ns + COUNT_FRAMES * PERIOD_NS, edge.now.wall_ms)
        edge.hears(TOPICS.frame(), KEYS.signer(MANAGER).object(frame))
    assert len(asks(edge, after_ns=MOST_NS)) == MAX_WANTS


def test_miners_of_others_are_not_ours_to_look_for() -> None:
    edge = Edge(KEYS)
    entry = MinerEntry("miner_99", False, 0, 0, 0, 0, 0, 0, 0, 0, CPU_PPM, 1, 1, 0)
    frame = Frame(FOG, 2, bytes(32), KEYS.sealed.hash, 0, bytes(32), (), (entry,), (), ())
    edge.hears(TOPICS.frame(), KEYS.signer(MANAGER).object(frame))
    assert asks(edge, after_ns=GRACE_NS) == []
    assert "miner_99" not in MINERS
    assert edge.enforcer.core.states == {}
