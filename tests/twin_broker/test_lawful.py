"""Whatever devices send and whatever happens to the manager, it signs no frame that breaks a rule of the log.

A frame that did would be a proof against it, and every detector would stop.
"""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from mint.charter.model import Entitlement
from mint.charter.seal import SealedCharter
from mint.envelope import open_envelope
from mint.errors import Reason, Rejected
from mint.frame_rules import check_against, check_frame, check_step
from mint.frames import NO_HASH, frame_in, open_frame
from mint.merkle import leaf_hash
from mint.messages.frame import Frame
from mint.messages.sample import MinerReading, Sample
from mint.verdict import Proven
from tests.builders import MS, T0_MS, Net, S
from twin_broker.core import TwinManager
from twin_broker.storage import MemoryStorage

NET = Net(miners=4, devices=2)
EDGES = ("edge1", "edge2")
BOOTS = tuple(bytes([n]) * 16 for n in range(3))


def charter(version: int, kind: str) -> SealedCharter:
    """The network with some of its miners and devices elsewhere, or gone."""
    miners, devices, nodes = NET.charter.miners, NET.charter.devices, NET.charter.nodes
    match kind:
        case "fewer miners":
            miners = tuple(m for m in miners if m.name != "m01")
        case "moved":
            miners = tuple(
                msgspec.structs.replace(m, device="edge2") if m.name == "m01" else m for m in miners
            )
        case "richer":
            granted = Entitlement(200_000, 0, 1 << 26, 1 << 20)
            miners = tuple(msgspec.structs.replace(m, entitlement=granted) for m in miners)
        case "one device":
            devices = devices[1:]
            miners = tuple(m for m in miners if m.device == "edge2")
            nodes = tuple(
                msgspec.structs.replace(n, devices=("edge2",)) if n.name == "enforcer" else n
                for n in nodes
                if n.name != "edge1"
            )
    return NET.next_version(version=version, title=kind, miners=miners, devices=devices, nodes=nodes)


def proven(sealed: SealedCharter, miner: str, offence: int, frame: int) -> Proven:
    nothing: Any = None
    known = sealed.charter.miners_by_name()[miner]
    return Proven(known, offence, 1, frame, NO_HASH, frame + 5, "budget", 1, nothing, nothing, b"", 1, sealed)


