"""What a message costs on the bus, in CPU time of this process, beside aiomqtt used as its manual shows it.

Run: python -m bench.bench_bus. Both sides speak TLS 1.3 to the same private broker, QoS 1, one sample's worth of
bytes a message. Receiving is measured on what the broker queued for an absent session, so that no publisher's time
is in it. CPU time, not wall time: a fog's processes share few cores. Prints a table; ratios above 1 mean that the
bus is cheaper.
"""

from __future__ import annotations

import asyncio
import logging
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from mint.bus import Bus, BusOptions, Subscription
from mint.certificates import Authority, client_context
from mint.names import Role
from mint.topics import Topics
from network.acl import acl
from network.broker import Broker

# Few enough for the broker to queue them all (max_queued_messages).
MESSAGES = 1500
PAYLOAD = bytes(600)  # a signed sample of four miners
ROUNDS = 3
IDLE_S = 5.0
TOPICS = Topics("bench")
TOPIC = TOPICS.sample("agent")
NODES = (("agent", Role.AGENT), ("manager", Role.MANAGER))


@dataclass(frozen=True)
class Place:
    """Where the broker is and the keys are."""

    folder: Path
    port: int

    def options(self, name: str) -> BusOptions:
        """What `name` connects with."""
        keys = self.folder / "keys"
        ca = self.folder / "ca" / "ca.pem"
        return BusOptions("127.0.0.1", self.port, name, ca, keys / f"{name}.pem", keys / f"{name}.key")

    def bus(self, name: str, *subscriptions: Subscription) -> Bus:
        """A bus as `name`."""
        return Bus(self.options(name), subscriptions=subscriptions, rng=random.Random(1))

    def plain(self, name: str) -> aiomqtt.Client:
        """A plain client as `name`, with a session that survives."""
        options = self.options(name)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho leaves it untyped
        properties.SessionExpiryInterval = 3600
        return aiomqtt.Client(
            "127.0.0.1",
            self.port,
            identifier=name,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
            tls_context=client_context(options.ca, options.cert, options.key),
        )


async def cpu_us(work: Callable[[], Awaitable[None]]) -> float:
    """Microseconds of CPU a message that `work` takes."""
    before = time.process_time()
    await work()
    return (time.process_time() - before) / MESSAGES * 1e6


async def publish_bus(place: Place) -> float:
    """Post all, and wait for the last PUBACK."""
    async with place.bus("agent") as bus:
        await bus.connected.wait()

        async def work() -> None:
            for _ in range(MESSAGES):
                bus.post(TOPIC, PAYLOAD, expiry_s=60)
            await bus.flush(60)

        return await cpu_us(work)


async def publish_plain(place: Place) -> float:
    """Publish one after the other, as the manual does."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho leaves it untyped
    properties.MessageExpiryInterval = 60
    async with place.plain("agent") as client:

        async def work() -> None:
            for _ in range(MESSAGES):
                await client.publish(TOPIC, PAYLOAD, qos=1, properties=properties)

        return await cpu_us(work)


async def receive_bus(place: Place) -> float:
    """Take over what was queued."""
    wanted = Subscription(TOPIC, limit=2 * MESSAGES)
    async with place.bus("manager", wanted) as bus:
        await bus.connected.wait()
    await publish_bus(place)
    bus = place.bus("manager", wanted)

    async def work() -> None:
        async with bus:
            for _ in range(MESSAGES):
                await anext(bus.messages())

    return await cpu_us(work)


async def receive_plain(place: Place) -> float:
    """Take over what was queued, with the message iterator."""
    async with place.plain("manager") as client:
        await client.subscribe(TOPIC, qos=1)
    await publish_bus(place)

    async def work() -> None:
        async with place.plain("manager") as client:
            for _ in range(MESSAGES):
                await anext(client.messages)

    return await cpu_us(work)


async def idle_bus(place: Place) -> float:
    """Microseconds of CPU a second of a connection that does nothing."""
    async with place.bus("agent") as bus:
        await bus.connected.wait()
        before = time.process_time()
        await asyncio.sleep(IDLE_S)
        return (time.process_time() - before) / IDLE_S * 1e6


async def idle_plain(place: Place) -> float:
    """Likewise for the plain client."""
    async with place.plain("agent"):
        before = time.process_time()
        await asyncio.sleep(IDLE_S)
        return (time.process_time() - before) / IDLE_S * 1e6


async def measure() -> None:
    """Measure and print."""
    logging.basicConfig(level=logging.ERROR)
    rows = (
        ("publish, us a message", publish_bus, publish_plain),
        ("receive, us a message", receive_bus, receive_plain),
        ("idle connection, us a second", idle_bus, idle_plain),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority.new("bench")
        authority.save(folder / "ca")
        for node, _ in NODES:
            authority.issue_client(node).save(folder / "keys", node)
        async with Broker(folder / "broker", authority, acl(NODES, TOPICS)) as broker:
            place = Place(folder, broker.port)
            print(f"{'CPU time, median of ' + str(ROUNDS):32}{'bus':>8}{'aiomqtt':>10}{'aiomqtt/bus':>14}")
            for what, ours, theirs in rows:
                pairs = [(await ours(place), await theirs(place)) for _ in range(ROUNDS)]
                bus, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
                print(f"{what:32}{bus:8.0f}{plain:10.0f}{plain / bus:14.2f}", flush=True)


def main() -> None:
    """Measure and print."""
    asyncio.run(measure())


if __name__ == "__main__":
    main()
