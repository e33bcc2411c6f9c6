"""The agent against the real broker: what the manager hears of it, whatever breaks in between."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents import service
from agents.service import run
from mint.boot import boot_id
from mint.errors import Reason
from mint.messages.sample import Ack, Sample, State
from mint.node import Node, wall_ms
from tests.agents.fog import (
    AGENT,
    DETECTOR,
    MANAGER,
    MINERS,
    PERIOD_MS,
    WAIT_S,
    Cgroups,
    Fog,
    Manager,
    next_version,
    until,
)

pytestmark = pytest.mark.cgroup
ROOT = Path(__file__).parent.parent.parent


@contextlib.asynccontextmanager
async def agent_of(node: Node) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    running = asyncio.create_task(run(node, stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(WAIT_S):
            await running


@pytest.fixture
async def agent(fog: Fog, cgroups: Cgroups) -> AsyncIterator[Node]:
    node = fog.node(AGENT)
    async with agent_of(node):
        yield node


async def test_birth_samples_and_death(fog: Fog, manager: Manager, cgroups: Cgroups) -> None:
    cgroups.run("miner_01", "sleep", "100")
    async with agent_of(fog.node(AGENT)) as stop:
        await manager.until(lambda: len(manager.samples) >= 3)
        assert manager.states == [State(True, "cgroup v1", MINERS)]
        for heard in manager.samples:
            sample = heard.opened.message
            assert isinstance(sample, Sample)
            assert [(r.miner, r.running, r.quota_ppm) for r in sample.miners] == [
                ("miner_01", True, 100_000),
                ("miner_02", False, 100_000),
            ]
            assert sample.boot == boot_id()
        # The third may be the first sent again: nobody acknowledges here.
        samples = {heard.place: heard.opened.message for heard in manager.samples}
        times = [sample.miners[0] for _, sample in sorted(samples.items()) if isinstance(sample, Sample)]
        assert all(a.after_ns <= b.before_ns for a, b in itertools.pairwise(times))
        stop.set()
        await manager.until(lambda: manager.states[-1] == State(False, "", ()))


async def test_birth_is_there_for_those_who_come_later(fog: Fog, agent: Node) -> None:
    manager = Manager(fog)
    await until(lambda: fog.broker.pid is not None)
    async with manager.bus:
        listening = asyncio.create_task(manager.listen())
        await manager.until(lambda: bool(manager.states))
        listening.cancel()
    assert manager.states[0].alive


async def test_miners_that_come_and_go_are_born_anew(
    manager: Manager, agent: Node, cgroups: Cgroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "DISCOVER_NS", 500_000_000)
    await manager.until(lambda: len(manager.samples) >= 1)
    cgroups.remove("miner_02")
    await manager.until(lambda: manager.states[-1].miners == ("miner_01",))
    cgroups.make("miner_02")
    await manager.until(lambda: manager.states[-1].miners == MINERS)


async def test_what_is_acknowledged_is_not_sent_again_what_is_not_is(manager: Manager, agent: Node) -> None:
    await manager.until(lambda: len(manager.samples) >= 2)
    stored = manager.samples[1].place
    await manager.acknowledge(stored)
    # The acknowledgement is on its way meanwhile: what goes out in the next second may be sent again still.
    await manager.until(lambda: manager.samples[-1].place[1] > stored[1] + 1_000 // PERIOD_MS)
    heard = len(manager.samples)

    def again() -> dict[tuple[int, int], set[bytes]]:
        earlier = {sample.place: {sample.data} for sample in manager.samples[:heard]}
        later = manager.samples[heard:]
        return {s.place: earlier[s.place] | {s.data} for s in later if s.place in earlier}

    await manager.until(lambda: len(again()) >= 2)
    assert min(again()) > stored
    assert all(len(envelopes) == 1 for envelopes in again().values())


async def test_a_broker_that_was_killed_gets_everything_unacknowledged(
    fog: Fog, manager: Manager, agent: Node
) -> None:
    await manager.until(lambda: len(manager.samples) >= 3)
    await manager.acknowledge(manager.samples[-1].place)
    await manager.until(lambda: len(manager.samples) >= 5)
    await fog.broker.kill()
    await asyncio.sleep(5 * PERIOD_MS / 1000)  # samples are made with nobody to send them to
    await fog.broker.start()
    births = [2]

    def caught_up() -> bool:
        births[:] = sorted({heard.place[1] for heard in manager.heard if heard not in manager.samples})
        return len(births) > 1 and manager.samples[-1].place[1] > births[-1]

    await manager.until(caught_up)
    # The session's sequence runs over samples and births: 1 is the last will, and no other may be missing.
    sequences = {heard.place[1] for heard in manager.heard}
    assert sequences == set(range(2, max(sequences) + 1))
    assert len({heard.place[0] for heard in manager.heard}) == 1
    assert set(manager.states) == {State(True, "cgroup v1", MINERS)}  # born again, in the same words


async def test_a_session_begins_with_each_start(fog: Fog, manager: Manager, cgroups: Cgroups) -> None:
    session = 0
    for _ in range(2):
        heard = len(manager.samples)
        async with agent_of(fog.node(AGENT)):
            await manager.until(lambda heard=heard: len(manager.samples) > heard)  # type: ignore[misc] # one a round
        assert manager.samples[-1].place[0] > session
        session = manager.samples[-1].place[0]


async def test_killed_it_is_told_dead_by_its_last_will(fog: Fog, manager: Manager, cgroups: Cgroups) -> None:
    words = ("-m", "tests.agents.agent_process", str(fog.folder), AGENT, str(fog.broker.port))
    process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT)
    try:
        await manager.until(lambda: len(manager.samples) >= 2)
        assert manager.states[-1].alive
    finally:
        process.kill()
        await process.wait()
    await manager.until(lambda: not manager.states[-1].alive)


async def test_forged_and_replayed_acks_are_counted_and_change_nothing(
    fog: Fog, manager: Manager, agent: Node
) -> None:
    await manager.until(lambda: len(manager.samples) >= 2)
    first = manager.samples[0]
    topic = agent.topics.ack(AGENT)
    counted = agent.rejections.by_reason
    ack = Ack(AGENT, *manager.samples[1].place)

    forged = fog.keys.signer(MANAGER, 2)
    forged._key = fog.keys.of[DETECTOR]  # the manager's name, another's key
    await manager.send(forged.stream(ack, topic, wall_ms()))
    await until(lambda: counted[Reason.BAD_SIGNATURE] == 1)
    await manager.send(fog.keys.signer(DETECTOR).stream(ack, topic, wall_ms()))
    await until(lambda: counted[Reason.WRONG_ROLE] == 1)
    await manager.send(b"no envelope")
    await until(lambda: counted[Reason.MALFORMED] == 1)
    await manager.acknowledge(manager.samples[1].place, device="edge2")
    await until(lambda: counted[Reason.WRONG_TOPIC] == 1)
    session = first.place[0]
    await manager.acknowledge((session, 10**6))
    await until(lambda: counted[Reason.IMPOSSIBLE] == 1)
    old = await manager.acknowledge((session, 1))  # says nothing new, but is a word in the stream
    await manager.send(old)
    await until(lambda: counted[Reason.REPLAYED] == 1)

    assert sum(counted.values()) == 6
    await manager.until(lambda: [heard.data for heard in manager.samples].count(first.data) > 1)


async def test_it_goes_by_a_new_charter_and_goes_on_where_it_cannot_keep_one(
    fog: Fog, manager: Manager, agent: Node
) -> None:
    topic = agent.topics.charter()
    second = next_version(fog.sealed, fog.keys.operator, period_ms=2 * PERIOD_MS)
    await manager.bus.publish(topic, second.data, retain=True)
    await until(lambda: agent.charter.hash == second.hash)
    await manager.bus.publish(topic, b"", retain=True)  # cleared: says nothing
    await manager.bus.publish(topic, fog.sealed.data, retain=True)
    await until(lambda: agent.rejections.by_reason[Reason.OLD_CHARTER] == 1)

    state = agent.options.state
    state.rename(state.with_name("kept"))
    state.write_text("no folder: nothing can be written here")
    third = next_version(second, fog.keys.operator, period_ms=PERIOD_MS)
    await manager.bus.publish(topic, third.data, retain=True)
    heard = len(manager.samples)
    await manager.until(lambda: len(manager.samples) > heard + 3)
    assert agent.charter.hash == second.hash
