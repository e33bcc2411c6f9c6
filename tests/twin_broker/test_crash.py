"""A manager that may be killed at any point: nothing is lost, doubled or forked."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mint.charter.seal import SealedCharter
from mint.effects import Post, Say
from mint.errors import Reason, Rejected
from mint.frames import NO_HASH
from mint.merkle import leaf_hash, root
from mint.messages.frame import Frame
from mint.messages.judgement import Alarm
from mint.messages.sample import Ack
from mint.sign_bytes import Stream
from mint.verdict import Proven
from tests.builders import MS, T0_MS, Edge, Net, S
from twin_broker.core import TwinManager
from twin_broker.store import FrameStore

NET = Net(miners=4, devices=2)
NOW = 1000 * S


def manager(net: Net = NET) -> TwinManager:
    return TwinManager(net.sealed, net.signer("manager"), NOW)


def edge(name: str = "edge1", net: Net = NET, session: int = 1) -> Edge:
    return Edge(net, name, random.Random(1), session)


def proven(miner: str = "m01", offence: int = 1, until: int = 5, frame: int = 1) -> Proven:
    sealed: SealedCharter = NET.sealed
    nothing: Any = None
    known = sealed.charter.miners_by_name()[miner]
    return Proven(known, offence, 1, frame, NO_HASH, until, "budget", 1, nothing, nothing, b"", 1, sealed)


def envelope(mark: bytes) -> bytes:
    """What stands for a verdict's: here nobody looks into it."""
    return NET.signer("det1").object(Alarm(0, "m01", "budget", mark.decode()))


def note(core: TwinManager, mark: bytes, given_: Proven) -> None:
    core.verdict(mark * 32, envelope(mark), given_)


EVENTS = st.lists(
    st.sampled_from(
        [
            *["edge1", "edge2", "close"] * 2,
            *["resend", "late", "verdict", "reboot"],
            *["crash before store", "crash before told", "crash"],
        ]
    ),
    max_size=40,
)


class Fog:
    """A manager that may be killed, agents that keep what is not acknowledged, and what the world was told."""

    def __init__(self, store: Callable[[], FrameStore]) -> None:
        self.open = store
        self.store = store()
        self.core = manager()
        self.edges = {name: edge(name) for name in ("edge1", "edge2")}
        self.rings: dict[str, dict[tuple[int, int], bytes]] = {name: {} for name in self.edges}
        self.now = NOW
        self.told: dict[int, bytes] = {}
        self.acked: list[bytes] = []

    def restart(self) -> None:
        self.store.close()
        self.store = self.open()
        self.core = TwinManager(NET.sealed, NET.signer("manager", 2), self.now)
        newest = self.store.newest()
        if newest is not None:
            self.core.resume(NET.message(newest.data, Frame), newest.hash, self.store.clocks())
            self.tell(self.core.frame_post(newest.data).data)

    def tell(self, data: bytes) -> None:
        number = NET.message(data, Frame).number
        assert self.told.setdefault(number, data) == data, "forked"

    def sample(self, name: str) -> None:
        self.now += 100 * MS
        data = self.edges[name].sealed(self.now)
        body = NET.opened(data).body
        assert isinstance(body, Stream)
        self.rings[name][body.session, body.sequence] = data
        self.send(name, data)

    def send(self, name: str, data: bytes) -> None:
        try:
            said_ = self.core.sample(NET.opened(data), self.now)
        except Rejected as rejected:
            assert rejected.reason is Reason.REPLAYED  # noqa: PT017 # whether it is refused depends on the history
            return
        if said_ is not None:
            self.acknowledge(said_)

    def acknowledge(self, said_: Say) -> None:
        ack = said_.message
        assert isinstance(ack, Ack)
        ring = self.rings[ack.device]
        for place in [place for place in ring if place <= (ack.session, ack.sequence)]:
            self.acked.append(ring.pop(place))

    def close(self, crash: str = "") -> None:
        self.now += S
        closed = self.core.close(self.now, T0_MS)
        if crash != "before store":
            self.store.keep(closed.append)
        if crash:
            self.restart()
            return
        for effect in closed.effects:
            if isinstance(effect, Post):
                self.tell(effect.data)
            elif isinstance(effect.message, Ack):
                self.acknowledge(effect)

    def step(self, event: str) -> None:
        match event.split():
            case ["close"]:
                self.close()
            case ["crash"]:
                self.restart()
            case ["crash", *when]:
                self.close(" ".join(when))
            case ["resend"]:
                for name, ring in self.rings.items():
                    for data in list(ring.values()):
                        self.send(name, data)
            case ["late"]:
                for name, ring in self.rings.items():
                    for data in list(ring.values())[::-1]:
                        self.send(name, data)
            case ["verdict"]:
                offence = self.core.next_offence("m01")
                for n in range(1, (offence or 0) + 1):  # those that came before are at the broker still
                    note(self.core, b"%d" % (n % 10), proven(offence=n, frame=0))
            case ["reboot"]:
                self.edges["edge1"].restart(reboot=True)
            case [name]:
                self.sample(name)


