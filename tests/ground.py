"""A network on disk, as `mint init` leaves it, around a real broker: for tests of components as processes."""

from __future__ import annotations

import asyncio
import atexit
import random
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Self

from mint.bus.bus import Bus
from mint.bus.options import BusOptions, Incoming, Subscription
from mint.certificates import Authority
from mint.names import Role
from mint.node import (
    CA_CERTIFICATE,
    OPERATOR_KEY,
    SIGNING_KEY,
    TLS_CERTIFICATE,
    TLS_KEY,
    Node,
    NodeOptions,
)
from mint.topics import may_read
from network.acl import acl
from network.broker import Broker
from tests.builders import Net, key_of

WITHIN_S = 20.0


@cache
def provisioned(names: tuple[str, ...]) -> tuple[Authority, Path]:
    """An authority, and the `--keys` folder of each of these nodes; made once, for every file of them is synced."""
    authority, made = Authority.new("test"), Path(tempfile.mkdtemp(prefix="ground-"))
    atexit.register(shutil.rmtree, made)
    for name in names:
        keys = made / name
        key_of(name).save(keys / SIGNING_KEY)
        (keys / OPERATOR_KEY).write_text(key_of("operator").public.hex() + "\n")
        cert, key = authority.issue_client(name).save(keys, "tls")
        assert (cert.name, key.name) == (TLS_CERTIFICATE, TLS_KEY)
        (keys / CA_CERTIFICATE).write_bytes(authority.cert)
    return authority, made


class Ground:
    """Folders of every node of `net`; `async with` starts the broker they meet at.

    A console is there too: it reads everything, and hears what the test wants to know.
    """

    def __init__(self, folder: Path, net: Net) -> None:
        self.folder, self.net = folder, net
        self.charter = folder / "charter.signed"
        folder.mkdir(parents=True, exist_ok=True)
        self.charter.write_bytes(net.sealed.data)
        # Whoever holds the operator's key may publish charters; it is on no machine of the network.
        roles = {**net.roles, "operator": Role.OPERATOR}
        self.authority, made = provisioned(tuple(roles))
        for name in roles:
            shutil.copytree(made / name, folder / name)
        self.broker = Broker(folder / "broker", self.authority, acl(roles.items(), net.sealed.topics()))

    def options(self, name: str) -> NodeOptions:
        return NodeOptions(
            charter=self.charter,
            node=name,
            keys=self.folder / name,
            host="127.0.0.1",
            port=self.broker.port,
            state=self.folder / name / "state",
        )

    def bus(self, name: str, *subscriptions: Subscription) -> Bus:
        """A bus in the name of a node, of which nothing else runs."""
        keys = self.folder / name
        certificates = (keys / CA_CERTIFICATE, keys / TLS_CERTIFICATE, keys / TLS_KEY)
        options = BusOptions("127.0.0.1", self.broker.port, name, *certificates)
        return Bus(options, subscriptions=subscriptions, rng=random.Random(7))

    def node(self, name: str) -> Node:
        return Node(self.options(name), self.net.roles[name])

    async def __aenter__(self) -> Self:
        await self.broker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.broker.stop()


class Listener:
    """A node that listens to everything it may read, and speaks where the test says so."""

    def __init__(self, ground: Ground, name: str = "console") -> None:
        filters = may_read(ground.net.roles[name], name, ground.net.sealed.topics())
        self.bus = ground.bus(name, *(Subscription(filter_, limit=8192) for filter_ in filters))
        self.heard: list[Incoming] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.bus.__aenter__()
        await self.bus.connected.wait()
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await self.bus.__aexit__(None, None, None)

    async def _listen(self) -> None:
        async for incoming in self.bus.messages():
            self.heard.append(incoming)
            self._news.set()

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until what was heard is enough."""
        async with asyncio.timeout(WITHIN_S):
            while not enough():
                self._news.clear()
                await self._news.wait()

    def on(self, topic: str) -> list[bytes]:
        """What came on a topic, in order."""
        return [incoming.payload for incoming in self.heard if incoming.topic == topic]


async def until(enough: Callable[[], bool]) -> None:
    """Wait for something that tells nobody when it happens."""
    async with asyncio.timeout(WITHIN_S):
        while not enough():  # noqa: ASYNC110 # counters inside a component wake nobody
            await asyncio.sleep(0.01)
