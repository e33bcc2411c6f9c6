"""The enforcer between bus and hands, without either: what it takes in, and whom it wants to look at."""

from __future__ import annotations

import logging

import msgspec
import pytest

from enforcer.enforcer import CHECKPOINT_PERIODS, COUNT_PERIODS, MAX_EARLY, Enforcer, Look
from enforcer.ledger import Count
from enforcer.reconcile import Seen, entitled
from enforcer.state import Saved
from mint.bus.options import Incoming
from mint.bus.quiet import Quiet
from mint.charter.model import Miner
from mint.charter.seal import SealedCharter
from mint.effects import Now
from mint.errors import Reason
from mint.keys import new_key
from mint.member import Member
from mint.messages.fault import Fault
from mint.messages.frame import Frame
from mint.messages.judgement import Verdict
from mint.rejections import Rejections
from tests.enforcer.offences import (
    CPU_PPM,
    DETECTORS,
    ELSEWHERE,
    ENFORCER,
    FOG,
    MANAGER,
    MINERS,
    PERIOD_MS,
    PERIOD_NS,
    Keys,
    reading,
)

MINER = MINERS[0]
S = 1_000_000_000
BOOT = b"b" * 16
FAIR, LOW_US = entitled(CPU_PPM), 2_500


class Edge:
    """One enforcer with hands that hold one miner, at rest unless told."""

    def __init__(self, keys: Keys, *charters: SealedCharter, saved: Saved | None = None) -> None:
        self.keys, self.now = keys, Now(10 * S, 1_000)
        log = logging.getLogger("mint.test")
        self.member = Member(
            ENFORCER,
            keys.signer(ENFORCER),
            keys.operator.public,
            charters or (keys.sealed,),
            log=log,
            rejections=Rejections(log, lambda: 0.0),
        )
        self.enforcer = Enforcer(self.member, saved or Saved({}, 0, 0), self.now, Quiet(log, lambda: 0.0))
        self.quota, self.usage_ns = FAIR, 400_000_000

    def hears(self, topic: str, data: bytes) -> list[str]:
        incoming = Incoming(topic, data, False, None, topic)
        effects = self.enforcer.receive(incoming, self.now)
        return [effect.miner for effect in effects if isinstance(effect, Look)]

    def hears_charter(self, sealed: SealedCharter) -> list[str]:
        return self.hears(sealed.topics().charter(), sealed.data)

    def hears_verdict(self, verdict: Verdict) -> list[str]:
        return self.hears(*self.keys.publish(verdict))

    def hears_frame(self, number: int, charter: SealedCharter, keys: Keys | None = None) -> None:
        frame = Frame(FOG, number, bytes(32), charter.hash, number * PERIOD_MS, bytes(32), (), (), (), ())
        data = (keys or self.keys).signer(MANAGER).object(frame)
        assert self.hears(charter.topics().frame(), data) == []

    def looks(self) -> str:
        """Look at the miner and do what is to be done; what was told of it."""
        count = Count(BOOT, 1, self.now.monotonic_ns, self.usage_ns)
        plan = self.enforcer.look(Seen(MINER, self.quota, False, count), self.now)
        assert plan is not None
        if plan.wish is not None and plan.steps:
            self.quota = plan.wish.quota
        self.enforcer.done(plan, Seen(MINER, self.quota, False, count), self.now)
        batch = self.enforcer.pending()
        if batch is None:
            return ""
        self.enforcer.stored(batch)
        return " ".join(receipt.action for receipt in batch.change.receipts)

    def rejected(self) -> list[Reason]:
        return sorted(self.member.rejections.by_reason.elements())


def verdict(
    keys: Keys, charter: SealedCharter | None = None, miner: str = MINER, offence: int = 1
) -> Verdict:
    """A doubling over some seconds."""
    used = [reading(miner, 1, 1 * S, 1 * S, 0), reading(miner, 1, 5 * S, 5 * S, 400_000_000)]
    first, last = keys.samples(used, BOOT)
    named = (charter or keys.sealed).hash
    return keys.verdict(first, last, miner=miner, offence=offence, charter=named)


@pytest.fixture
def keys() -> Keys:
    return Keys()


def without(charter: SealedCharter, miner: str) -> tuple[Miner, ...]:
    return tuple(one for one in charter.charter.miners if one.name != miner)


