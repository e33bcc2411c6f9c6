"""A fog small enough for one test: keys, a charter, a real broker with TLS and ACL, miners in real cgroups."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mint.bus import Bus, Subscription
from mint.certificates import Authority
from mint.charter.model import (
    Charter,
    Detection,
    Device,
    DeviceClass,
    Entitlement,
    Miner,
    Rung,
    replaced,
)
from mint.charter.model import Node as Member
from mint.charter.seal import SealedCharter, seal
from mint.containers import files
from mint.containers.hierarchy import CGROUPFS, detect, miner_path, scope_path, writable
from mint.courier import bus_of
from mint.envelope import Opened, Signer, open_envelope
from mint.keys import SigningKey, network_id, new_key
from mint.messages.sample import Ack, Sample, State
from mint.names import Role, scope
from mint.node import (
    CA_CERTIFICATE,
    OPERATOR_KEY,
    SIGNING_KEY,
    TLS_CERTIFICATE,
    TLS_KEY,
    Node,
    NodeOptions,
    wall_ms,
)
from mint.sign_bytes import Stream
from network.acl import acl
from network.broker import Broker
from network.mosquitto_program import Program
from tests.setup.machine import absent

AGENT, MANAGER, DETECTOR = "edge1", "manager", "detector1"
ROLES = {AGENT: Role.AGENT, MANAGER: Role.MANAGER, DETECTOR: Role.DETECTOR}
MINERS = ("miner_01", "miner_02")
PERIOD_MS = 200
WAIT_S = 20.0


class Keys:
    """Everybody's keys, and the charter that follows from them."""

    def __init__(self, miners: Sequence[str] = MINERS) -> None:
        self.miners = miners
        self.operator = new_key()
        self.of: dict[str, SigningKey] = {name: new_key() for name in ROLES}
        self.network = network_id(self.operator.public)
        self.scope = scope(self.network)

    def charter(self, version: int = 1, period_ms: int = PERIOD_MS) -> SealedCharter:
        entitlement = Entitlement(100_000, 0, 1 << 26, 1 << 20)
        charter = Charter(
            network=self.network,
            title="",
            fog="fog1",
            version=version,
            issued_ms=0,
            expires_ms=2**62,
            period_ms=period_ms,
            clock_tolerance_ms=60_000,
            key_parameter="cpu",
            f_detectors=0,
            f_miners=0,
            always_reconcile=False,
            mode="enforce",
            nodes=tuple(Member(name, role, self.of[name].public) for name, role in ROLES.items()),
            classes=(DeviceClass("pi", 0),),
            devices=(Device(AGENT, "pi"),),
            miners=tuple(Miner(name, AGENT, entitlement, "kernel", "enforce", "") for name in self.miners),
            detection=Detection("calibrated", 24, 12, 12, 24, 4, 1_281_500, 10, 17_000, 200, 600, 100, 30),
            ladder=(Rung(500_000, 0),),
            holds=(),
            pardons=(),
        )
        return seal(charter, self.operator)

    def signer(self, name: str, session: int = 1) -> Signer:
        return Signer(name, self.of[name], self.network, session)


class Fog:
    """The folders of every node, and the broker they meet at."""

    def __init__(
        self, folder: Path, program: Program, miners: Sequence[str] = MINERS, period_ms: int = PERIOD_MS
    ) -> None:
        self.folder, self.keys = folder, Keys(miners)
        self.sealed = self.keys.charter(period_ms=period_ms)
        authority = Authority.new("test")
        (folder / "charter.signed").write_bytes(self.sealed.data)
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
        self.broker = Broker(
            folder / "broker", authority, acl(ROLES.items(), self.sealed.topics()), program=program
        )

    def options(self, name: str) -> NodeOptions:
        return NodeOptions(
            charter=self.folder / "charter.signed",
            node=name,
            keys=self.folder / name,
            host="127.0.0.1",
            port=self.broker.port,
            state=self.folder / name / "state",
        )

    def node(self, name: str) -> Node:
        return Node(self.options(name), ROLES[name])


@dataclass
class Heard:
    """What the manager received, in order; `data` are the envelopes as they came."""

    data: bytes
    opened: Opened
    retained: bool

    @property
    def place(self) -> tuple[int, int]:
        assert isinstance(self.opened.body, Stream)
        return self.opened.body.session, self.opened.body.sequence


