"""A fog to test against: a CA, nodes with certificates, a real Mosquitto with their access list, and a cable to cut."""

from __future__ import annotations

import asyncio
import atexit
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Self

from mint.bus import Bus, BusOptions
from mint.certificates import Authority
from mint.names import Role
from mint.topics import Topics
from network.acl import acl
from network.broker import Broker

NODES = (
    ("operator", Role.OPERATOR),
    ("manager", Role.MANAGER),
    ("pi1", Role.AGENT),
    ("pi2", Role.AGENT),
    ("d1", Role.DETECTOR),
    ("d2", Role.DETECTOR),
    ("enforcer", Role.ENFORCER),
    ("console", Role.CONSOLE),
)
TOPICS = Topics("fog1")


@cache
def provisioned(names: tuple[str, ...]) -> tuple[Authority, Path]:
    """An authority in `ca/`, and certificates in `keys/`; made once, for every file of them is synced."""
    authority, made = Authority.new("test"), Path(tempfile.mkdtemp(prefix="fog-"))
    atexit.register(shutil.rmtree, made)
    authority.save(made / "ca")
    for name in names:
        authority.issue_client(name).save(made / "keys", name)
    return authority, made


class Fog:
    """Keys in `folder`, and a broker that is started with `async with`."""

    def __init__(self, folder: Path, nodes: Iterable[tuple[str, Role]] = NODES) -> None:
        self.folder, self.topics, self.nodes = folder, TOPICS, tuple(nodes)
        self.authority, made = provisioned(tuple(name for name, _ in self.nodes))
        shutil.copytree(made, folder, dirs_exist_ok=True)
        self.broker = Broker(folder / "broker", self.authority, acl(self.nodes, self.topics))

    def options(self, name: str, **changed: Any) -> BusOptions:
        keys = self.folder / "keys"
        given: dict[str, Any] = {
            "host": self.broker.address,
            "port": self.broker.port,
            "name": name,
            "ca": self.folder / "ca" / "ca.pem",
            "cert": keys / f"{name}.pem",
            "key": keys / f"{name}.key",
        }
        return BusOptions(**(given | changed))

    def bus(self, name: str, **arguments: Any) -> Bus:
        options = arguments.pop("options", None) or self.options(name)
        return Bus(options, rng=random.Random(7), **arguments)

    async def __aenter__(self) -> Self:
        await self.broker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.broker.stop()


class Cable:
    """The network between a client and the broker: passes bytes on until it is cut."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.silent = False  # connections stay, but nothing comes through

    async def __aenter__(self) -> Self:
        await self.plug()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.unplug()

    async def plug(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        """No bytes pass, and nobody can connect."""
        if self._server is not None:
            self._server.close()
        self.cut()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def cut(self) -> None:
        """Every connection ends without a word; new ones are possible."""
        for end in self._ends:
            end.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            other_reader, other = await asyncio.open_connection(self._broker.address, self._broker.port)
        except OSError:
            writer.transport.abort()
            return
        self._ends.add(other)
        await asyncio.gather(self._pass(reader, other), self._pass(other_reader, writer))
        self._ends -= {writer, other}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self.silent:
                    continue
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        await eventually(lambda: not self.silent)  # an end does not come through either
        writer.transport.abort()


async def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Return when `condition` holds: for what the bus counts and nobody is told."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 # what is awaited has no event
            await asyncio.sleep(0.01)


async def receive(bus: Bus, count: int, within_s: float = 10.0) -> list[Any]:
    """The next `count` messages."""
    messages = bus.messages()
    async with asyncio.timeout(within_s):
        return [await anext(messages) for _ in range(count)]
