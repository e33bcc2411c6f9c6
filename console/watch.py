"""Watching a running network: everything a console may read goes into a picture, and the picture on the terminal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext

import msgspec
from rich.console import Console

from console.events import Event, as_line
from console.live import View, screen
from console.picture import Picture
from mint.bus.bus import Bus
from mint.bus.options import Incoming, Overflow, Subscription
from mint.courier import Courier, bus_of
from mint.envelope import Opened
from mint.errors import Rejected
from mint.frames import open_frame
from mint.node import Node, wall_ms

# A frame brings a burst of messages: drawing a quarter of a second after the first of them draws it once or twice.
REFRESH_S = 0.25
# Ages on the screen are in seconds.
IDLE_S = 1.0
# A broker that was away for a minute still has what happened meanwhile; what is older is no news to who watches.
SESSION_S = 60
# Time to connect before the screen says that there is no connection.
CONNECT_S = 2.0

Observer = Callable[[str, msgspec.Struct], None]


async def watch(
    node: Node,
    stop: asyncio.Event,
    *,
    picture: Picture | None = None,
    observer: Observer | None = None,
    emit: Callable[[Event], None] | None = None,
    live: bool,
    console: Console | None = None,
) -> None:
    """Watch until `stop` is set.

    Args:
        node: of role console.
        stop: ends it.
        picture: to feed; None: one of its own.
        observer: called with the sender of every message and the message, once the picture has accepted it.
        emit: called with every event when it comes (events.as_line and as_json make text of one); None: where
            nothing is drawn, events are printed as plain lines.
        live: whether the picture is drawn.
        console: where to draw or print; None: standard output.
    """
    console = console or Console()
    if emit is None and not live:

        def emit(event: Event) -> None:
            console.out(as_line(event), highlight=False)

    await _Watch(node, picture or Picture(node.charter), observer, emit).run(stop, console if live else None)


class _Watch:
    """One console on one bus."""

    def __init__(
        self,
        node: Node,
        picture: Picture,
        observer: Observer | None,
        emit: Callable[[Event], None] | None,
    ) -> None:
        self._node, self._picture, self._observer, self._emit = node, picture, observer, emit
        self._changed = asyncio.Event()
        picture.know(node.charters.values())

    async def run(self, stop: asyncio.Event, console: Console | None) -> None:
        bus = bus_of(self._node, self._subscriptions(), session_expiry_s=SESSION_S)
        async with bus, asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(bus.messages(), Courier(self._node, bus)))
            drawing = tasks.create_task(self._draw(bus, console))
            await stop.wait()
            reading.cancel()
            drawing.cancel()

    def _subscriptions(self) -> list[Subscription]:
        """Everything but samples, of which the twins are the short form."""
        topics = self._node.topics
        newest = Overflow.DROP_NEWEST
        return [
            Subscription(topics.charter(), limit=4),
            Subscription(topics.state("+"), limit=1024),
            Subscription(topics.frame(), limit=64),
            Subscription(topics.twin("+"), limit=4096, qos=0),
            Subscription(topics.behaviour("+"), limit=128, qos=0),
            Subscription(topics.alarm("+"), limit=256, overflow=newest),
            Subscription(topics.vote("+"), limit=1024, overflow=newest),
            Subscription(topics.verdict("+", "+"), limit=256, overflow=newest),
            Subscription(topics.receipt("+"), limit=256, overflow=newest),
            Subscription(topics.fault("+"), limit=64, overflow=newest),
        ]

    async def _read(self, messages: AsyncIterator[Incoming], courier: Courier) -> None:
        async for incoming in messages:
            charter = self._node.charter
            if incoming.topic == self._node.topics.frame():
                self._take_frame(incoming)
            else:
                courier.opened(incoming, self._take)
            if self._node.charter is not charter:
                self._picture.take_charter(self._node.charter)
                new = self._node.charter.charter
                text = f"charter version {new.version} came, mode {new.mode}, {len(new.miners)} miners"
                self._tell((self._picture.note(text, wall_ms(), "network"),))
            self._changed.set()

    def _take_frame(self, incoming: Incoming) -> None:
        """A frame may be of a manager whose key the charter in force has replaced: it names its own charter."""
        try:
            frame = open_frame(incoming.payload, self._picture.charters, topic=incoming.topic)
        except Rejected as rejected:
            self._node.rejections.count(rejected, incoming.topic)
            return
        found = self._picture.take_frame(frame, wall_ms())
        if self._observer is not None:
            self._observer(frame.sender, frame.frame)
        self._tell(found)

    def _take(self, opened: Opened, incoming: Incoming) -> None:
        found = self._picture.take(opened, wall_ms(), retained=incoming.retained)
        if self._observer is not None:
            self._observer(opened.sender, opened.message)
        self._tell(found)

    def _tell(self, found: tuple[Event, ...]) -> None:
        if self._emit is not None:
            for event in found:
                self._emit(event)

    async def _draw(self, bus: Bus, console: Console | None) -> None:
        """Let time pass for the picture, and draw it where there is a terminal: when it changed, else once a second."""
        await _within(bus.connected, CONNECT_S)
        options = bus.options
        with screen(console) if console else nullcontext(lambda _: None) as draw, self._log_lines(console):
            while True:
                self._changed.clear()
                now_ms = wall_ms()
                self._tell(self._picture.tick(now_ms))
                link = ""
                if not bus.connected.is_set():
                    link = f"not connected to the broker at {options.host}:{options.port}; trying again"
                draw(View(self._picture, now_ms, self._node.rejections.by_reason, link))
                await asyncio.sleep(REFRESH_S)
                await _within(self._changed, IDLE_S - REFRESH_S)

    @contextmanager
    def _log_lines(self, console: Console | None) -> Iterator[None]:
        """While the screen is ours, what the program logs is shown among the events instead of across them."""
        if console is None:
            yield
            return
        log = logging.getLogger("mint")
        handlers, propagate = log.handlers, log.propagate
        log.handlers, log.propagate = [_IntoPicture(self._picture)], False
        try:
            yield
        finally:
            log.handlers, log.propagate = handlers, propagate


class _IntoPicture(logging.Handler):
    """Warnings and worse as events of a picture."""

    def __init__(self, picture: Picture) -> None:
        super().__init__(logging.WARNING)
        self._picture = picture

    def emit(self, record: logging.LogRecord) -> None:
        self._picture.note(record.getMessage(), int(record.created * 1000))


async def _within(event: asyncio.Event, seconds: float) -> None:
    """Wait for `event`, `seconds` at most."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
