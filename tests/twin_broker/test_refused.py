"""The twin manager's core: what it does not take, and what it takes again."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mint.effects import Say
from mint.envelope import Opened
from mint.errors import Reason, Rejected
from mint.messages.sample import Ack, MinerReading, Sample
from tests.builders import MS, T0_MS, Edge, S
from tests.twin_broker.bare import NET, NOW, begun, edge, frame_of, manager
from twin_broker.core import TwinManager
from twin_broker.device import MAX_PENDING, SAMPLES_A_FRAME


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