@settings(max_examples=40)
@given(EVENTS)
def test_no_crash_loses_doubles_or_forks_a_frame_nor_loses_what_was_acknowledged(events: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.sqlite"
        fog = Fog(lambda: FrameStore(path, b"host"))
        for event in [*events, "close"]:
            fog.step(event)
        stored = fog.store.frames(1, 10_000)
        frames = [NET.message(one.data, Frame) for one in stored]
        assert [frame.number for frame in frames] == list(range(1, len(frames) + 1))
        assert [frame.previous for frame in frames] == [NO_HASH, *(one.hash for one in stored[:-1])]
        assert fog.told == {one.number: one.data for one in stored}, "every frame is told, and no other"
        samples = {one.number: fog.store.samples(one.number) for one in stored}
        kept = {sample for came in samples.values() for sample in came}
        arrived: dict[str, tuple[int, int]] = {}
        for one, frame in zip(stored, frames, strict=True):
            mine = {leaf_hash(sample): sample for sample in samples[one.number]}
            assert frame.root == root([d.leaf for d in frame.devices if d.leaf])
            for device in frame.devices:
                before = arrived.get(device.device, (0, 0))
                place = (device.session, device.sequence)
                assert place >= before
                assert bool(device.leaf) == (place > before)
                arrived[device.device] = place
                if device.leaf:
                    body = NET.opened(mine[device.leaf]).body
                    assert isinstance(body, Stream)
                    assert (body.session, body.sequence) == place
        counted = [(d.miner, d.offence) for frame in frames for d in frame.decisions]
        assert counted == [("m01", n) for n in range(1, len(counted) + 1)]
        # What an agent forgot because of our word is on the disk, or something newer of it is and came first.
        for sample in fog.acked:
            body = NET.opened(sample).body
            assert isinstance(body, Stream)
            assert sample in kept or (body.session, body.sequence) < arrived[body.sender]
        fog.store.close()


def test_after_a_restart_it_continues_with_the_same_twins_and_clocks(tmp_path: Path) -> None:
    path = tmp_path / "frames.sqlite"
    fog = Fog(lambda: FrameStore(path, b"host"))
    for _ in range(70):
        fog.sample("edge1")
        fog.close()
    before = fog.core
    fog.restart()
    assert (fog.core.number, fog.core.head) == (before.number, before.head)
    assert fog.core._devices["edge1"].clock == before._devices["edge1"].clock
    assert fog.core._devices["edge1"].clock is not None
    assert {n: t.entry(NET.charter.miners_by_name()[n], 0, 0) for n, t in fog.core.twins.items()} == {
        n: t.entry(NET.charter.miners_by_name()[n], 0, 0) for n, t in before.twins.items()
    }
    fog.close()
    assert not any(m.present for m in NET.message(fog.told[71], Frame).miners)
    fog.store.close()
