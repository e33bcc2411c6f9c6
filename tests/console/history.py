"""A made-up history of a fog, in real signed messages: sixteen miners, one of which doubles its quota at frame 70."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from console.events import Event
from console.picture import Picture
from mint.charter.model import Charter, Detection, Device, DeviceClass, Entitlement, Miner, Node, Rung
from mint.charter.seal import SealedCharter, seal
from mint.envelope import Opened, Signer, open_envelope
from mint.frames import open_frame
from mint.keys import SigningKey, network_id, new_key
from mint.merkle import leaf_hash
from mint.messages.fault import Fault
from mint.messages.frame import DeviceEntry, Frame
from mint.messages.judgement import Accusation, Alarm, Behaviour, SampleRef, Score, Verdict, Vote
from mint.messages.receipt import Action, Receipt
from mint.messages.sample import Condition, MinerReading, Sample, State, Twin
from mint.names import Role

CPU_PPM = 50_000
BOOT = b"a boot, 16 bytes"
T0_MS = 1_790_000_000_000
CHEAT, BEGAN, CONVICTED, RESTORED = "miner_07", 70, 72, 96


def names(count: int) -> list[str]:
    return [f"miner_{k:02d}" for k in range(1, count + 1)]


class Fog:
    """Keys, a charter, and a way to say things under it."""

    def __init__(
        self,
        miners: int = 16,
        detectors: int = 4,
        operator: SigningKey | None = None,
        keys: Mapping[str, SigningKey] | None = None,
        **changes: Any,
    ) -> None:
        self.operator = operator or new_key()
        self.devices = [f"edge{k}" for k in range(1, 5)]
        self.detectors = [f"detector_{k}" for k in range(1, detectors + 1)]
        roles = {"manager": Role.MANAGER, "enforcer": Role.ENFORCER, "console": Role.CONSOLE}
        roles |= dict.fromkeys(self.devices, Role.AGENT) | dict.fromkeys(self.detectors, Role.DETECTOR)
        self.roles = roles
        self.keys = dict(keys or {name: new_key() for name in roles})
        self.miners = names(miners)
        entitlement = Entitlement(CPU_PPM, 0, 1 << 26, 1 << 20)
        hands = tuple(self.devices)
        charter = Charter(
            network=network_id(self.operator.public),
            title="",
            fog="fog1",
            version=1,
            issued_ms=0,
            expires_ms=2**62,
            period_ms=1000,
            clock_tolerance_ms=60_000,
            key_parameter="cpu",
            f_detectors=1,
            f_miners=2,
            always_reconcile=False,
            mode="enforce",
            nodes=tuple(
                Node(name, role, self.keys[name].public, hands if role is Role.ENFORCER else ())
                for name, role in roles.items()
            ),
            classes=(DeviceClass("pi", 0),),
            devices=tuple(Device(name, "pi") for name in self.devices),
            miners=tuple(
                Miner(name, self.device(name), entitlement, "kernel", "enforce", "") for name in self.miners
            ),
            detection=Detection("calibrated", 24, 12, 12, 24, 4, 1_281_500, 10, 25_000, 200, 600, 100, 30),
            ladder=(Rung(500_000, 0), Rung(500_000, 300)),
            holds=(),
            pardons=(),
        )
        self.sealed: SealedCharter = seal(msgspec.structs.replace(charter, **changes), self.operator)
        self.trust, self.topics = self.sealed.trust(), self.sealed.topics()
        self.signers = {name: Signer(name, key, charter.network, 1) for name, key in self.keys.items()}

    def device(self, miner: str) -> str:
        return self.devices[(int(miner.rpartition("_")[2]) - 1) % len(self.devices)]

    def object(self, sender: str, message: msgspec.Struct) -> Opened:
        return open_envelope(self.signers[sender].object(message), self.trust)

    def stream(self, sender: str, message: msgspec.Struct, topic: str, time_ms: int) -> Opened:
        return open_envelope(self.signers[sender].stream(message, topic, time_ms), self.trust, topic=topic)

    def verdict(
        self, miner: str = CHEAT, offence: int = 1, frame: int = CONVICTED, voters: int = 3
    ) -> Verdict:
        """A verdict that holds if `voters` are enough: half a CPU-second in two, of a twentieth of a CPU."""
        device = self.device(miner)
        samples = []
        for after_ns, usage_ns in ((10**9, 0), (3 * 10**9, 500_000_000)):
            reading = MinerReading(
                miner, 1, after_ns - 1000, after_ns, usage_ns, 0, 0, 0, 0, 0, -1, 2 * CPU_PPM, True, 0
            )
            sample = Sample(BOOT, 4, 0, (reading,))
            samples.append(self.signers[device].stream(sample, self.topics.sample(device), T0_MS))
        refs = [SampleRef(device, 1, k, leaf_hash(data)) for k, data in enumerate(samples, 1)]
        accused = Accusation(miner, offence, BEGAN, "budget", 400_000_000, *refs)
        vote = Vote("fog1", frame, bytes(32), self.sealed.hash, (accused,))
        votes = tuple(self.signers[name].object(vote) for name in self.detectors[:voters])
        return Verdict(
            "fog1", self.sealed.hash, miner, offence, frame, BEGAN, "budget", 400_000_000, votes, *samples
        )


@dataclass(frozen=True)
class Told:
    """A message and when it came."""

    at_ms: int
    opened: Opened

    def reaches(self, picture: Picture, at_ms: int | None = None) -> tuple[Event, ...]:
        """What a console makes of it."""
        at_ms = self.at_ms if at_ms is None else at_ms
        if isinstance(self.opened.message, Frame):
            return picture.take_frame(open_frame(self.opened.data, picture.charters), at_ms)
        return picture.take(self.opened, at_ms)


class History:
    """Frame after frame of it: `for told in history.frame(n)`, n counting up from 1."""

    def __init__(self, fog: Fog, *, cheat: str | None = CHEAT) -> None:
        self.fog, self.cheat = fog, cheat
        self._random = random.Random(7)
        self._previous = bytes(32)

    def births(self) -> Iterator[Told]:
        for device in self.fog.devices:
            state = State(True, "docker", tuple(m for m in self.fog.miners if self.fog.device(m) == device))
            topic = self.fog.topics.state(device)
            yield Told(T0_MS, self.fog.stream(device, state, topic, T0_MS))

    def frames(self, first: int, last: int) -> Iterator[Told]:
        for number in range(first, last + 1):
            yield from self.frame(number)

    def frame(self, number: int) -> Iterator[Told]:
        fog, now_ms = self.fog, T0_MS + number * 1000
        devices = tuple(DeviceEntry(name, 1, number, BOOT, 0, b"") for name in fog.devices)
        empty: dict[str, tuple[()]] = {"miners": (), "decisions": (), "receipts": ()}
        frame = Frame(
            fog="fog1",
            number=number,
            previous=self._previous,
            charter=fog.sealed.hash,
            time_ms=now_ms,
            root=bytes(32),
            devices=devices,
            **empty,
        )
        opened = fog.object("manager", frame)
        self._previous = opened.hash
        yield Told(now_ms, opened)
        for miner in fog.miners:
            twin = self._twin(miner, number)
            yield Told(now_ms + 5, fog.stream("manager", twin, fog.topics.twin(miner), now_ms))
        for detector in fog.detectors:
            behaviour = self._behaviour(number)
            topic = fog.topics.behaviour(detector)
            yield Told(now_ms + 20, fog.stream(detector, behaviour, topic, now_ms))
        yield from self._judgement(number, now_ms)

    def _twin(self, miner: str, number: int) -> Twin:
        c, quota, condition = self._random.gauss(100, 4), CPU_PPM, "fair"
        if miner == self.cheat and number >= BEGAN:
            c, quota = (2 * c, 2 * CPU_PPM)
            if number > CONVICTED:
                c, quota, condition = c / 4, CPU_PPM // 2, "convicted"
            if number >= RESTORED:
                c, quota, condition = 2 * c, CPU_PPM, "fair"
        state: Condition = "convicted" if condition == "convicted" else "fair"
        return Twin(miner, number, round(c * 1000), -1, 20_000, 500, quota, CPU_PPM, state)

    def _behaviour(self, number: int) -> Behaviour:
        warm = number > 40
        round_ = number % 10 == 0
        scores = []
        for miner in self.fog.miners:
            away = 1 if miner != self.cheat or number < BEGAN else min(number - BEGAN + 1, 30)
            W = abs(self._random.gauss(1.4, 0.8)) + (away - 1) * 4 if warm else float("nan")
            level = abs(self._random.gauss(2, 1)) * 1e6
            if miner == self.cheat and BEGAN <= number < RESTORED:
                level = 50e6 * max(3 - abs(number - CONVICTED) / 8, 0)
            krum = (away * abs(self._random.gauss(9e4, 2e4))) ** 2 * 120 if round_ else float("nan")
            scores.append(Score(miner, 1.0, 1.0, W, round(level), krum))
        benchmark = min(scores, key=lambda score: score.krum).miner if round_ else ""
        return Behaviour(number, 25.0, benchmark, tuple(scores))

    def _judgement(self, number: int, now_ms: int) -> Iterator[Told]:
        fog = self.fog
        cheats: Sequence[str] = [self.cheat] if self.cheat else []
        accusing = cheats if BEGAN < number <= CONVICTED else []
        for k, detector in enumerate(fog.detectors):
            at_ms = now_ms + 30 + 7 * k
            for miner in cheats if number == BEGAN else []:
                alarm = Alarm(number, miner, "budget", "47.2 ms of CPU above entitlement")
                yield Told(at_ms, fog.object(detector, alarm))
            if not accusing and number % 10:
                continue
            refs = [SampleRef("edge3", 1, k, bytes(32)) for k in (BEGAN, number)]
            accusations = tuple(Accusation(m, 1, BEGAN, "budget", 95_000_000, *refs) for m in accusing)
            vote = Vote("fog1", number, self._previous, fog.sealed.hash, accusations)
            yield Told(at_ms, fog.object(detector, vote))
        for miner in cheats:
            if number == CONVICTED:
                for detector in fog.detectors[:2]:  # several assemble and publish it
                    yield Told(now_ms + 80, fog.object(detector, fog.verdict(miner)))
                receipt = self.receipt(
                    1, miner, "correct", 2 * CPU_PPM, CPU_PPM // 2, "offence 1: 50 % of entitlement"
                )
                yield Told(now_ms + 140, receipt)
            if number == RESTORED:
                yield Told(
                    now_ms + 140,
                    self.receipt(2, miner, "restore", CPU_PPM // 2, CPU_PPM, "the books balance"),
                )

    def receipt(
        self, number: int, miner: str, action: Action, before: int, after: int, why: str, offence: int = 1
    ) -> Opened:
        verdict = b"" if action == "drift" else bytes(32)
        now_ms = T0_MS + 1000 * (CONVICTED if number == 1 else RESTORED)
        return self.fog.object(
            "enforcer", Receipt(number, now_ms, miner, action, verdict, offence, before, after, 0, 0, why)
        )


def frame(fog: Fog, number: int, previous: bytes, time_ms: int = 0) -> Told:
    hashed: dict[str, Any] = {"previous": previous, "charter": fog.sealed.hash, "root": bytes(32)}
    lists: dict[str, Any] = dict.fromkeys(("devices", "miners", "decisions", "receipts"), ())
    message = Frame(fog="fog1", number=number, time_ms=time_ms, **hashed, **lists)
    return Told(T0_MS, fog.object("manager", message))


def forked(fog: Fog, number: int = 5) -> Fault:
    proof = tuple(frame(fog, number, bytes(32), ms).opened.data for ms in (1, 2))
    return Fault("fog1", "two_frames", "manager", number, "", proof)
