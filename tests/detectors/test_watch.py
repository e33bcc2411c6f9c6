"""What is left out is claimed by who watches and a fault by a quorum of them; no correct manager is shown to lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from detectors.detector import Detector
from detectors.watch import LATELY, PATIENCE, SHOWN_WITHIN, SLICE
from mint.charter.model import Entitlement
from mint.fault import OF_MANAGER, verify_fault
from mint.messages.frame import Decision, FrameRequest
from mint.messages.sample import Sample
from tests.builders import MS, T0_MS, S
from tests.detectors.fog import FastNet, Fog
from tests.detectors.test_faults import next_frame

DETECTORS = ("det1", "det2", "det3", "det4")
EDGES = ("edge1", "edge2")
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def nothing_shown(fog: Fog) -> None:
    """No claim has become a fault, and nobody has halted."""
    assert set(fog.kinds()) <= {"unheard", "unseen"}
    assert not any(part.part._faults.done for part in fog.parts.values() if isinstance(part.part, Detector))


@pytest.mark.parametrize("detectors", [1, 4, 7])
def test_every_device_is_watched_by_f_and_one_at_any_time_and_by_all_in_turn(detectors: int) -> None:
    fog = Fog(FastNet(miners=5, devices=5, detectors=detectors))
    watches = {name: fog.detector(name)._watch.watches for name in fog.net.detectors}
    for device in ("edge1", "edge3", "edge5"):
        for number in range(1, 3 * SLICE * detectors, 5):
            seeing = [name for name, sees in watches.items() if sees(device, number)]
            assert len(seeing) == fog.net.charter.f_detectors + 1
        for sees in watches.values():
            assert any(sees(device, number) for number in range(0, SLICE * detectors, SLICE))
    assert not any(sees("edge9", 1) for sees in watches.values())


# --- omissions ----------------------------------------------------------------------------------------


def omitting(fog: Fog) -> None:
    fog.lost = lambda sender, receiver, topic: (receiver, topic) == ("manager", fog.topics.sample("edge1"))


def test_a_device_that_is_left_out_is_an_omission_by_a_quorum_of_claims_and_halts_nobody() -> None:
    fog = Fog()
    fog.run(20)
    omitting(fog)
    fog.run(PATIENCE - 1)
    assert fog.faults == []
    fog.run(6 * SLICE)
    claimed = {name for name, fault in fog.faults if fault.kind == "unheard"}
    assert len(claimed) >= fog.net.charter.quorum
    shown = [fault for _, fault in fog.faults if fault.kind == "omission"]
    assert {(fault.accused, fault.about) for fault in shown} == {("manager", "edge1")}
    assert len({name for name, fault in fog.faults if fault.kind == "omission"}) == 4, "told by all, once"
    assert len(shown) == 4
    for fault in shown:
        assert verify_fault(fault, fog.charters).accused == "manager"
    assert set(fog.numbers()) == {fog.newest}
    assert not any(fog.detector(name)._faults.done for name in DETECTORS)


def test_what_one_detector_alone_has_heard_is_no_fault() -> None:
    fog = Fog()
    fog.run(20)
    sample = fog.topics.sample("edge1")
    fog.lost = lambda sender, receiver, topic: (
        topic == sample and receiver in ("manager", "det2", "det3", "det4")
    )
    fog.run(8 * SLICE)
    assert set(fog.kinds()) == {"unheard"}
    assert {name for name, _ in fog.faults} == {"det1"}


def test_a_sample_that_nobody_shows_is_an_omission() -> None:
    fog = Fog()
    fog.run(20)
    sample, reply = fog.topics.sample("edge1"), fog.topics.frame_reply("")
    fog.lost = lambda sender, receiver, topic: (
        receiver in DETECTORS and (topic == sample or topic.startswith(reply))
    )
    fog.run(SHOWN_WITHIN - 1)
    assert fog.faults == []
    fog.run(8 * SLICE)
    assert {(f.accused, f.about) for _, f in fog.faults if f.kind == "omission"} == {("manager", "edge1")}


def test_a_sample_that_was_not_heard_is_asked_for_and_then_compared() -> None:
    fog = Fog()
    fog.run(20)
    sample = fog.topics.sample("edge1")
    fog.lost = lambda sender, receiver, topic: receiver in DETECTORS and topic == sample
    fog.run(8 * SLICE)
    assert fog.faults == []
    asked = [fog.opened(data).message for _, topic, data in fog.said if topic == fog.topics.frame_request()]
    assert any(getattr(request, "proofs", False) for request in asked)


def test_one_that_catches_up_asks_for_no_samples_of_long_ago() -> None:
    fog = Fog()
    fog.run(20)
    fog.down("det2", 100)
    fog.run(110)
    back = fog.newest - 10
    said = [fog.opened(data).message for _, topic, data in fog.said if topic == fog.topics.frame_request()]
    requests = [one for one in said if isinstance(one, FrameRequest) and one.client == "det2"]
    asked = [one.first for one in requests if one.proofs]
    assert asked, "of the frames right before, it does"
    assert min(asked) > back - 2 * LATELY


def test_a_frame_with_a_verdict_that_nobody_shows_is_not_judged_and_is_an_omission() -> None:
    fog = Fog()
    fog.run(14.5)
    fog.parts["manager"].stop()
    at = fog.newest
    miners = tuple(
        msgspec.structs.replace(entry, present=False, offences=1, decided=at + 1)
        if entry.miner == "m01"
        else msgspec.structs.replace(entry, present=False)
        for entry in fog.frames[at].miners
    )
    data = next_frame(fog, miners=miners, decisions=(Decision(b"v" * 32, "m01", 1),))
    for number in range(at + 2, at + 5 + SHOWN_WITHIN):
        for name in DETECTORS:
            fog.say(name, fog.topics.frame(), data)
        if number < at + SHOWN_WITHIN:
            assert fog.faults == []
        previous = fog.opened(data).hash
        data = next_frame(fog, number=number, previous=previous, miners=miners)
        fog.run(1)
    fog.run(1)
    assert set(fog.numbers()) == {at}
    assert Counter(fog.kinds()) == {"unseen": 4, "omission": 4}


# --- never against a correct manager ------------------------------------------------------------------


class Liar:
    """Edge1's key in other hands; what is `unheard` reaches the manager and no detector."""

    def __init__(self, fog: Fog) -> None:
        self.fog, self.topic = fog, fog.topics.sample("edge1")
        self.signer = fog.net.signer("edge1", 9)

    def says(self, sample: Sample, *, late_ms: int = 0, unheard: bool = False) -> None:
        fog = self.fog
        fog.lost = lambda sender, receiver, topic: unheard and topic == self.topic and receiver in DETECTORS
        time_ms = T0_MS + fog.now_ns // MS - late_ms
        fog.publish("edge1", self.topic, self.signer.stream(sample, self.topic, time_ms))
        fog.run(0.03)

    def sample(self, boot: bytes = b"B" * 16, *, steal_ns: int = 10**9, ahead_ns: int = 0) -> Sample:
        read = self.fog.edges["edge1"].sample(self.fog.now_ns + ahead_ns)
        return msgspec.structs.replace(read, boot=boot, steal_ns=steal_ns)


