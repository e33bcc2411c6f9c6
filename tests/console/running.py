"""The fog of history.py on a real broker with TLS and ACL: its nodes' folders, and who has something to say."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from mint.bus import Bus
from mint.certificates import Authority
from mint.courier import bus_of
from mint.envelope import Opened
from mint.names import Role
from mint.node import CA_CERTIFICATE, OPERATOR_KEY, SIGNING_KEY, TLS_CERTIFICATE, TLS_KEY, Node, NodeOptions
from mint.sign_bytes import Stream
from network.acl import acl
from network.broker import Broker
from network.mosquitto_program import Program
from tests.console.history import Fog


class Running:
    """A broker, and a connection for every node that speaks; `async with` starts it."""

    def __init__(self, folder: Path, program: Program, fog: Fog) -> None:
        self.folder, self.fog = folder, fog
        authority = Authority.new("test")
        (folder / "charter.signed").write_bytes(fog.sealed.data)
        for name, key in fog.keys.items():
            own = folder / name
            own.mkdir()
            key.save(own / SIGNING_KEY)
            (own / OPERATOR_KEY).write_text(fog.operator.public.hex())
            issued = authority.issue_client(name)
            (own / TLS_CERTIFICATE).write_bytes(issued.cert)
            (own / TLS_KEY).touch(mode=0o600)
            (own / TLS_KEY).write_bytes(issued.key)
            (own / CA_CERTIFICATE).write_bytes(authority.cert)
        self.broker = Broker(
            folder / "broker", authority, acl(fog.roles.items(), fog.topics), program=program
        )
        self._stack = AsyncExitStack()
        self._buses: dict[str, Bus] = {}

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.broker)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def node(self, name: str = "console") -> Node:
        own = self.folder / name
        options = NodeOptions(
            charter=self.folder / "charter.signed",
            node=name,
            keys=own,
            host=self.broker.address,
            port=self.broker.port,
            state=own / "state",
        )
        return Node(options, Role(self.fog.roles[name]))

    async def bus(self, name: str) -> Bus:
        if name not in self._buses:
            self._buses[name] = await self._stack.enter_async_context(bus_of(self.node(name), []))
        return self._buses[name]

    async def say(self, opened: Opened) -> None:
        """Publish what its sender signed, where it belongs; returns when the broker has it."""
        bus = await self.bus(opened.sender)
        await bus.publish(
            self._topic(opened), opened.data, retain=opened.body.kind in ("state", "verdict", "fault")
        )

    def _topic(self, opened: Opened) -> str:
        topics, body = self.fog.topics, opened.body
        if isinstance(body, Stream):
            return body.topic
        sender = opened.sender
        of = {
            "frame": topics.frame(),
            "vote": topics.vote(sender),
            "alarm": topics.alarm(sender),
            "receipt": topics.receipt(sender),
            "fault": topics.fault(sender),
            "verdict": topics.verdict(sender, getattr(opened.message, "miner", "")),
        }
        return of[body.kind]
