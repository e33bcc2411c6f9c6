"""Detectors as processes, on the real broker with a real manager: from samples to a verdict, through kills."""

from __future__ import annotations

import asyncio
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from detectors import service as detector
from detectors.store import FILE
from mint.errors import InputError, Reason
from mint.messages.fault import Fault
from mint.messages.frame import Frame, FrameReply, FrameRequest
from mint.messages.judgement import Behaviour, Verdict, Vote
from mint.node import wall_ms
from mint.verdict import verify_verdict
from network.mosquitto_program import Program
from tests.builders import DETECTION, Net
from tests.detectors.running import Running
from tests.ground import Ground, Listener, until

NET = Net(miners=4, devices=2, period_ms=200, detection=DETECTION)
TOPICS = NET.sealed.topics()


@pytest.fixture
async def ground(tmp_path: Path, mosquitto_program: Program) -> AsyncIterator[Ground]:
    async with Ground(tmp_path, NET) as running:
        yield running


def frames(listener: Listener) -> list[Frame]:
    return [NET.message(data, Frame) for data in listener.on(TOPICS.frame())]


def votes(listener: Listener) -> dict[str, dict[int, set[bytes]]]:
    """What each detector said of each frame."""
    said: dict[str, dict[int, set[bytes]]] = defaultdict(lambda: defaultdict(set))
    for name in NET.detectors:
        for data in listener.on(TOPICS.vote(name)):
            said[name][NET.message(data, Vote).frame].add(data)
    return said


def verdicts(listener: Listener) -> list[Verdict]:
    topics = [TOPICS.verdict(name, miner.name) for name in NET.detectors for miner in NET.charter.miners]
    return [NET.message(data, Verdict) for topic in topics for data in listener.on(topic)]


def behaviours(listener: Listener, name: str) -> list[int]:
    return [NET.message(data, Behaviour).frame for data in listener.on(TOPICS.behaviour(name))]


async def test_from_samples_to_a_verdict_with_a_detector_and_the_manager_killed_on_the_way(
    ground: Ground,
) -> None:
    async with Listener(ground) as console, Running(ground) as running:
        running.start("manager", "det1", "det2", "det3")
        await console.until(lambda: bool(frames(console)) and frames(console)[-1].number >= 12)
        await console.until(lambda: len(votes(console)) == 3)
        await running.kill("det2")
        await running.kill("manager")
        running.start("manager", "det2")
        began = frames(console)[-1].number
        await console.until(lambda: frames(console)[-1].number >= began + 3)
        running.start("det4")  # without a memory: it replays the log
        running.cheat("m02", 2.0)
        await console.until(lambda: bool(verdicts(console)))
        running.cheat("m02", 0.5)
        for verdict in verdicts(console):
            proven = verify_verdict(verdict, {NET.sealed.hash: NET.sealed})
            assert (proven.miner.name, proven.evidence) == ("m02", "budget")
        await console.until(lambda: any(frame.decisions for frame in frames(console)))
        noted = frames(console)[-1].number
        await console.until(
            lambda: all(max(behaviours(console, n), default=0) > noted for n in NET.detectors)
        )
    for name, said in votes(console).items():
        for number, different in said.items():
            assert len(different) == 1, f"{name} voted twice on {number}"
    decided = {f.number: f for f in frames(console) if f.decisions}.values()
    # Once, or again where this machine was so slow that the cheating outlasted the frames of grace.
    offences = [(d.miner, d.offence) for frame in decided for d in frame.decisions]
    assert offences == [("m02", n + 1) for n in range(len(offences))]
    whole = behaviours(console, "det1")
    assert whole == list(range(1, whole[-1] + 1)), "every frame once and in order"
    assert behaviours(console, "det4")[0] == 1
    assert {r for node in running.nodes.values() for r in node.rejections.by_reason} <= {Reason.WRONG_TIME}


async def test_a_detector_that_was_away_asks_for_what_it_missed(ground: Ground) -> None:
    async with Listener(ground) as console, Running(ground) as running:
        running.start("manager", *NET.detectors)
        await console.until(lambda: len(behaviours(console, "det1")) >= 11)
        await running.kill("det1")
        last = behaviours(console, "det1")[-1]
        # The broker keeps frames for who is away; here it forgets, as it does after their expiry.
        async with ground.bus("det1") as usurper:
            await usurper.connected.wait()
        number = frames(console)[-1].number
        await console.until(lambda: frames(console)[-1].number > number + 5)
        running.start("det1")
        await console.until(lambda: behaviours(console, "det1")[-1] > number + 5)
    again = behaviours(console, "det1")[behaviours(console, "det1").index(last) + 1 :]
    assert again == list(range(again[0], again[-1] + 1))
    assert again[0] <= last + 1
    asked = [NET.message(data, FrameRequest) for data in console.on(TOPICS.frame_request())]
    assert any(request.client == "det1" and request.first > 1 for request in asked), "it asked"


