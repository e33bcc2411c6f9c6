"""A fog for the enforcer: a real broker with TLS and ACL, miners that never rest in real cgroups, signed offences."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from mint.boot import boot_id
from mint.bus import Bus, Subscription
from mint.certificates import Authority
from mint.containers.cgroup_v1 import HoldV1
from mint.containers.find import find_files
from mint.courier import bus_of
from mint.envelope import open_envelope
from mint.messages.judgement import Verdict
from mint.messages.receipt import Receipt
from mint.messages.sample import MinerReading
from mint.node import (
    CA_CERTIFICATE,
    OPERATOR_KEY,
    SIGNING_KEY,
    TLS_CERTIFICATE,
    TLS_KEY,
    Node,
    NodeOptions,
)
from network.acl import acl
from network.broker import Broker
from network.mosquitto_program import Program
from tests.enforcer.offences import DETECTORS, ENFORCER, MANAGER, ROLES, Keys, reading

WAIT_S = 30.0


class Fog:
    """The folders of every node, and the broker they meet at."""

    def __init__(self, folder: Path, program: Program) -> None:
        self.folder, self.keys = folder, Keys()
        authority = Authority.new("test")
        (folder / "charter.signed").write_bytes(self.keys.sealed.data)
        for name, key in self.keys.of.items():
            own = folder / name
            own.mkdir()
            key.save(own / SIGNING_KEY)
            (own / OPERATOR_KEY).write_text(self.keys.operator.public.hex())
            issued = authority.issue_client(name)
            (own / TLS_CERTIFICATE).write_bytes(issued.cert)
            (own / TLS_KEY).touch(mode=0o600)
            (own / TLS_KEY).write_bytes(issued.key)
            (own / CA_CERTIFICATE).write_bytes(authority.cert)
        rights = acl(ROLES.items(), self.keys.sealed.topics())
        self.broker = Broker(folder / "broker", authority, rights, program=program)

    def node(self, name: str = ENFORCER) -> Node:
        return Node(options_of(self.folder, name, self.broker.port), ROLES[name])


def options_of(folder: Path, name: str, port: int) -> NodeOptions:
    own = folder / name
    return NodeOptions(folder / "charter.signed", name, own, "127.0.0.1", port, own / "state")


class Others:
    """What the other nodes say, and the receipts that the enforcer told (as the manager hears them)."""

    def __init__(self, fog: Fog) -> None:
        self.keys = fog.keys
        self.receipts: list[Receipt] = []
        self._topics = fog.keys.sealed.topics()
        self._manager_node = fog.node(MANAGER)
        self.manager: Bus = bus_of(self._manager_node, [Subscription(self._topics.receipt("+"))])
        self.detector: Bus = bus_of(fog.node(DETECTORS[0]), [])
        self._news = asyncio.Condition()

    async def listen(self) -> None:
        async for message in self.manager.messages():
            opened = open_envelope(message.payload, self._manager_node.trust, topic=message.topic)
            assert isinstance(opened.message, Receipt)
            async with self._news:
                self.receipts.append(opened.message)
                self._news.notify_all()

    async def heard(self, *actions: str) -> None:
        """Wait until receipts of all these actions have come, however often each."""
        async with asyncio.timeout(WAIT_S), self._news:
            await self._news.wait_for(lambda: set(actions) <= {r.action for r in self.receipts})

    async def judge(self, verdict: Verdict) -> None:
        topic, data = self.keys.publish(verdict)
        await self.detector.publish(topic, data, retain=True)

    async def frame(self, number: int) -> None:
        await self.manager.publish(self._topics.frame(), self.keys.frame(number))


@contextlib.asynccontextmanager
async def others_of(fog: Fog) -> AsyncIterator[Others]:
    others = Others(fog)
    async with others.manager, others.detector:
        listening = asyncio.create_task(others.listen())
        yield others
        listening.cancel()


def hold_of(fog: Fog, miner: str) -> HoldV1:
    hold = find_files(fog.keys.scope)[miner]
    assert isinstance(hold, HoldV1)
    return hold


def read(hold: HoldV1) -> MinerReading:
    """A reading as an agent makes it."""
    counters = hold.counters()
    return reading(hold.miner, hold.epoch, counters.before_ns, counters.after_ns, counters.usage_ns)


async def caught(fog: Fog, hold: HoldV1, above_ns: int) -> tuple[MinerReading, MinerReading]:
    """Two readings between which the miner took `above_ns` more than its due."""
    first = read(hold)
    while True:
        await asyncio.sleep(0.05)
        last = read(hold)
        due_ns = (last.after_ns - first.before_ns) * 50_000 // 1_000_000
        if last.usage_ns - first.usage_ns - due_ns > above_ns:
            return first, last


def verdict_on(
    fog: Fog, pair: tuple[MinerReading, MinerReading], *, voters: Sequence[str] = DETECTORS[:3]
) -> Verdict:
    """A verdict on frame 10, with these two readings in proof."""
    first, last = fog.keys.samples(pair, boot_id())
    return fog.keys.verdict(first, last, miner=pair[0].miner, frame=10, voters=voters)


def quota_us(hold: HoldV1) -> int | None:
    return hold.quota().quota_us


async def until(enough: Callable[[], bool]) -> None:
    """Wait for what the kernel's files show: nobody is told."""
    async with asyncio.timeout(WAIT_S):
        while not enough():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