def wrong_time(liar: Liar) -> None:
    liar.says(liar.sample(), late_ms=-200_000)


def fast_clock(liar: Liar) -> None:
    liar.says(liar.sample(ahead_ns=60 * S))


def steal_backwards(liar: Liar) -> None:
    liar.says(liar.sample(), unheard=True)
    liar.says(liar.sample(steal_ns=0))


def use_backwards(liar: Liar) -> None:
    before = liar.sample()
    liar.fog.run(0.1)
    liar.says(liar.sample(), unheard=True)
    liar.says(before)


def miner_elsewhere(liar: Liar) -> None:
    liar.fog.parts["edge2"].stop()
    liar.fog.run(2)
    sample = liar.sample()
    moved = msgspec.structs.replace(sample.miners[0], miner="m02", usage_ns=10**16)
    liar.says(msgspec.structs.replace(sample, miners=(moved,)))


def back_in_an_old_boot(liar: Liar) -> None:
    number = liar.fog.newest
    while liar.fog.newest == number:  # before the next frame closes
        liar.fog.run(0.01)
    liar.says(liar.sample(b"C" * 16), unheard=True)
    liar.says(liar.sample(b"B" * 16))


def too_many(liar: Liar) -> None:
    late = liar.fog.topics.frame()
    liar.fog.delay_ns = lambda sender, receiver, topic: (200 if topic == late else 2) * MS
    for _ in range(300):
        liar.says(liar.sample())


