"""kill -9 of each part in turn while the network runs: everything continues, nothing is lost, doubled or forked."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mint.bus.options import Subscription
from mint.containers.model import Quota
from mint.courier import Courier, bus_of
from mint.envelope import Envelope, Opened
from mint.fault import CLAIMS
from mint.messages.fault import Fault
from mint.messages.frame import Frame
from mint.messages.judgement import Verdict, Vote
from mint.messages.receipt import Receipt
from mint.sign_bytes import Object
from mint.verdict import verify_verdict
from mint.wire import decode
from network.attacks import Attacker, attack_named
from network.layout import Layout
from network.local import LocalNetwork

pytestmark = [pytest.mark.system, pytest.mark.cgroup, pytest.mark.timeout(240)]

MINERS = 9
CHEAT = "m05"
# A part that was killed is started again within a second; then it connects and catches up.
BACK_S = 30.0


class Watcher:
    """What went over the bus, and a way to wait for something."""

    def __init__(self) -> None:
        self.frames: dict[int, set[bytes]] = {}
        self.votes: dict[tuple[str, int], set[bytes]] = {}
        self.verdicts: list[Verdict] = []
        self.receipts: list[Receipt] = []
        self.proofs: list[Fault] = []
        self._changed = asyncio.Event()

    def see(self, opened: Opened) -> None:
        message = opened.message
        if isinstance(message, Frame):
            self.frames.setdefault(message.number, set()).add(opened.hash)
        elif isinstance(message, Vote):
            self.votes.setdefault((opened.sender, message.frame), set()).add(opened.hash)
        elif isinstance(message, Verdict):
            self.verdicts.append(message)
        elif isinstance(message, Receipt):
            self.receipts.append(message)
        elif isinstance(message, Fault) and message.kind not in CLAIMS:
            self.proofs.append(message)
        self._changed.set()

    async def until(self, holds: Callable[[], object], what: str, timeout_s: float = BACK_S) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"not within {timeout_s:g} s: {what}") from None

    async def frames_from_now(self, count: int, what: str) -> None:
        newest = max(self.frames, default=0)
        await self.until(lambda: max(self.frames, default=0) >= newest + count, what)


async def test_kill_every_part_in_turn(cgroups: None, tmp_path: Path) -> None:
    said: list[str] = []
    network = LocalNetwork(Layout(tmp_path / "net"), miners=MINERS, runtime="cgroup", say=said.append)
    watcher = Watcher()
    async with network:
        node = network.console()
        everything = Subscription(node.topics.charter().replace("charter", "#"), limit=8192)
        async with bus_of(node, [everything]) as bus, asyncio.TaskGroup() as tasks:
            courier = Courier(node, bus)

            async def read() -> None:
                async for incoming in bus.messages():
                    courier.opened(incoming, lambda opened, _: watcher.see(opened))

            reading = tasks.create_task(read())
            await network.start_miners()
            await watcher.until(lambda: len(watcher.frames) >= 3, "the first frames")
            for name, child in network.children.items():
                pid = child.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                await watcher.frames_from_now(4, f"frames after {name} was killed: {said}")
                assert child.starts == 2
            broker = network.broker.pid
            assert broker is not None
            os.kill(broker, signal.SIGKILL)
            await watcher.frames_from_now(4, f"frames after the broker was killed: {said}")

            # And all of them together still catch a cheat.
            entitled = {
                CHEAT: Quota.of_ppm(network.charter.charter.miners[0].entitlement.cpu_ppm).quota_us or 0
            }
            attacker = Attacker(attack_named("double"), {CHEAT: network.runtime.hold(CHEAT)}, entitled)
            attacker.act(0.0)
            await watcher.until(lambda: watcher.verdicts, "a verdict")
            await watcher.until(
                lambda: [receipt for receipt in watcher.receipts if receipt.action == "correct"], "a receipt"
            )
            assert attacker.restored() == {CHEAT: True}
            # The verdict is on its way to the quota; kill who carries it out, and what was taken is still taken back.
            enforcer = network.children["enforcer1"].pid
            assert enforcer is not None
            os.kill(enforcer, signal.SIGKILL)
            await watcher.until(
                lambda: [receipt for receipt in watcher.receipts if receipt.action == "restore"],
                "the restoring",
            )
            assert attacker.restored() == {CHEAT: True}
            reading.cancel()

    assert {(verdict.miner, verdict.offence) for verdict in watcher.verdicts} == {(CHEAT, 1)}
    assert watcher.proofs == [], "whoever was killed has contradicted nobody"
    for verdict in watcher.verdicts:
        verify_verdict(verdict, {network.charter.hash: network.charter})
    assert not [number for number, hashes in watcher.frames.items() if len(hashes) > 1], "a frame was forked"
    assert not [cast for cast, hashes in watcher.votes.items() if len(hashes) > 1], "a detector voted twice"
    check_log(network.layout.state("manager") / "frames.sqlite", watcher)


def check_log(path: Path, watcher: Watcher) -> None:
    """The log on disk is one chain without a gap, and what was published is what is stored."""
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT number, hash, data FROM frame ORDER BY number").fetchall()
    assert [number for number, _, _ in rows] == list(range(1, len(rows) + 1))
    previous = bytes(32)
    for number, frame_hash, data in rows:
        frame = decode(decode(decode(data, Envelope).body, Object).payload, Frame)
        assert (frame.number, frame.previous) == (number, previous)
        assert watcher.frames.get(number, {frame_hash}) == {frame_hash}
        previous = frame_hash
