"""The twin manager's core: what it takes, what a frame says, and when it closes."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mint.charter.seal import SealedCharter
from mint.effects import Post, Say
from mint.envelope import Opened, object_hash
from mint.errors import Reason, Rejected
from mint.frames import NO_HASH
from mint.merkle import leaf_hash, root
from mint.messages.frame import MAX_DECISIONS, NOTHING, Frame
from mint.messages.judgement import Alarm
from mint.messages.sample import Ack, MinerReading, Sample, Twin
from mint.verdict import Proven
from tests.builders import MS, T0_MS, Edge, Net, S
from twin_broker.core import Closed, TwinManager
from twin_broker.device import MAX_PENDING, SAMPLES_A_FRAME

NET = Net(miners=4, devices=2)
NOW = 1000 * S


def manager(net: Net = NET) -> TwinManager:
    return TwinManager(net.sealed, net.signer("manager"), NOW)


def edge(name: str = "edge1", net: Net = NET, session: int = 1) -> Edge:
    return Edge(net, name, random.Random(1), session)


def frame_of(closed: Closed) -> Frame:
    return NET.message(closed.data, Frame)


def said(closed: Closed, kind: type[msgspec.Struct]) -> list[Any]:
    return [
        effect.message
        for effect in closed.effects
        if isinstance(effect, Say) and isinstance(effect.message, kind)
    ]


# --- frames -------------------------------------------------------------------------------------------


def test_a_frame_rests_on_the_newest_sample_of_each_device_and_acknowledges_all() -> None:
    core, one, two = manager(), edge("edge1"), edge("edge2")
    sent = [edge_.sealed(NOW + n * S) for n in range(3) for edge_ in (one, two)]
    for data in sent:
        assert core.sample(NET.opened(data), NOW) is None
    closed = core.close(NOW + 3 * S, T0_MS)
    frame = frame_of(closed)
    assert (frame.number, frame.previous, frame.charter, frame.time_ms) == (
        1,
        NO_HASH,
        NET.sealed.hash,
        T0_MS,
    )
    assert [(d.device, d.session, d.sequence, d.leaf) for d in frame.devices] == [
        ("edge1", 1, 3, leaf_hash(sent[4])),
        ("edge2", 1, 3, leaf_hash(sent[5])),
    ]
    assert frame.root == root([leaf_hash(sent[4]), leaf_hash(sent[5])])
    assert [m.miner for m in frame.miners] == ["m01", "m02", "m03", "m04"]
    newest = {r.miner: r for data in sent[4:] for r in NET.message(data, Sample).miners}
    for miner in frame.miners:
        assert miner.present
        assert (miner.usage_ns, miner.before_ns) == (
            newest[miner.miner].usage_ns,
            newest[miner.miner].before_ns,
        )
    assert sorted(closed.samples) == sorted(sent)
    assert said(closed, Ack) == [Ack("edge1", 1, 3), Ack("edge2", 1, 3)]
    assert sorted(twin.miner for twin in said(closed, Twin)) == ["m01", "m02", "m03", "m04"]


def test_frames_chain() -> None:
    core = manager()
    closed = [core.close(NOW + n * S, T0_MS + n) for n in range(4)]
    frames = [frame_of(one) for one in closed]
    assert [frame.number for frame in frames] == [1, 2, 3, 4]
    assert [frame.previous for frame in frames] == [NO_HASH, *(one.hash for one in closed[:-1])]
    assert [one.hash for one in closed] == [object_hash(one.data) for one in closed]


def test_who_is_silent_repeats_what_was_known_and_says_so() -> None:
    core, one = manager(), edge()
    core.sample(NET.opened(one.sealed(NOW)), NOW)
    before = frame_of(core.close(NOW + S, T0_MS))
    closed = core.close(NOW + 2 * S, T0_MS)
    after = frame_of(closed)
    assert after.devices[0] == msgspec.structs.replace(before.devices[0], leaf=NOTHING)
    assert after.root == root([])
    assert after.miners == tuple(msgspec.structs.replace(m, present=False) for m in before.miners)
    assert (closed.samples, said(closed, Ack)) == ((), [])


def test_a_miner_that_a_sample_leaves_out_is_not_present() -> None:
    core, one = manager(), edge()
    core.sample(NET.opened(one.sealed(NOW)), NOW)
    core.close(NOW + S, T0_MS)
    one.miners["m01"].running = False  # the model leaves a stopped one out
    core.sample(NET.opened(one.sealed(NOW + S)), NOW + S)
    assert {m.miner: m.present for m in frame_of(core.close(NOW + 2 * S, T0_MS)).miners} == {
        "m01": False,
        "m03": True,
    }


def test_a_frame_is_published_for_everyone_and_its_charter_is_the_one_in_force() -> None:
    core = manager()
    post = core.close(NOW + S, T0_MS).effects[0]
    assert isinstance(post, Post)
    assert (post.topic, post.qos, post.retain) == ("mint/1/fog1/frame", 1, False)
    second = NET.next_version(title="two", miners=NET.charter.miners[:3], devices=NET.charter.devices)
    core.sample(NET.opened(edge("edge2").sealed(NOW)), NOW)
    core.close(NOW + 2 * S, T0_MS)
    core.take_charter(second)
    frame = frame_of(core.close(NOW + 2 * S, T0_MS))
    assert frame.charter == second.hash
    assert [m.miner for m in frame.miners] == ["m02"]  # m04 is no miner any more


# --- when it closes -----------------------------------------------------------------------------------


def test_it_waits_for_who_spoke_lately_and_no_longer_than_a_quarter_of_a_period() -> None:
    core, one, two = manager(), edge("edge1"), edge("edge2")
    assert core.due_ns() == NOW + S  # nobody spoke yet
    for edge_ in (one, two):
        core.sample(NET.opened(edge_.sealed(NOW)), NOW)
    core.close(NOW, T0_MS)
    assert core.due_ns() == NOW + S * 5 // 4
    core.sample(NET.opened(one.sealed(NOW + S)), NOW)
    assert core.due_ns() == NOW + S * 5 // 4
    core.sample(NET.opened(two.sealed(NOW + S)), NOW)
    assert core.due_ns() == NOW + S // 2  # however fast they send
    core.close(NOW, T0_MS)
    for _ in range(3):  # edge2 falls silent: three frames wait for it
        core.sample(
            NET.opened(one.sealed(one.rng.randrange(5) * MS + NOW + (core.number + 1) * S)),
            NOW + core.number * S,
        )
        assert core.due_ns() == NOW + S * 5 // 4
        core.close(NOW, T0_MS)
    core.sample(NET.opened(one.sealed(NOW + (core.number + 1) * S)), NOW + core.number * S)
    assert core.due_ns() == NOW + S // 2


def settled() -> tuple[TwinManager, Edge, Edge]:
    """A manager whose two devices have spoken long enough that their clocks are known."""
    core, one, two = manager(), edge("edge1"), edge("edge2")
    for second in range(65):
        for edge_ in (one, two):
            core.sample(NET.opened(edge_.sealed(NOW + second * S)), NOW + second * S)
        core.close(NOW + second * S, T0_MS)
    return core, one, two


def refused(core: TwinManager, edge_: Edge, device_ns: int, manager_ns: int) -> bool:
    try:
        core.sample(NET.opened(edge_.sealed(device_ns)), manager_ns)
    except Rejected as rejected:
        return rejected.reason is Reason.WRONG_TIME
    return False


def test_one_clock_that_jumps_is_refused_for_as_long_as_it_is_ahead() -> None:
    core, one, two = settled()
    for second in range(65, 80):
        assert not refused(core, one, NOW + second * S, NOW + second * S)
        assert refused(core, two, NOW + (second + 10) * S, NOW + second * S)
        core.close(NOW + second * S, T0_MS)


def test_a_manager_whose_own_clock_stood_still_takes_its_devices_again() -> None:
    core, one, two = settled()
    paused_ns = 10 * S  # of which it knows nothing
    now = NOW + 65 * S
    assert refused(core, one, now + paused_ns, now)
    assert refused(core, two, now + paused_ns, now)
    for second in range(66, 140):
        now = NOW + second * S
        assert not refused(core, one, now + paused_ns, now)
        assert not refused(core, two, now + paused_ns, now)
        core.close(now, T0_MS)


# --- what is not taken --------------------------------------------------------------------------------


def state(core: TwinManager) -> Any:
    """Everything that later frames depend on; how much more a device may send is less with every sample."""
    devices = {name: dataclasses.replace(device, tokens=0) for name, device in core._devices.items()}
    return copy.deepcopy((core.number, core.head, core.twins, devices, core._fresh))


def changed(one: Edge, at_ns: int, change: Callable[[Sample], Sample]) -> Opened:
    topic = NET.sealed.topics().sample(one.name)
    return NET.opened(one.signer.stream(change(one.sample(at_ns)), topic, T0_MS))


def each(change: Callable[[MinerReading], MinerReading]) -> Callable[[Sample], Sample]:
    return lambda sample: msgspec.structs.replace(sample, miners=tuple(map(change, sample.miners)))


def with_fields(**changes: Any) -> Callable[[Sample], Sample]:
    return each(lambda reading: msgspec.structs.replace(reading, **changes))


@pytest.mark.parametrize(
    ("change", "reason", "said_"),
    [
        (with_fields(miner="m02"), Reason.MALFORMED, "reports a miner twice"),
        (
            lambda s: msgspec.structs.replace(s, miners=(msgspec.structs.replace(s.miners[0], miner="m02"),)),
            Reason.IMPOSSIBLE,
            "reports m02, which is not its miner",
        ),
        (
            lambda s: msgspec.structs.replace(s, miners=(msgspec.structs.replace(s.miners[0], miner="m99"),)),
            Reason.IMPOSSIBLE,
            "reports m99, which is not its miner",
        ),
        (with_fields(after_ns=NOW), Reason.IMPOSSIBLE, "ends before it begins"),
        (with_fields(before_ns=NOW - S, after_ns=NOW - S), Reason.IMPOSSIBLE, "time of m01 runs backwards"),
        (with_fields(usage_ns=0), Reason.IMPOSSIBLE, "use of m01 runs backwards"),
        (with_fields(shares=0), Reason.IMPOSSIBLE, "m01 has fewer shares than before"),
        (
            lambda s: msgspec.structs.replace(
                s, miners=(s.miners[0], msgspec.structs.replace(s.miners[1], usage_ns=0))
            ),
            Reason.IMPOSSIBLE,
            "use of m03 runs backwards",
        ),
        (lambda s: msgspec.structs.replace(s, steal_ns=6), Reason.IMPOSSIBLE, "steal time runs backwards"),
        (with_fields(before_ns=NOW + 99 * S, after_ns=NOW + 99 * S), Reason.WRONG_TIME, "gained"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    change: Callable[[Sample], Sample], reason: Reason, said_: str
) -> None:
    core, one = manager(), edge()
    for n in range(70):  # the clock has settled
        opened = changed(one, NOW + n * S, lambda s: msgspec.structs.replace(s, steal_ns=7))
        core.sample(opened, NOW + n * S)
        core.close(NOW + n * S, T0_MS)
    now = NOW + 70 * S
    before = state(core)
    at = NOW + 70 * S
    if reason is Reason.WRONG_TIME:
        change = with_fields(before_ns=NOW + 99 * S, after_ns=NOW + 99 * S)
    elif said_ == "ends before it begins":
        change = with_fields(after_ns=at - S)
    opened = changed(one, at, lambda s: change(msgspec.structs.replace(s, steal_ns=7)))
    with pytest.raises(Rejected, match=said_) as caught:
        core.sample(opened, now)
    assert caught.value.reason is reason
    assert state(core) == before
    good = changed(one, at + 50 * MS, lambda s: msgspec.structs.replace(s, steal_ns=7))
    assert core.sample(good, now) is None


def test_counters_begin_anew_with_an_epoch_and_time_with_a_boot() -> None:
    core, one = manager(), edge()
    core.sample(NET.opened(one.sealed(NOW)), NOW)
    one.miners["m01"].recreate()
    assert core.sample(NET.opened(one.sealed(NOW + S)), NOW + S) is None
    one.restart(reboot=True)
    assert core.sample(NET.opened(one.sealed(NOW + 2 * S)), NOW + 2 * S) is None
    frame = frame_of(core.close(NOW + 3 * S, T0_MS))
    assert (frame.devices[0].session, frame.devices[0].sequence) == (2, 1)
    assert frame.devices[0].boot == one.boot


def test_a_sample_that_is_stored_already_is_acknowledged_again_one_that_is_not_yet_is_not() -> None:
    core, one = manager(), edge()
    first = NET.opened(one.sealed(NOW))
    core.sample(first, NOW)
    before = state(core)
    with pytest.raises(Rejected) as caught:
        core.sample(first, NOW)
    assert caught.value.reason is Reason.REPLAYED
    assert state(core) == before
    core.close(NOW + S, T0_MS)
    again = core.sample(first, NOW + S)
    assert isinstance(again, Say)
    assert again.message == Ack("edge1", 1, 1)
    # The agent started again; what its former self still has on the way is stored as well.
    core.sample(NET.opened(edge(session=2).sealed(NOW + S)), NOW + S)
    core.close(NOW + 2 * S, T0_MS)
    again = core.sample(first, NOW + 2 * S)
    assert isinstance(again, Say)
    assert again.message == Ack("edge1", 2, 1)


def test_a_device_that_is_none_and_a_flood() -> None:
    core = manager()
    one = edge()
    gone = NET.next_version(
        devices=NET.charter.devices[1:],
        miners=(NET.charter.miners[1],),
        nodes=tuple(node for node in NET.charter.nodes if node.name not in ("edge1", "enforcer")),
    )
    core.take_charter(gone)
    with pytest.raises(Rejected) as caught:
        core.sample(NET.opened(one.sealed(NOW)), NOW)
    assert caught.value.reason is Reason.UNKNOWN_SENDER
    core.take_charter(NET.sealed)
    assert flood(core, one, NOW) == MAX_PENDING
    assert len(core.close(NOW + S, T0_MS).samples) == MAX_PENDING
    for second in (10, 20, 30):  # and two a frame from then on, as long as it floods
        assert flood(core, one, NOW + second * S) == SAMPLES_A_FRAME
        core.close(NOW + second * S, T0_MS)
    for _ in range(10):
        core.close(NOW + S, T0_MS)
    assert flood(core, one, NOW + 40 * S) == 10 * SAMPLES_A_FRAME + SAMPLES_A_FRAME


def flood(core: TwinManager, one: Edge, begin_ns: int) -> int:
    """How many of a hundred samples are taken before the first is too many."""
    for taken in range(100):
        try:
            core.sample(NET.opened(one.sealed(begin_ns + taken * 50 * MS)), begin_ns)
        except Rejected as rejected:
            assert rejected.reason is Reason.TOO_OFTEN  # noqa: PT017 # it is raised sooner or later
            return taken
    return 100


def test_who_asks_again_and_again_for_our_word_is_answered_so_often_and_no_more() -> None:
    core, one = manager(), edge()
    sample = NET.opened(one.sealed(NOW))
    core.sample(sample, NOW)
    core.close(NOW + S, T0_MS)
    for _ in range(MAX_PENDING):
        assert core.sample(sample, NOW) is not None
    with pytest.raises(Rejected, match="more than 64 samples at once or 2 a frame"):
        core.sample(sample, NOW)


def test_a_miner_that_was_away_while_its_device_rebooted_is_taken_again_by_a_manager_that_restarted() -> None:
    core, one = begun()
    one.restart(reboot=True)
    one.miners["m01"].running = False
    core.sample(NET.opened(one.sealed(2 * S)), NOW + S)  # its clock began anew
    closed = core.close(NOW + 2 * S, T0_MS)
    again = manager()
    again.resume(frame_of(closed), closed.hash, {})
    one.miners["m01"].running = True
    assert again.sample(NET.opened(one.sealed(5 * S)), NOW + 3 * S) is None
    assert {m.miner for m in frame_of(again.close(NOW + 4 * S, T0_MS)).miners if m.present} == {"m01", "m03"}


def test_a_charter_that_comes_while_samples_wait_has_them_sent_again_under_it() -> None:
    core, one = begun()
    waiting = one.sealed(NOW + S)
    core.sample(NET.opened(waiting), NOW + S)
    core.take_charter(NET.next_version(title="two"))
    assert core.sample(NET.opened(waiting), NOW + S) is None
    assert core.close(NOW + 2 * S, T0_MS).samples == (waiting,)


# --- verdicts and receipts ----------------------------------------------------------------------------


def proven(miner: str = "m01", offence: int = 1, until: int = 5, frame: int = 1) -> Proven:
    sealed: SealedCharter = NET.sealed
    nothing: Any = None
    known = sealed.charter.miners_by_name()[miner]
    return Proven(known, offence, 1, frame, NO_HASH, until, "budget", 1, nothing, nothing, b"", 1, sealed)


def begun() -> tuple[TwinManager, Edge]:
    """A manager with m01 and m03 in its first frame."""
    core, one = manager(), edge()
    core.sample(NET.opened(one.sealed(NOW)), NOW)
    core.close(NOW + S, T0_MS)
    return core, one


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