async def test_garbage_on_every_topic_is_counted_by_reason_and_nothing_stops(ground: Ground) -> None:
    garbage = bytes(range(256))
    async with (
        Listener(ground) as console,
        Running(ground) as running,
        ground.bus("det4") as liar,
        ground.bus("operator") as operator,
    ):
        running.start("manager", "det1", "det2", "det3")
        await console.until(lambda: len(behaviours(console, "det1")) >= 2)
        rejected = running.nodes["det1"].rejections.by_reason
        signer = NET.signer("det4")
        head = frames(console)[-1].number
        hashes = [NET.opened(data).hash for data in console.on(TOPICS.frame())]
        one, two = (Vote("fog1", head, h, NET.sealed.hash, ()) for h in (hashes[-1], bytes(32)))
        far = Vote("fog1", head + 1000, bytes(32), NET.sealed.hash, ())
        empty = Verdict("fog1", NET.sealed.hash, "m01", 1, 2, 1, "budget", 0, (), b"", b"")
        fault = Fault("fog1", "two_frames", "manager", 1, "", (garbage, garbage))
        reply = signer.stream(
            FrameReply(1, garbage, (garbage,), (garbage,)), TOPICS.frame_reply("det1"), wall_ms()
        )
        for topic, data in (
            (TOPICS.vote("det4"), garbage),
            (TOPICS.vote("det4"), b""),
            (TOPICS.vote("det4"), signer.object(far)),
            (TOPICS.vote("det4"), signer.object(one)),
            (TOPICS.vote("det4"), signer.object(one)),
            (TOPICS.vote("det4"), signer.object(two)),
            (TOPICS.vote("det4"), signer.object(one)),
            (TOPICS.vote("det4"), NET.signer("det3").object(one)),
            (TOPICS.verdict("det4", "m01"), garbage),
            (TOPICS.verdict("det4", "m01"), signer.object(empty)),
            (TOPICS.frame_reply("det1"), garbage),
            (TOPICS.frame_reply("det1"), reply),
            (TOPICS.frame_reply("det1"), reply),
            (TOPICS.fault("det4"), garbage),
            (TOPICS.fault("det4"), signer.object(fault)),
        ):
            await liar.publish(topic, data)
        await operator.publish(TOPICS.charter(), garbage)
        expected = {
            Reason.MALFORMED: 9,
            Reason.REPLAYED: 2,
            Reason.WRONG_TIME: 1,
            Reason.WRONG_TOPIC: 1,
            Reason.NO_QUORUM: 1,
        }
        await until(lambda: rejected.total() >= sum(expected.values()))
        assert rejected == expected
        assert NET.message(console.on(TOPICS.fault("det1"))[0], Fault).kind == "two_votes"
        number = behaviours(console, "det1")[-1]
        await console.until(lambda: behaviours(console, "det1")[-1] > number + 2)


async def test_a_new_charter_on_the_way_is_waited_for(ground: Ground) -> None:
    second = NET.next_version(title="two")
    async with (
        Listener(ground) as console,
        Running(ground) as running,
        ground.bus("operator") as operator,
    ):
        running.start("manager", "det1", "det2", "det3")
        await console.until(lambda: len(behaviours(console, "det1")) >= 2)
        await operator.publish(TOPICS.charter(), second.data, retain=True)
        await console.until(lambda: frames(console)[-1].charter == second.hash)
        number = frames(console)[-1].number
        await console.until(lambda: behaviours(console, "det1")[-1] > number + 2)
        # One that starts now was given the old charter's file, and finds frames of both.
        running.start("det4")
        await console.until(lambda: max(behaviours(console, "det4"), default=0) > number + 2)
        # And one that knows the new charter only goes on without the frames of the old one.
        await running.kill("det3")
        shutil.rmtree(ground.folder / "det3" / "state")
        ground.charter.write_bytes(second.data)
        known = len(behaviours(console, "det3"))
        running.start("det3")
        await console.until(lambda: max(behaviours(console, "det3")[known:], default=0) > number + 2)
    assert behaviours(console, "det1") == list(range(1, behaviours(console, "det1")[-1] + 1))
    assert behaviours(console, "det4")[0] == 1
    first = min(frame.number for frame in frames(console) if frame.charter == second.hash)
    assert behaviours(console, "det3")[known] == first


async def test_a_damaged_memory_is_not_guessed(ground: Ground) -> None:
    node = ground.node("det1")
    (node.options.state / FILE).write_bytes(b"{}")
    with pytest.raises(InputError, match="give this detector a new key"):
        await detector.run(node, asyncio.Event())
