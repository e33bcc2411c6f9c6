"""Watching through the real broker."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from console.events import Event
from console.picture import Picture
from console.watch import watch
from mint.charter.model import replaced
from mint.charter.seal import seal
from mint.errors import Reason
from mint.messages.judgement import Alarm
from mint.messages.sample import State
from mint.node import wall_ms
from network.mosquitto_program import Program
from tests.console.history import CHEAT, Fog, forked, frame
from tests.console.running import Running

WITHIN_S = 20.0


@pytest.fixture
async def running(tmp_path: Path, mosquitto_program: Program) -> AsyncIterator[Running]:
    async with Running(tmp_path, mosquitto_program, Fog()) as started:
        yield started


class Ear:
    """What the watch told, and a way to wait for more."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.seen: list[str] = []
        self._news = asyncio.Event()

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    def observe(self, sender: str, _message: msgspec.Struct) -> None:
        self.seen.append(sender)
        self._news.set()

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not enough():
                self._news.clear()
                await self._news.wait()


async def test_events_come_through_and_what_is_false_does_not(running: Running) -> None:
    fog, ear, stop = running.fog, Ear(), asyncio.Event()
    node, picture = running.node(), Picture(running.fog.sealed)
    await running.say(
        fog.object("detector_2", fog.verdict(voters=1))
    )  # both lie there, retained, when the console comes
    await running.say(fog.object("detector_1", fog.verdict()))
    watching = asyncio.create_task(
        watch(node, stop, picture=picture, observer=ear.observe, emit=ear.emit, live=False)
    )
    await ear.until(lambda: bool(ear.events))
    await running.say(fog.object("detector_3", Alarm(1, CHEAT, "ssa", "W = 30 above 25")))
    await running.say(fog.object("detector_3", forked(fog)))
    await running.say(frame(fog, 1, bytes(32)).opened)
    await ear.until(lambda: len(ear.events) > 2 and picture.number == 1)
    stop.set()
    await watching
    assert [event.kind for event in ear.events] == ["verdict", "alarm", "fault"]
    assert "before this console came" in ear.events[0].text
    assert node.rejections.by_reason == {Reason.NO_QUORUM: 1}
    assert set(ear.seen) == {"detector_1", "detector_3", "manager"}


async def test_a_new_charter_is_gone_by(running: Running) -> None:
    fog, ear, stop = running.fog, Ear(), asyncio.Event()
    picture = Picture(fog.sealed)
    newer = seal(replaced(fog.sealed.charter, version=2, mode="observe"), fog.operator)
    birth = State(True, "docker", ())
    await running.say(fog.stream("edge1", birth, fog.topics.state("edge1"), wall_ms()))
    watching = asyncio.create_task(
        watch(running.node(), stop, picture=picture, observer=ear.observe, emit=ear.emit, live=False)
    )
    await ear.until(lambda: bool(ear.seen))  # it has subscribed
    manager = await running.bus("manager")
    await manager.publish(fog.topics.charter(), newer.data, retain=True)
    await running.say(fog.object("detector_3", Alarm(1, CHEAT, "ssa", "")))
    await ear.until(lambda: bool(ear.events))
    stop.set()
    await watching
    assert picture.charter.mode == "observe"


async def test_without_a_terminal_events_are_lines(running: Running) -> None:
    fog, ear, stop, out = running.fog, Ear(), asyncio.Event(), io.StringIO()
    await running.say(fog.object("detector_1", fog.verdict()))
    watching = asyncio.create_task(
        watch(running.node(), stop, observer=ear.observe, live=False, console=Console(file=out, width=40))
    )
    await ear.until(lambda: bool(ear.seen))
    stop.set()
    await watching
    (line,) = out.getvalue().splitlines()
    assert re.fullmatch(rf"\d\d:\d\d:\d\d  verdict     {CHEAT} convicted .*", line)


async def test_it_draws_and_keeps_the_log_off_the_screen(running: Running) -> None:
    class Terminal(io.StringIO):
        drawn = asyncio.Event()

        def write(self, text: str) -> int:
            if "a warning for the screen" in text:
                self.drawn.set()
            return super().write(text)

    out, stop = Terminal(), asyncio.Event()
    console = Console(file=out, force_terminal=True, width=100, height=32)
    picture = Picture(running.fog.sealed)
    log, before = logging.getLogger("mint"), list(logging.getLogger("mint").handlers)
    watching = asyncio.create_task(watch(running.node(), stop, picture=picture, live=True, console=console))
    async with asyncio.timeout(WITHIN_S):
        while log.handlers == before:  # noqa: ASYNC110 - taking over the log wakes nobody
            await asyncio.sleep(0.01)
        log.warning("a warning for %s", "the screen")
        await out.drawn.wait()
    stop.set()
    await watching
    assert log.handlers == before
    assert log.propagate