def test_a_verdict_is_a_look_at_its_miner_and_once(keys: Keys) -> None:
    edge = Edge(keys)
    assert edge.hears_verdict(verdict(keys)) == [MINER]
    assert edge.looks() == "correct"
    assert edge.quota.quota_us == LOW_US
    assert edge.hears_verdict(verdict(keys)) == []
    assert edge.rejected() == []


def test_once_a_period_every_miner_of_ours_is_looked_at(keys: Keys) -> None:
    edge = Edge(keys)
    assert edge.enforcer.due_ns() == edge.now.monotonic_ns
    assert edge.enforcer.tick(edge.now) == tuple(Look(miner) for miner in MINERS)
    assert edge.enforcer.due_ns() == edge.now.monotonic_ns + PERIOD_NS


def test_open_books_are_stored_now_and_then(keys: Keys) -> None:
    edge = Edge(keys)
    edge.hears_verdict(verdict(keys))
    edge.looks()
    stored = 0
    for n in range(1, 2 * CHECKPOINT_PERIODS + 1):
        edge.now = Now(edge.now.monotonic_ns + PERIOD_NS, edge.now.wall_ms)
        edge.enforcer.tick(edge.now)
        batch = edge.enforcer.pending()
        assert (batch is not None) == (n % CHECKPOINT_PERIODS == 0)
        if batch is not None:
            stored += 1
            edge.enforcer.stored(batch)
    assert stored == 2


def test_frames_are_opened_while_a_penalty_is_open_and_else_now_and_then(keys: Keys) -> None:
    edge = Edge(keys)
    strangers = Keys()
    edge.hears_frame(1, keys.sealed)
    assert edge.enforcer.core.frame == 1
    edge.now = Now(edge.now.monotonic_ns + COUNT_PERIODS * PERIOD_NS - 1, 1_000)
    edge.hears_frame(11, keys.sealed, strangers)
    assert edge.rejected() == [], "nobody looked"
    edge.now = Now(edge.now.monotonic_ns + 1, 1_000)
    edge.hears_frame(9, keys.sealed)
    assert edge.enforcer.core.frame == 9
    edge.hears_verdict(verdict(keys))
    edge.hears_frame(11, keys.sealed, strangers)
    assert edge.rejected() == [Reason.BAD_SIGNATURE]
    assert edge.enforcer.core.frame == 10
    edge.hears_frame(12, keys.sealed)
    assert edge.enforcer.core.frame == 12


def test_a_frame_is_the_managers_of_the_charter_that_it_names(keys: Keys) -> None:
    edge = Edge(keys)
    edge.hears_verdict(verdict(keys))
    old_manager = keys.signer(MANAGER)
    keys.of[MANAGER] = new_key()
    replaced_key = keys.charter(version=2)
    edge.hears_charter(replaced_key)
    edge.hears_frame(12, replaced_key)
    assert edge.enforcer.core.frame == 12
    frame = Frame(FOG, 13, bytes(32), replaced_key.hash, 13 * PERIOD_MS, bytes(32), (), (), (), ())
    edge.hears(keys.sealed.topics().frame(), old_manager.object(frame))
    assert edge.enforcer.core.frame == 12


def test_a_penalty_goes_on_whatever_is_shown_of_the_manager(keys: Keys) -> None:
    edge = Edge(keys)
    forked = [
        keys.signer(MANAGER).object(
            Frame(FOG, 11, bytes(32), keys.sealed.hash, ms, bytes(32), (), (), (), ())
        )
        for ms in (1, 2)
    ]
    fault = keys.signer(DETECTORS[0]).object(Fault(FOG, "two_frames", MANAGER, 11, "", tuple(forked)))
    topic = keys.sealed.topics().fault(DETECTORS[0])
    assert all(subscription.filter != topic for subscription in edge.enforcer.subscriptions())
    assert edge.hears(topic, fault) == []
    assert edge.hears_verdict(verdict(keys)) == [MINER]
    assert edge.looks() == "correct"
    assert edge.hears(topic, fault) == []
    edge.now = Now(14 * S, 1_000)  # as long as it took, at rest
    edge.hears_frame(100, keys.sealed)
    assert edge.looks() == "restore"
    assert edge.quota == FAIR