LIES: dict[str, Callable[[Liar], None]] = {
    "of another time": wrong_time,
    "by a clock that gains": fast_clock,
    "whose steal runs backwards": steal_backwards,
    "whose use runs backwards": use_backwards,
    "of miners elsewhere": miner_elsewhere,
    "of a boot that has ended": back_in_an_old_boot,
    "too many": too_many,
}


@pytest.mark.parametrize("kind", LIES)
def test_a_device_does_not_bring_a_fault_on_the_manager_by_samples_that_it_must_refuse(kind: str) -> None:
    fog = Fog()
    fog.run(80)  # past the time in which a clock settles
    fog.parts["edge1"].stop()
    fog.run(3)
    LIES[kind](Liar(fog))
    fog.lost = lambda *_: False
    fog.run(6 * SLICE)
    assert fog.faults == []
    assert fog.parts["manager"].member.rejections.by_reason.total() >= 1, "it has refused something"


def richer(fog: Fog, version: int) -> None:
    granted = Entitlement(100_000 + version, 0, 1 << 26, 1 << 20)
    miners = tuple(
        msgspec.structs.replace(m, entitlement=granted) if m.name == "m01" else m
        for m in fog.net.charter.miners
    )
    fog.charter(fog.net.next_version(version=version, miners=miners))


@settings(max_examples=6, phases=PHASES)
@given(
    st.integers(0, 10**6),
    st.integers(0, 25),
    st.integers(2, 1500),
    st.lists(
        st.sampled_from(["reboot", "agent", "manager", "detector", "all", "charter", "cut"]), max_size=8
    ),
)
def test_whatever_is_lost_late_or_restarted_nothing_is_shown_against_a_correct_manager(
    seed: int, percent: int, most_ms: int, befalls: list[str]
) -> None:
    fog = Fog(seed=seed)
    rng, version, cut = fog.rng, 1, set[str]()
    charter = fog.topics.charter()  # retained: it comes, the older before the newer
    fog.lost = lambda sender, receiver, topic: (
        topic != charter and (rng.random() * 100 < percent or receiver in cut or sender in cut)
    )
    fog.delay_ns = lambda sender, receiver, topic: (2 if topic == charter else rng.randrange(1, most_ms)) * MS
    fog.run(15)
    for what in befalls:
        cut.clear()
        if what == "reboot":
            edge = rng.choice(EDGES)
            fog.edges[edge].restart(reboot=True)
            fog.down(edge, rng.random() * 5)
        elif what == "charter":
            version += 1
            richer(fog, version)
        elif what == "cut":
            cut |= set(rng.sample(list(fog.parts), 3))
        else:
            names = {"agent": EDGES[:1], "manager": ("manager",), "detector": ("det2",), "all": DETECTORS}[
                what
            ]
            for name in names:
                if fog.parts[name].up:
                    fog.down(name, rng.random() * 20)
        fog.run(rng.randrange(3, 25))
    cut.clear()
    fog.run(40)
    nothing_shown(fog)
    fog.lost, fog.delay_ns = lambda *_: False, lambda *_: 2 * MS
    # The newest may be on its way at that very moment.
    fog.run_until(lambda: min(fog.numbers()) >= fog.newest - 1, 60)
    fog.check_logs()
    assert OF_MANAGER.isdisjoint(fog.kinds())


def test_after_an_outage_of_the_broker_that_keeps_frames_and_no_samples_nothing_is_claimed() -> None:
    fog = Fog()
    fog.run(20)
    waiting: list[bytes] = []
    fog.lost = lambda sender, receiver, topic: receiver in DETECTORS
    for _ in range(50):
        fog.run(1)
        waiting.append(fog.parts["manager"].disk.newest().data)
    fog.lost = lambda *_: False
    for name in DETECTORS:
        fog.reconnect(name)
        for data in waiting:  # all that was queued comes at once
            fog.say(name, fog.topics.frame(), data)
    fog.run(6 * SLICE)
    assert fog.faults == []
