"""The twin manager as a process, on the real broker: stores before it tells, continues after a kill.

The detectors are none: they only answer, so that the manager learns how far its log has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mint.bus.options import Subscription
from mint.envelope import ReplayGuard
from mint.errors import InputError, Reason, Rejected
from mint.frame_log import Kept
from mint.messages.frame import Frame, FrameReply, FrameRequest
from mint.messages.receipt import Receipt
from mint.messages.sample import Ack
from mint.node import Node, now, wall_ms
from mint.sign_bytes import Stream
from network.mosquitto_program import Program
from tests.builders import Edge, Net
from tests.ground import Ground, Listener, until
from tests.twin_broker.fog import Holder
from twin_broker.service import DATABASE, run

NET = Net(miners=3, devices=2, period_ms=200)
TOPICS = NET.sealed.topics()


@pytest.fixture
async def ground(tmp_path: Path, mosquitto_program: Program) -> AsyncIterator[Ground]:
    async with Ground(tmp_path, NET) as running:
        yield running


@contextlib.asynccontextmanager
async def managing(ground: Ground) -> AsyncIterator[Node]:
    """A manager that is killed, not stopped, when the block ends; three detectors answer it meanwhile."""
    node = ground.node("manager")
    tasks = [asyncio.create_task(run(node, asyncio.Event()))]
    tasks += [asyncio.create_task(answering(ground, name)) for name in ("det2", "det3", "det4")]
    try:
        yield node
    finally:
        for task in tasks:
            assert not task.done(), task
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def answering(ground: Ground, name: str) -> None:
    """A detector that keeps the frames it hears, and answers."""
    detector = Holder(NET, name)
    own = Subscription(TOPICS.frame()), Subscription(TOPICS.frame_request())
    async with ground.bus(name, *own) as bus:
        async for incoming in bus.messages():
            with contextlib.suppress(Rejected):  # garbage, replays
                opened = NET.opened(incoming.payload)
                if isinstance(opened.message, Frame):
                    detector.hear(Kept(opened.message.number, opened.hash, opened.data))
                    continue
                for said in detector.answers.answer(opened, detector.guard, TOPICS, now()):
                    bus.post(said.topic, detector.signer.stream(said.message, said.topic, wall_ms()))


def edge(name: str = "edge1") -> Edge:
    return Edge(NET, name, random.Random(1))


def sealed(of: Edge) -> bytes:
    topic = TOPICS.sample(of.name)
    return of.signer.stream(of.sample(time.monotonic_ns()), topic, wall_ms())


def frames(listener: Listener) -> list[Frame]:
    return [NET.message(data, Frame) for data in listener.on(TOPICS.frame())]


def acks(listener: Listener) -> list[Ack]:
    return [NET.message(data, Ack) for data in listener.on(TOPICS.ack("edge1"))]


async def test_a_sample_becomes_a_frame_and_is_acknowledged_and_a_kill_loses_nothing(ground: Ground) -> None:
    one = edge()
    async with Listener(ground, "console") as console, Listener(ground, "edge1") as agent:
        async with managing(ground):
            await console.until(lambda: bool(frames(console)))
            first = sealed(one)
            agent.bus.post(TOPICS.sample("edge1"), first)
            await agent.until(lambda: Ack("edge1", 1, 1) in acks(agent))
            await console.until(lambda: len(frames(console)) >= 3)
        count = len(acks(agent))
        async with managing(ground):
            agent.bus.post(TOPICS.sample("edge1"), first)  # our word got lost
            await agent.until(lambda: len(acks(agent)) > count)
            agent.bus.post(TOPICS.sample("edge1"), sealed(one))
            await agent.until(lambda: Ack("edge1", 1, 2) in acks(agent))
            last = frames(console)[-1].number
            await console.until(lambda: frames(console)[-1].number > last)
    told = {frame.number: frame for frame in frames(console)}
    assert list(told) == list(range(1, len(told) + 1))
    by_data = {NET.message(data, Frame).number: data for data in console.on(TOPICS.frame())}
    for data in console.on(TOPICS.frame()):
        assert by_data[NET.message(data, Frame).number] == data, "told again, never told otherwise"
    hashes = {number: NET.opened(data).hash for number, data in by_data.items()}
    assert all(told[number].previous == hashes[number - 1] for number in told if number > 1)
    assert [d.sequence for d in told[max(told)].devices if d.device == "edge1"] == [2]


async def test_a_newcomer_finds_the_charter_and_asks_for_frames_by_number(ground: Ground) -> None:
    async with managing(ground), Listener(ground, "det1") as detector:
        await detector.until(lambda: len(frames(detector)) >= 4)
        assert detector.on(TOPICS.charter()) == [NET.sealed.data]
        signer = NET.signer("det1", 1)
        request = signer.stream(
            FrameRequest("det1", "manager", 2, 2, True), TOPICS.frame_request(), wall_ms()
        )
        for _ in range(3):  # replayed, it is answered once
            detector.bus.post(TOPICS.frame_request(), request)
        await detector.until(lambda: bool(detector.on(TOPICS.frame_reply("det1"))))
        for_another = signer.stream(
            FrameRequest("det2", "manager", 2, 2, True), TOPICS.frame_request(), wall_ms()
        )
        detector.bus.post(TOPICS.frame_request(), for_another)
        last = signer.stream(
            FrameRequest("det1", "manager", 10_000, 2, True), TOPICS.frame_request(), wall_ms()
        )
        detector.bus.post(TOPICS.frame_request(), last)
        await detector.until(lambda: len(detector.on(TOPICS.frame_reply("det1"))) == 2)
        assert detector.on(TOPICS.frame_reply("det2")) == []
    first, second = (NET.message(data, FrameReply) for data in detector.on(TOPICS.frame_reply("det1")))
    assert (first.asked, [NET.message(data, Frame).number for data in first.frames]) == (2, [2, 3])
    assert (second.asked, second.frames) == (10_000, ())
    guard = ReplayGuard(60_000)
    for data in detector.on(TOPICS.frame_reply("det1")):
        body = NET.opened(data).body
        assert isinstance(body, Stream)
        guard.check(body, wall_ms())
        guard.accept(body)


async def test_a_new_charter_is_in_force_with_the_next_frame_and_survives_a_start_with_the_old_one(
    ground: Ground,
) -> None:
    second = NET.next_version(title="two")
    async with Listener(ground, "console") as console, ground.bus("operator") as operator:
        async with managing(ground):
            await console.until(lambda: bool(frames(console)))
            await operator.publish(TOPICS.charter(), second.data, retain=True)
            await console.until(lambda: frames(console)[-1].charter == second.hash)
        number = frames(console)[-1].number
        async with managing(ground):
            await console.until(lambda: frames(console)[-1].number > number + 1)
            assert frames(console)[-1].charter == second.hash
    async with Listener(ground, "det1") as newcomer:
        await newcomer.until(lambda: bool(newcomer.on(TOPICS.charter())))
        assert newcomer.on(TOPICS.charter()) == [second.data]
    charters = [frame.charter for frame in frames(console)]
    assert charters == sorted(charters, key=[NET.sealed.hash, second.hash].index), "never back"


async def test_a_manager_that_was_away_leaves_the_newer_charter_retained(ground: Ground) -> None:
    second = NET.next_version(title="two")
    async with ground.bus("operator") as operator:
        await operator.publish(TOPICS.charter(), second.data, retain=True)
    async with Listener(ground, "console") as console, managing(ground):
        await console.until(lambda: second.hash in {frame.charter for frame in frames(console)})
        await console.until(lambda: len(console.on(TOPICS.charter())) >= 3)
        assert console.on(TOPICS.charter())[-1] == second.data


async def test_receipts_are_noted(ground: Ground) -> None:
    receipt = Receipt(1, 0, "m01", "drift", b"", 0, 1, 2, 3, 4, "")
    data = NET.signer("enforcer").object(receipt)
    async with managing(ground), Listener(ground, "enforcer") as enforcer:
        await enforcer.until(lambda: bool(frames(enforcer)))
        enforcer.bus.post(TOPICS.receipt("enforcer"), data)
        enforcer.bus.post(TOPICS.receipt("enforcer"), data)
        await enforcer.until(lambda: bool(frames(enforcer)[-1].receipts))
        number = frames(enforcer)[-1].number
        await enforcer.until(lambda: frames(enforcer)[-1].number > number + 1)
    assert [h for f in {f.number: f for f in frames(enforcer)}.values() for h in f.receipts] == [
        NET.opened(data).hash
    ]


async def test_garbage_on_every_topic_is_counted_by_reason_and_nothing_stops(ground: Ground) -> None:
    one, two = edge(), edge("edge2")
    good, garbage = sealed(one), bytes(range(256))
    unsigned = bytearray(sealed(two))
    unsigned[-1] ^= 1
    late = two.signer.stream(two.sample(time.monotonic_ns()), TOPICS.sample("edge2"), wall_ms() - 10**7)
    stranger = NET.signer("mallory").stream(one.sample(0), TOPICS.sample("edge2"), wall_ms())
    async with (
        managing(ground) as node,
        Listener(ground, "edge1") as agent,
        ground.bus("edge2") as other,
        ground.bus("det1") as detector,
        ground.bus("enforcer") as enforcer,
        ground.bus("operator") as operator,
        Listener(ground, "console") as console,
    ):
        await console.until(lambda: bool(frames(console)))
        for bus, topic in (
            (other, TOPICS.sample("edge2")),
            (detector, TOPICS.verdict("det1", "m01")),
            (detector, TOPICS.frame_request()),
            (enforcer, TOPICS.receipt("enforcer")),
            (operator, TOPICS.charter()),
        ):
            await bus.publish(topic, garbage, retain=topic == TOPICS.charter())
            await bus.publish(topic, b"")
        for data in (bytes(unsigned), late, stranger, good, NET.signer("edge2").object(NET.charter)):
            await other.publish(TOPICS.sample("edge2"), data)
        await other.publish(TOPICS.sample("edge2"), bytes(70_000))
        await operator.publish(TOPICS.charter(), NET.next_version(fog="fog2").data)
        agent.bus.post(TOPICS.sample("edge1"), good)
        await agent.until(lambda: bool(acks(agent)))
        await agent.bus.publish(
            TOPICS.sample("edge1"), sealed(Edge(NET, "edge1", random.Random(1), session=0))
        )
        expected = {
            Reason.MALFORMED: 6,
            Reason.BAD_SIGNATURE: 1,
            Reason.WRONG_TIME: 1,
            Reason.UNKNOWN_SENDER: 1,
            Reason.WRONG_TOPIC: 1,
            Reason.WRONG_ROLE: 1,
            Reason.WRONG_NETWORK: 1,
            Reason.OLD_SESSION: 1,
        }
        await until(lambda: node.rejections.by_reason.total() >= sum(expected.values()))
        assert node.rejections.by_reason == expected
        number = frames(console)[-1].number
        await console.until(lambda: frames(console)[-1].number > number + 1)


async def test_a_log_that_cannot_be_opened_is_said(ground: Ground) -> None:
    node = ground.node("manager")
    (node.options.state / DATABASE).write_bytes(b"nonsense" * 1000)
    with pytest.raises(InputError, match="cannot be used as the frame log"):
        await run(node, asyncio.Event())


async def test_it_stops_when_told_to(ground: Ground) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(run(ground.node("manager"), stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(10):
        await task