def test_verdicts_that_came_before_their_charter_wait_for_it_on_new_miners_too(keys: Keys) -> None:
    first = keys.charter(miners=without(keys.sealed, MINER))
    newer = keys.charter(version=2)
    edge = Edge(keys, first)
    assert edge.hears_verdict(verdict(keys, newer)) == []
    assert edge.rejected() == [Reason.UNKNOWN_CHARTER]
    assert edge.hears_charter(newer) == [MINER]


def test_of_verdicts_that_wait_the_newest_are_kept(keys: Keys) -> None:
    edge = Edge(keys)
    newer = keys.charter(version=2)
    for offence in range(1, MAX_EARLY + 2):
        edge.hears_verdict(verdict(keys, newer, offence=offence))
    assert edge.hears_charter(newer) == [MINER] * MAX_EARLY
    assert not edge.enforcer.core.knows(MINER, 1)


def test_under_a_charter_that_has_expired_nothing_is_done_until_a_new_one_comes(keys: Keys) -> None:
    expired = keys.charter(expires_ms=2_000)
    edge = Edge(keys, expired)
    edge.now = Now(11 * S, 2_000)
    assert edge.enforcer.tick(edge.now) == ()
    assert edge.hears_verdict(verdict(keys, expired)) == []
    assert edge.hears_charter(keys.charter(version=2)) == [MINER]


def test_a_verdict_on_who_had_the_name_before_is_not_on_who_has_it_now(keys: Keys) -> None:
    edge = Edge(keys)
    gone = keys.charter(version=2, miners=without(keys.sealed, MINER))
    back = keys.charter(version=3)
    for sealed in (gone, back):
        edge.hears_charter(sealed)
    assert edge.hears_verdict(verdict(keys)) == []
    assert edge.rejected() == [Reason.OLD_CHARTER]
    assert edge.hears_verdict(verdict(keys, back)) == [MINER]


def test_a_verdict_of_an_earlier_charter_counts_while_its_miner_stays(keys: Keys) -> None:
    edge = Edge(keys)
    edge.hears_charter(keys.charter(version=2, miners=without(keys.sealed, ELSEWHERE)))
    assert edge.hears_verdict(verdict(keys)) == [MINER]


def test_who_is_no_longer_ours_is_looked_at_no_more(keys: Keys) -> None:
    edge = Edge(keys)
    nodes = tuple(msgspec.structs.replace(node, devices=()) for node in keys.sealed.charter.nodes)
    edge.hears_charter(keys.charter(version=2, nodes=nodes))
    assert edge.enforcer.look(Seen(MINER, FAIR), edge.now) is None
    assert edge.hears_verdict(verdict(keys)) == []
    assert edge.rejected() == []


def test_receipts_are_signed_and_numbered_on_from_what_the_disk_says(keys: Keys) -> None:
    edge = Edge(keys, saved=Saved({}, 41, 9))
    edge.hears_verdict(verdict(keys))
    count = Count(BOOT, 1, edge.now.monotonic_ns, edge.usage_ns)
    seen = Seen(MINER, FAIR, False, count)
    plan = edge.enforcer.look(seen, edge.now)
    assert plan is not None
    edge.enforcer.done(plan, seen, edge.now)
    batch = edge.enforcer.pending()
    assert batch is not None
    assert [receipt.number for receipt in batch.change.receipts] == [42]
    assert batch.receipts == tuple(edge.member.signer.object(receipt) for receipt in batch.change.receipts)
    assert edge.enforcer.pending() == batch, "until it is stored"


@pytest.mark.parametrize("time_ms", [13 * PERIOD_MS, 1_000_000 * PERIOD_MS])
def test_no_penalty_ends_by_a_number_that_is_far_ahead(keys: Keys, time_ms: int) -> None:
    edge = Edge(keys)
    edge.hears_verdict(verdict(keys))
    edge.looks()
    edge.now = Now(14 * S, 1_000)
    edge.hears_frame(12, keys.sealed)
    frame = Frame(FOG, 1_000_000, bytes(32), keys.sealed.hash, time_ms, bytes(32), (), (), (), ())
    edge.hears(keys.sealed.topics().frame(), keys.signer(MANAGER).object(frame))
    assert edge.enforcer.core.frame == 12
    assert len(edge.rejected()) == 1