class History:
    """A manager's core, a storage that outlives it, and every frame that it closed."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.sealed = NET.sealed
        self.charters = {NET.sealed.hash: NET.sealed}
        self.now = 1000 * S
        self.core = TwinManager(self.sealed, NET.signer("manager"), self.now)
        self.before: Frame | None = None
        self.sequences = dict.fromkeys(EDGES, 0)
        self.at = self.taken = 0

    def sample(self, device: str, boot: int, steal_ns: int, readings: tuple[MinerReading, ...]) -> None:
        self.sequences[device] += 1
        signer = NET.signer(device, 1)
        signer._sequence = self.sequences[device] - 1
        topic = self.sealed.topics().sample(device)
        data = signer.stream(Sample(BOOTS[boot], 4, steal_ns, readings), topic, T0_MS)
        try:
            opened = open_envelope(data, self.sealed.trust())
            self.core.sample(opened, self.now)
            self.taken += 1
        except Rejected:
            pass

    def read(self, device: str, boot: int, steal_ns: int, read: dict[str, tuple[int, int, int]]) -> None:
        self.at += 1
        readings = []
        for miner, (epoch, count, back) in sorted(read.items()):
            at = max(0, self.at - back) * S
            readings.append(
                MinerReading(miner, epoch, at, at + MS, count % 2, 0, 0, 0, 0, 0, -1, 0, True, count // 2)
            )
        self.sample(device, boot, steal_ns, tuple(readings))

    def close(self) -> None:
        self.now += S
        closed = self.core.close(self.now, T0_MS)
        self.storage.keep(closed.append)
        frame = open_frame(closed.data, self.charters)
        law = frame.charter.charter
        check_frame(frame.frame, law)
        if self.before is not None:
            check_step(self.before, frame.frame, law)
        samples = {leaf_hash(data): data for data in closed.samples}
        for entry in frame.frame.devices:
            if entry.leaf:
                data = samples[entry.leaf]
                opened = open_envelope(data, frame.charter.trust(), expect="sample")
                check_against(frame.frame, entry, data, opened, law)
        self.before = frame.frame

    def restart(self) -> None:
        self.core = TwinManager(self.sealed, NET.signer("manager", 2), self.now)
        newest = self.storage.newest()
        if newest is not None:
            self.core.resume(frame_in(newest.data), newest.hash, self.storage.clocks())

    def adopt(self, kind: str) -> None:
        self.sealed = charter(self.sealed.charter.version + 1, kind)
        self.charters[self.sealed.hash] = self.sealed
        self.core.take_charter(self.sealed)

    def verdict(self, miner: str, ahead: int) -> None:
        if miner not in self.sealed.charter.miners_by_name():
            return
        offence = (self.core.next_offence(miner) or 1) + ahead
        try:
            if offence > 0:
                mark = b"%s %d" % (miner.encode(), offence)
                given_ = proven(self.sealed, miner, offence, self.core.number)
                self.core.verdict(mark.ljust(32), mark, given_)
        except Rejected as rejected:
            assert rejected.reason in (Reason.BAD_CHAIN, Reason.IMPOSSIBLE)  # noqa: PT017 (as the history has it)


MINERS = ("m01", "m02", "m03", "m04")
ON = {"edge1": ("m01", "m03"), "edge2": ("m01", "m02", "m04")}  # m01 where a charter has moved it to
# Epoch, use and shares, and how far back in time it claims to be: of so small a range that counters often run back.
READING = st.tuples(st.integers(1, 2), st.integers(0, 3), st.sampled_from([0, 0, 0, 3]))


def samples(device: str) -> st.SearchStrategy[tuple[Any, ...]]:
    some = st.dictionaries(st.sampled_from(ON[device]), READING, max_size=2)
    return st.tuples(
        st.just("read"), st.just(device), st.sampled_from([0, 0, 1]), st.sampled_from([0, 1]), some
    )


STEPS = st.lists(
    st.one_of(
        samples("edge1"),
        samples("edge2"),
        st.tuples(st.just("close")),
        st.tuples(st.sampled_from(["close", "restart"])),
        st.tuples(st.just("verdict"), st.sampled_from(MINERS), st.integers(-1, 1)),
        st.tuples(
            st.just("adopt"), st.sampled_from(["same", "fewer miners", "moved", "richer", "one device"])
        ),
    ),
    min_size=12,
    max_size=40,
)


@settings(max_examples=150)
@given(STEPS)
def test_every_frame_satisfies_every_rule(steps: list[tuple[Any, ...]]) -> None:
    history = History()
    for name, *how in [*steps, ("close",), ("close",)]:
        getattr(history, name)(*how)


def test_a_boot_or_an_epoch_that_comes_back_between_two_frames_is_not_taken() -> None:
    history = History()

    def used(usage_ns: int, at: int, epoch: int = 1) -> tuple[MinerReading, ...]:
        return (MinerReading("m01", epoch, at * S, at * S + MS, usage_ns, 0, 0, 0, 0, 0, -1, 0, True, 0),)

    history.sample("edge1", 0, 5, used(100, 1))
    history.close()
    history.sample("edge1", 1, 0, used(0, 1))
    history.sample("edge1", 0, 4, ())  # the boot of the frame before
    history.sample("edge1", 0, 7, used(200, 2))
    assert history.taken == 2
    history.close()
    history.sample("edge1", 1, 0, used(3, 3, epoch=2))
    history.sample("edge1", 1, 0, used(0, 4, epoch=3))
    history.sample("edge1", 1, 0, used(1, 5, epoch=2))
    history.close()
    history.sample("edge1", 1, 0, used(0, 6, epoch=7))
    history.sample("edge1", 1, 0, used(0, 7, epoch=2))  # less than the frame has of that epoch
    history.close()
    assert history.taken == 6


def test_a_miner_that_a_charter_forgets_and_the_next_brings_back_is_as_the_log_has_it() -> None:
    history = History()
    reading = MinerReading("m01", 1, S, S + MS, 5, 0, 0, 0, 0, 0, -1, 0, True, 0)
    history.sample("edge1", 0, 0, (reading,))
    history.close()
    history.verdict("m01", 0)
    history.close()
    for kind in ("fewer miners", "same", "one device", "same"):
        history.adopt(kind)
    again = copy.deepcopy(history)
    history.close()
    assert history.before is not None
    assert [(m.miner, m.offences) for m in history.before.miners] == [("m01", 1)]
    again.restart()
    again.close()
    assert again.before == history.before
