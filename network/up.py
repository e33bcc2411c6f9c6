"""`mint up`: the network here, without an attack, until told to stop; and looking on at it."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from console import events
from console.picture import Picture
from console.watch import watch
from mint.bus.bus import Bus
from mint.bus.options import BusOptions
from mint.charter.seal import OPERATOR, SealedCharter, load_charter
from mint.errors import InputError
from mint.files import write_atomic
from mint.keys import load_public
from mint.node import CA_CERTIFICATE, TLS_CERTIFICATE, TLS_KEY, Node, wall_ms
from network.layout import Layout
from network.local import LocalNetwork

ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """How `mint up` was called."""

    folder: Path
    miners: int
    runtime: str | None
    port: int | None
    live: bool


async def run(options: UpOptions, out: Console, stop: asyncio.Event) -> None:
    """Run the network until `stop` is set; everything it started is gone when this returns, its memory stays."""
    layout = Layout(options.folder)
    begun = time.monotonic()

    def say(what: str) -> None:
        out.print(f"[dim]{time.monotonic() - begun:5.1f} s[/dim] {what}", soft_wrap=True)

    with layout.locked():
        network = LocalNetwork(
            layout, miners=options.miners, runtime=options.runtime, say=say, port=options.port
        )
        async with network:
            write_atomic(layout.root / ADDRESS, f"{network.broker.address}:{network.broker.port}\n".encode())
            try:
                await network.start_miners()
                say("running; Ctrl-C ends it. Look on with: mint watch")
                await watch(
                    network.console(), stop, picture=Picture(network.charter), live=options.live, console=out
                )
            finally:
                (layout.root / ADDRESS).unlink(missing_ok=True)


def running_broker(layout: Layout) -> tuple[str, int]:
    """Where the broker of the network that runs here listens.

    Raises:
        InputError: none runs in this folder.
    """
    try:
        host, _, port = (layout.root / ADDRESS).read_text(encoding="ascii").strip().rpartition(":")
        return host, int(port)
    except (OSError, ValueError):
        raise InputError(
            str(layout.root), "no network runs in this folder", "start one with `mint up`, or name --broker"
        ) from None


async def look_on(node: Node, stop: asyncio.Event, *, as_json: bool) -> None:
    """`mint watch`: the live view of a running network, or its events as JSON lines."""
    if as_json:
        await watch(node, stop, emit=lambda event: print(events.as_json(event), flush=True), live=False)
    else:
        await watch(node, stop, live=True)


async def publish_charter(layout: Layout, host: str, port: int) -> None:
    """Publish the signed charter, retained, with the operator's own certificate.

    Raises:
        InputError: a file is missing or wrong.
        BusError: the broker does not take it.
    """
    sealed = load_charter(layout.charter, load_public(layout.operator_public), wall_ms())
    keys = layout.keys(OPERATOR)
    options = BusOptions(
        host,
        port,
        OPERATOR,
        keys / CA_CERTIFICATE,
        keys / TLS_CERTIFICATE,
        keys / TLS_KEY,
        session_expiry_s=0,
    )
    async with Bus(options, rng=random.Random()) as bus:  # noqa: S311 (jitter, no secret)
        await bus.publish(sealed.topics().charter(), sealed.data, retain=True)


def charter_json(sealed: SealedCharter) -> str:
    """A charter for programs, with its hash; keys and hashes in hex."""
    plain = _plain(sealed.charter)
    return json.dumps({"hash": sealed.hash.hex(), **plain}, indent=2)


def _plain(value: object) -> Any:  # noqa: ANN401 (JSON)
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value
