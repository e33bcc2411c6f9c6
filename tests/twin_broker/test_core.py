"""The twin manager's core: what a frame says, and when it closes."""

from __future__ import annotations

import msgspec

from mint.effects import Post
from mint.envelope import object_hash
from mint.errors import Reason, Rejected
from mint.frames import NO_HASH
from mint.merkle import leaf_hash, root
from mint.messages.frame import NOTHING
from mint.messages.sample import Ack, Sample, Twin
from tests.builders import MS, T0_MS, Edge, S
from tests.twin_broker.bare import NET, NOW, edge, frame_of, manager, said
from twin_broker.core import TwinManager

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
