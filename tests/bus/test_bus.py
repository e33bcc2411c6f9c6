"""The bus against a real Mosquitto over TLS with the access list in force."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from pathlib import Path

import aiomqtt
import pytest

from mint.bus import Overflow, Subscription, Will
from mint.certificates import Authority, client_context
from mint.errors import BusError, InputError
from tests.broker.fog import TOPICS, Cable, Fog, eventually, receive

SAMPLES = Subscription(TOPICS.sample("+"))


# --- sending and receiving ----------------------------------------------------------------------------


async def test_what_is_published_arrives_with_all_that_belongs_to_it(fog: Fog) -> None:
    async with fog.bus("manager", subscriptions=[SAMPLES]) as manager, fog.bus("pi1") as agent:
        await manager.connected.wait()
        await agent.publish(TOPICS.sample("pi1"), b"one", expiry_s=60)
        await agent.publish(TOPICS.sample("pi1"), b"two", qos=0)
        one, two = await receive(manager, 2)
        assert (one.topic, one.payload, one.retained, one.filter) == (
            TOPICS.sample("pi1"),
            b"one",
            False,
            SAMPLES.filter,
        )
        assert one.expiry_s in (59, 60)
        assert (two.payload, two.expiry_s) == (b"two", None)
        assert manager.counters["received", SAMPLES.filter] == 2
        assert agent.counters["published", ""] == 2


async def test_a_refused_publication_says_why_and_nothing_else_stops(
    fog: Fog, caplog: pytest.LogCaptureFixture
) -> None:
    async with fog.bus("manager", subscriptions=[SAMPLES]) as manager, fog.bus("pi1") as agent:
        await manager.connected.wait()
        with pytest.raises(BusError) as caught:
            await agent.publish(TOPICS.sample("pi2"), b"forged")
        assert caught.value.reason == "Not authorized"
        for _ in range(5):
            agent.post(TOPICS.sample("pi2"), b"forged")
        agent.post(TOPICS.sample("pi1"), b"honest")
        assert [m.payload for m in await receive(manager, 1)] == [b"honest"]
        assert agent.counters["refused", "Not authorized"] == 6
    assert sum("Not authorized" in line for line in caplog.messages) == 1


async def test_posts_keep_their_order_and_are_pipelined(fog: Fog) -> None:
    numbers = [str(n).encode() for n in range(300)]  # many times what may be in flight
    async with fog.bus("manager", subscriptions=[SAMPLES]) as manager, fog.bus("pi1") as agent:
        await manager.connected.wait()
        await agent.connected.wait()
        for number in numbers:
            agent.post(TOPICS.sample("pi1"), number)
        assert 1 < agent._outbox.in_flight <= 64
        assert [m.payload for m in await receive(manager, len(numbers))] == numbers
        assert await agent.flush()
        assert agent.counters["published", ""] == len(numbers)


async def test_retained_messages_come_marked_and_clearing_comes_as_an_empty_payload(fog: Fog) -> None:
    state = TOPICS.state("pi1")
    async with fog.bus("pi1") as agent:
        await agent.publish(state, b"alive", retain=True)
        async with fog.bus("manager", subscriptions=[Subscription(state)]) as manager:
            (message,) = await receive(manager, 1)
            assert (message.payload, message.retained) == (b"alive", True)
            await agent.publish(state, b"", retain=True)
            (message,) = await receive(manager, 1)
            assert (message.payload, message.retained) == (b"", False)


async def test_what_the_broker_would_not_take_is_refused_here(fog: Fog) -> None:
    async with fog.bus("manager", subscriptions=[SAMPLES]) as manager, fog.bus("pi1") as agent:
        await manager.connected.wait()
        with pytest.raises(BusError, match="oversize"):
            await agent.publish(TOPICS.sample("pi1"), bytes(3 * 2**20))
        agent.post(TOPICS.sample("pi1"), bytes(3 * 2**20))
        agent.post(TOPICS.sample("pi1"), bytes(2 * 2**20))
        (message,) = await receive(manager, 1)
        assert len(message.payload) == 2 * 2**20
        assert agent.counters["dropped", "oversize"] == 2
        assert agent.counters["connections", ""] == 1


async def test_a_topic_with_a_wildcard_is_the_programs_mistake(fog: Fog) -> None:
    async with fog.bus("pi1") as agent:
        for topic in ("a/+", "#", ""):
            with pytest.raises(ValueError, match="cannot publish"):
                agent.post(topic, b"")


# --- floods -------------------------------------------------------------------------------------------


async def test_a_flood_is_shed_by_the_rule_of_its_subscription_and_displaces_no_other(
    fog: Fog, caplog: pytest.LogCaptureFixture
) -> None:
    votes, frames = TOPICS.vote("+"), TOPICS.frame()
    wanted = [
        Subscription(SAMPLES.filter, limit=10, overflow=Overflow.DROP_OLDEST),
        Subscription(votes, limit=5, overflow=Overflow.DROP_NEWEST),
        Subscription(frames, limit=5),
    ]
    async with (
        fog.bus("enforcer", subscriptions=wanted) as slow,
        fog.bus("manager") as manager,
        fog.bus("pi1") as agent,
        fog.bus("d1") as detector,
    ):
        await slow.connected.wait()
        await manager.publish(frames, b"frame")
        for n in range(200):
            agent.post(TOPICS.sample("pi1"), b"%d" % n)
            if n < 20:
                detector.post(TOPICS.vote("d1"), b"%d" % n)
        assert await agent.flush(10)
        assert await detector.flush(10)
        await eventually(lambda: slow.counters["received", votes] == 20)
        await eventually(lambda: slow.counters["received", SAMPLES.filter] == 200)
        got = await receive(slow, 16)
        assert [int(m.payload) for m in got if m.filter == SAMPLES.filter] == list(range(190, 200))
        assert [int(m.payload) for m in got if m.filter == votes] == list(range(5))
        assert got[0].payload == b"frame"
        assert (slow.counters["shed", SAMPLES.filter], slow.counters["shed", votes]) == (190, 15)
        assert slow.counters["shed", frames] == 0
    assert sum("shed" in line for line in caplog.messages) == 2


async def test_without_a_broker_the_outbox_fills_sheds_and_counts(fog: Fog) -> None:
    options = fog.options("pi1", port=1)  # nobody listens there
    async with fog.bus("pi1", options=options) as agent:
        for n in range(5000):
            agent.post(TOPICS.sample("pi1"), b"%d" % n)
        assert agent.counters["dropped", "outbox full"] == 5000 - 4096
        started = time.monotonic()
        with pytest.raises(BusError, match="not connected"):
            await agent.publish(TOPICS.sample("pi1"), b"x", timeout_s=0.1)
        assert time.monotonic() - started < 2
        assert not await agent.flush(0.01)
    assert agent.counters["dropped", "left"] == 4096


# --- reconnecting -------------------------------------------------------------------------------------


async def test_a_session_survives_kill_9_with_what_was_queued_for_it(fog: Fog) -> None:
    resumed: list[bool] = []
    async with fog.bus("manager", subscriptions=[SAMPLES]) as manager:
        await manager.connected.wait()
    async with fog.bus("pi1") as agent:
        agent.on_connect(resumed.append)
        for n in range(50):
            await agent.publish(TOPICS.sample("pi1"), b"number %d" % n)
        # The broker saves after it acknowledges: a PUBACK is no durability.
        database = fog.folder / "broker" / "data" / "mosquitto.db"
        await eventually(lambda: b"number 49" in database.read_bytes())
        await fog.broker.kill()
        for n in range(50, 100):
            agent.post(TOPICS.sample("pi1"), b"number %d" % n)
        await fog.broker.start()
        assert await agent.flush(10)
        manager = fog.bus("manager", subscriptions=[SAMPLES])
        manager.on_connect(resumed.append)
        async with manager:
            assert [int(m.payload[7:]) for m in await receive(manager, 100)] == list(range(100))
            await manager.connected.wait()
    assert resumed == [False, True, True]
    assert agent.counters["connections", ""] == 2


async def test_what_is_in_flight_when_the_cable_is_cut_is_sent_again(fog: Fog) -> None:
    async with Cable(fog.broker) as cable, fog.bus("manager", subscriptions=[SAMPLES]) as manager:
        await manager.connected.wait()
        async with fog.bus("pi1", options=fog.options("pi1", port=cable.port)) as agent:
            await agent.connected.wait()
            got: list[int] = []
            for n in range(240):
                agent.post(TOPICS.sample("pi1"), b"%d" % n)
                if n % 80 == 40:
                    got += [int(m.payload) for m in await receive(manager, 1)]
                    cable.cut()
                    await eventually(lambda: not agent.connected.is_set())
                    await agent.connected.wait()
            assert await agent.flush(10)
            assert agent.counters["connections", ""] == 4
            assert agent.counters["published", ""] == 240
            while set(got) != set(range(240)):
                got += [int(m.payload) for m in await receive(manager, 1)]
            first_seen = list(dict.fromkeys(got))
            assert first_seen == sorted(first_seen)  # sent again, but never out of order


async def test_a_network_that_falls_silent_is_noticed(fog: Fog, caplog: pytest.LogCaptureFixture) -> None:
    async with Cable(fog.broker) as cable:
        options = fog.options("pi1", port=cable.port, keepalive_s=1)
        async with fog.bus("pi1", options=options) as agent:
            await agent.connected.wait()
            cable.silent = True
            agent.post(TOPICS.sample("pi1"), b"x")
            await eventually(lambda: not agent.connected.is_set())
            cable.silent = False
            assert await agent.flush(10)
    assert "Keep alive timeout" in caplog.messages[0]


async def test_one_queue_for_the_life_of_the_bus(fog: Fog) -> None:
    async with Cable(fog.broker) as cable, fog.bus("pi1") as agent:
        options = fog.options("manager", port=cable.port)
        async with fog.bus("manager", options=options, subscriptions=[SAMPLES]) as manager:
            await manager.connected.wait()
            await agent.publish(TOPICS.sample("pi1"), b"before")
            await eventually(lambda: len(manager._inbox) == 1)
            await cable.unplug()
            await eventually(lambda: not manager.connected.is_set())
            await agent.publish(TOPICS.sample("pi1"), b"during")
            await cable.plug()
            await manager.connected.wait()
            await agent.publish(TOPICS.sample("pi1"), b"after")
            got = []
            while b"after" not in got:
                got += [m.payload for m in await receive(manager, 1)]
            assert list(dict.fromkeys(got)) == [b"before", b"during", b"after"]  # at least once, in order


async def test_an_expired_message_is_given_up_and_said(fog: Fog, caplog: pytest.LogCaptureFixture) -> None:
    async with Cable(fog.broker) as cable, fog.bus("manager", subscriptions=[SAMPLES]) as manager:
        await manager.connected.wait()
        await cable.unplug()
        async with fog.bus("pi1", options=fog.options("pi1", port=cable.port)) as agent:
            agent.post(TOPICS.sample("pi1"), b"stale", expiry_s=0.01)
            agent.post(TOPICS.sample("pi1"), b"fresh", expiry_s=60)
            await asyncio.sleep(0.02)
            await cable.plug()
            assert [m.payload for m in await receive(manager, 1)] == [b"fresh"]
            assert agent.counters["dropped", "expired"] == 1
    assert any("expired" in line for line in caplog.messages)


async def test_a_failing_callback_stops_nothing(fog: Fog, caplog: pytest.LogCaptureFixture) -> None:
    def fails(resumed: bool) -> None:
        raise RuntimeError(resumed)

    agent = fog.bus("pi1")
    agent.on_connect(fails)
    async with agent:
        await agent.publish(TOPICS.sample("pi1"), b"x")
    assert any("callback" in line for line in caplog.messages)


# --- wills --------------------------------------------------------------------------------------------

DEATH = Will(TOPICS.state("pi1"), b"dead", delay_s=1)


async def test_the_will_tells_a_death_but_not_a_short_absence(fog: Fog) -> None:
    states = Subscription(TOPICS.state("+"))
    async with Cable(fog.broker) as cable, fog.bus("manager", subscriptions=[states]) as manager:
        await manager.connected.wait()
        async with fog.bus("pi1", options=fog.options("pi1", port=cable.port), will=DEATH) as agent:
            await agent.publish(DEATH.topic, b"alive", retain=True)
            cable.cut()
            await eventually(lambda: agent.counters["connections", ""] == 2)
            await asyncio.sleep(1.5)  # longer than the will's delay: nothing comes, which no event tells
            await agent.publish(DEATH.topic, b"still alive", retain=True)
            assert [m.payload for m in await receive(manager, 2)] == [b"alive", b"still alive"]
            await cable.unplug()
            assert [m.payload for m in await receive(manager, 1)] == [b"dead"]


async def test_leaving_publishes_the_will_only_if_asked(fog: Fog) -> None:
    states = Subscription(TOPICS.state("+"))
    async with fog.bus("manager", subscriptions=[states]) as manager:
        await manager.connected.wait()
        async with fog.bus("pi1", will=Will(TOPICS.state("pi1"), b"dead", delay_s=0)) as agent:
            await agent.connected.wait()
        async with fog.bus("pi2", will=Will(TOPICS.state("pi2"), b"left", delay_s=0, on_leave=True)) as agent:
            await agent.connected.wait()
        assert [m.payload for m in await receive(manager, 1)] == [b"left"]


# --- who may not ---------------------------------------------------------------------------------------


async def test_a_client_id_of_another_takes_no_session_over(fog: Fog) -> None:
    async with fog.bus("manager", subscriptions=[SAMPLES]) as manager, fog.bus("pi1") as agent:
        await manager.connected.wait()
        context = client_context(*(getattr(fog.options("pi2"), part) for part in ("ca", "cert", "key")))
        thief = aiomqtt.Client(
            fog.broker.address,
            fog.broker.port,
            identifier="manager",
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=context,
        )
        async with thief:
            await thief.subscribe(SAMPLES.filter, qos=1)
            await agent.publish(TOPICS.sample("pi1"), b"secret")
            assert [m.payload for m in await receive(manager, 1)] == [b"secret"]
        assert manager.counters["connections", ""] == 1


async def test_two_processes_with_one_certificate_are_told_so(
    fog: Fog, caplog: pytest.LogCaptureFixture
) -> None:
    async with fog.bus("pi1") as first:
        await first.connected.wait()
        async with fog.bus("pi1") as second:
            await second.connected.wait()
            await eventually(lambda: any("another process" in line for line in caplog.messages))


async def trying(fog: Fog, **changed: object) -> None:
    """Try to connect three times."""
    async with fog.bus("pi1", options=fog.options("pi1", **changed)) as agent:
        await eventually(lambda: agent.counters["failed", ""] >= 3)
        assert not agent.connected.is_set()


async def test_a_broker_of_another_network_is_not_trusted(fog: Fog, caplog: pytest.LogCaptureFixture) -> None:
    Authority.new("other").save(fog.folder / "other")
    await trying(fog, ca=fog.folder / "other" / "ca.pem")
    assert len(caplog.messages) == 1
    assert "is not this network's broker" in caplog.messages[0]


async def test_a_certificate_of_another_network_is_refused(
    fog: Fog, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = Authority.new("other").issue_client("pi1").save(fog.folder / "other", "pi1")
    await trying(fog, cert=cert, key=key)
    assert len(caplog.messages) == 1
    assert "refused pi1" in caplog.messages[0]
    assert "certificate" in caplog.messages[0]


async def test_a_broker_that_is_not_there_or_does_not_speak_tls(
    caplog: pytest.LogCaptureFixture, fog: Fog
) -> None:
    await trying(fog, port=1)
    assert "no broker answers at 127.0.0.1:1" in caplog.messages[0]
    caplog.clear()

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 what?\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        await trying(fog, port=server.sockets[0].getsockname()[1])
    assert "no broker answers at" in caplog.messages[0]


async def test_wrong_files_are_said_before_anything_starts(fog: Fog, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pem"):
        async with fog.bus("pi1", options=fog.options("pi1", cert=tmp_path / "none.pem")):
            raise AssertionError


# --- leaving ------------------------------------------------------------------------------------------


async def test_leaving_sends_what_is_left_and_leaves_nothing_behind(fog: Fog) -> None:
    threads = threading.active_count()
    async with fog.bus("manager", subscriptions=[SAMPLES]) as manager:
        await manager.connected.wait()
        async with fog.bus("pi1") as agent:
            await agent.connected.wait()
            for n in range(100):
                agent.post(TOPICS.sample("pi1"), b"%d" % n)
        assert len(await receive(manager, 100)) == 100
    assert [m async for m in manager.messages()] == []
    await asyncio.sleep(0)
    assert [t for t in asyncio.all_tasks() if t.get_name().startswith("bus")] == []
    assert threading.active_count() == threads
    gc.collect()  # an unclosed socket would warn here, and warnings are errors


async def test_cancelling_while_it_connects_leaves_nothing_behind(fog: Fog) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with fog.bus("pi1", options=fog.options("pi1", port=port)):
            await eventually(lambda: bool(server.sockets))
            await asyncio.sleep(0.05)  # into the handshake
    gc.collect()


async def test_a_session_without_expiry_is_forgotten(fog: Fog) -> None:
    resumed: list[bool] = []
    for _ in range(2):
        console = fog.bus("console", options=fog.options("console", session_expiry_s=0))
        console.on_connect(resumed.append)
        async with console:
            await console.connected.wait()
    assert resumed == [False, False]


async def test_messages_of_a_subscription_nobody_has_any_more_are_counted(
    fog: Fog, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with fog.bus("manager", subscriptions=[SAMPLES]) as manager:
        await manager.connected.wait()
    async with fog.bus("manager") as manager, fog.bus("pi1") as agent:
        await manager.connected.wait()
        await agent.publish(TOPICS.sample("pi1"), b"x")
        await eventually(lambda: manager.counters["unwanted", ""] == 1)
