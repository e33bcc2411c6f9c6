"""A charter with its keys, and offences against it: proven ones for the core, signed ones for the service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mint.budget import Reading
from mint.charter.model import Charter, Detection, Device, DeviceClass, Entitlement, Miner, Rung, replaced
from mint.charter.model import Node as Member
from mint.charter.seal import SealedCharter, seal
from mint.envelope import Signer
from mint.keys import SigningKey, network_id, new_key
from mint.merkle import leaf_hash
from mint.messages.frame import Frame
from mint.messages.judgement import Accusation, SampleRef, Verdict, Vote
from mint.messages.sample import MinerReading, Sample
from mint.names import Role, scope
from mint.verdict import Proven

FOG, DEVICE, ENFORCER, MANAGER = "fog1", "edge1", "enforcer1", "manager"
DETECTORS = ("detector1", "detector2", "detector3", "detector4")
ROLES = {
    MANAGER: Role.MANAGER,
    DEVICE: Role.AGENT,
    ENFORCER: Role.ENFORCER,
    "edge2": Role.AGENT,
    "enforcer2": Role.ENFORCER,
    **dict.fromkeys(DETECTORS, Role.DETECTOR),
}
MINERS = ("miner_01", "miner_02", "miner_03")
ELSEWHERE = "miner_99"
CPU_PPM = 50_000
PERIOD_MS = 200
PERIOD_NS = PERIOD_MS * 1_000_000
LADDER = (Rung(500_000, 3), Rung(250_000, 10))
FRAME_HASH = b"\x11" * 32


class Keys:
    """Everybody's keys, and what they sign."""

    def __init__(self) -> None:
        self.operator = new_key()
        self.of: dict[str, SigningKey] = {name: new_key() for name in ROLES}
        self.network = network_id(self.operator.public)
        self.scope = scope(self.network)
        self.sealed = self.charter()

    def charter(self, **changes: object) -> SealedCharter:
        devices = {ENFORCER: (DEVICE,), "enforcer2": ("edge2",)}
        entitlement = Entitlement(CPU_PPM, 0, 1 << 26, 1 << 20)
        places = [(name, DEVICE) for name in MINERS] + [(ELSEWHERE, "edge2")]
        charter = Charter(
            network=self.network,
            title="",
            fog=FOG,
            version=1,
            issued_ms=0,
            expires_ms=2**62,
            period_ms=PERIOD_MS,
            clock_tolerance_ms=60_000,
            key_parameter="cpu",
            f_detectors=1,
            f_miners=0,
            always_reconcile=False,
            mode="enforce",
            nodes=tuple(
                Member(name, role, self.of[name].public, devices.get(name, ()))
                for name, role in ROLES.items()
            ),
            classes=(DeviceClass("pi", 0),),
            devices=(Device(DEVICE, "pi"), Device("edge2", "pi")),
            miners=tuple(Miner(name, at, entitlement, "kernel", "enforce", "") for name, at in places),
            detection=Detection("calibrated", 24, 12, 12, 24, 4, 1_281_500, 10, 17_000, 200, 600, 100, 30),
            ladder=LADDER,
            holds=(),
            pardons=(),
        )
        return seal(replaced(charter, **changes), self.operator)

    def signer(self, name: str, session: int = 1) -> Signer:
        return Signer(name, self.of[name], self.network, session)

    def frame(self, number: int) -> bytes:
        frame = Frame(FOG, number, bytes(32), self.sealed.hash, 0, bytes(32), (), (), (), ())
        return self.signer(MANAGER).object(frame)

    def samples(self, readings: Sequence[MinerReading], boot: bytes) -> list[bytes]:
        """One signed sample a reading, in order."""
        signer = self.signer(DEVICE)
        topic = self.sealed.topics().sample(DEVICE)
        return [signer.stream(Sample(boot, 2, 0, (reading,)), topic, 0) for reading in readings]

    def vote(self, detector: str, accusation: Accusation, frame: int, charter: bytes | None = None) -> bytes:
        vote = Vote(FOG, frame, FRAME_HASH, charter or self.sealed.hash, (accusation,))
        return self.signer(detector).object(vote)

    def verdict(
        self,
        first: bytes,
        last: bytes,
        *,
        miner: str = MINERS[0],
        offence: int = 1,
        began: int = 7,
        frame: int = 10,
        voters: Iterable[str] = DETECTORS[:3],
        charter: bytes | None = None,
    ) -> Verdict:
        refs = [SampleRef(DEVICE, 1, n, leaf_hash(data)) for n, data in enumerate((first, last), 1)]
        accusation = Accusation(miner, offence, began, "budget", 1, *refs)
        votes = tuple(self.vote(detector, accusation, frame, charter) for detector in voters)
        named = charter or self.sealed.hash
        return Verdict(FOG, named, miner, offence, frame, began, "budget", 1, votes, first, last)

    def publish(self, verdict: Verdict, publisher: str = DETECTORS[0]) -> tuple[str, bytes]:
        """Topic and envelope."""
        topic = self.sealed.topics().verdict(publisher, verdict.miner)
        return topic, self.signer(publisher).object(verdict)


def reading(miner: str, epoch: int, before_ns: int, after_ns: int, usage_ns: int) -> MinerReading:
    return MinerReading(miner, epoch, before_ns, after_ns, usage_ns, 0, 0, 0, 0, 0, -1, CPU_PPM, True, 0)


def proven(
    sealed: SealedCharter,
    first: tuple[int, int],
    last: tuple[int, int],
    *,
    boot: bytes = b"b" * 16,
    epoch: int = 1,
    miner: str = MINERS[0],
    offence: int = 1,
    frame: int = 10,
) -> Proven:
    """What a verdict would prove by two readings (time, use)."""
    charter = sealed.charter
    return Proven(
        miner=charter.miners_by_name()[miner],
        offence=offence,
        began=7,
        frame=frame,
        frame_hash=FRAME_HASH,
        until=frame + charter.rung(offence).frames,
        evidence="budget",
        excess_ns=last[1] - first[1] - CPU_PPM * (last[0] - first[0]) // 1_000_000,
        first=Reading(first[0], first[0], first[1]),
        last=Reading(last[0], last[0], last[1]),
        boot=boot,
        epoch=epoch,
        charter=sealed,
    )