class Manager:
    """The manager's side of the bus, driven by the test: it opens what agents say, and acknowledges."""

    def __init__(self, fog: Fog) -> None:
        self.node = fog.node(MANAGER)
        self.heard: list[Heard] = []
        self.bus: Bus = bus_of(
            self.node, [Subscription(self.node.topics.state("+")), Subscription(self.node.topics.sample("+"))]
        )
        self._news = asyncio.Condition()

    async def listen(self) -> None:
        async for message in self.bus.messages():
            opened = open_envelope(message.payload, self.node.trust, topic=message.topic)
            async with self._news:
                self.heard.append(Heard(message.payload, opened, message.retained))
                self._news.notify_all()

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until what was heard is `enough`."""
        async with asyncio.timeout(WAIT_S), self._news:
            await self._news.wait_for(enough)

    async def acknowledge(self, place: tuple[int, int], device: str = AGENT) -> bytes:
        """Say that everything up to `place` is stored; the envelope."""
        ack = Ack(device, *place)
        data = self.node.signer.stream(ack, self.node.topics.ack(AGENT), wall_ms())
        await self.send(data)
        return data

    async def send(self, data: bytes) -> None:
        await self.bus.publish(self.node.topics.ack(AGENT), data)

    @property
    def samples(self) -> list[Heard]:
        return [heard for heard in self.heard if isinstance(heard.opened.message, Sample)]

    @property
    def states(self) -> list[State]:
        return [heard.opened.message for heard in self.heard if isinstance(heard.opened.message, State)]


@contextlib.asynccontextmanager
async def manager_of(fog: Fog) -> AsyncIterator[Manager]:
    manager = Manager(fog)
    async with manager.bus:
        listening = asyncio.create_task(manager.listen())
        yield manager
        listening.cancel()


async def until(enough: Callable[[], bool]) -> None:
    """Wait for something that tells nobody when it happens."""
    async with asyncio.timeout(WAIT_S):
        while not enough():  # noqa: ASYNC110 - counters in the agent wake nobody
            await asyncio.sleep(0.02)


class Cgroups:
    """Parent cgroups of miners on this machine (version 1), each with processes of its own choosing."""

    def __init__(self, network_scope: str) -> None:
        self.here = detect()
        if self.here.version != 1 or not writable(self.here):
            absent("writable cgroup v1 cpu controller")
        self.scope = network_scope
        self._children: list[subprocess.Popen[bytes]] = []

    def folders(self, miner: str) -> list[Path]:
        return [root / miner_path(CGROUPFS, self.scope, miner) for root in self.here.mounts.values()]

    def make(self, miner: str, quota_us: int = 10_000) -> None:
        for folder in self.folders(miner):
            folder.mkdir(parents=True)
        assert self.here.cpu is not None
        path = miner_path(CGROUPFS, self.scope, miner)
        (self.here.cpu / path / "cpu.cfs_quota_us").write_text(str(quota_us))

    def run(self, miner: str, *command: str) -> subprocess.Popen[bytes]:
        """A process that is in the cgroup before it does anything; it is there when this returns."""
        procs = [
            str(folder / "cgroup.procs") for folder in self.folders(miner) if "cpuset" not in folder.parts
        ]
        script = 'for f in "$@"; do [ "$f" = -- ] && break; echo $$ >"$f" || exit 1; done; '
        script += 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
        child = subprocess.Popen(["sh", "-c", script, "sh", *procs, "--", *command])
        self._children.append(child)
        deadline = time.monotonic() + WAIT_S
        while str(child.pid) not in Path(procs[-1]).read_text().split() and child.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return child

    def remove(self, miner: str) -> None:
        for folder in self.folders(miner):
            files.remove_tree(folder)

    def close(self) -> None:
        for child in self._children:
            child.kill()
            child.wait()
        for root in self.here.every:
            deadline = time.monotonic() + 5
            folder = root / scope_path(CGROUPFS, self.scope)
            while folder.exists() and time.monotonic() < deadline:
                files.remove_tree(folder)  # a killed process leaves its cgroup a moment later
            with contextlib.suppress(OSError):
                folder.parent.rmdir()


@contextlib.contextmanager
def cgroups_of(network_scope: str) -> Iterator[Cgroups]:
    cgroups = Cgroups(network_scope)
    try:
        yield cgroups
    finally:
        cgroups.close()


def next_version(sealed: SealedCharter, operator: SigningKey, **changes: object) -> SealedCharter:
    """The next version of a charter."""
    return seal(replaced(sealed.charter, version=sealed.charter.version + 1, **changes), operator)
