"""A real small network in memory: every key, a sealed charter, devices whose miners use CPU as CFS lets them.

    net = Net(miners=8, devices=2)            # operator, manager, four detectors, an enforcer, an agent a device
    world = World(net)                        # manager core, four detector cores, their tallies
    world.edge("edge1").miners["m01"].factor = 2.0
    world.run(10)

Everything is deterministic: keys follow from names, telemetry from a seed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from detectors.core import DetectorCore, Step
from detectors.evidence import Shelf
from detectors.tally import Met, Tally, candidates
from mint.charter.model import (
    Charter,
    Detection,
    Device,
    DeviceClass,
    Entitlement,
    Miner,
    Node,
    Rung,
    replaced,
)
from mint.charter.seal import SealedCharter, seal
from mint.envelope import Opened, Signer, object_hash, open_envelope
from mint.frames import LogFrame
from mint.keys import SigningKey, network_id
from mint.messages.frame import Frame
from mint.messages.judgement import Verdict, Vote
from mint.messages.sample import MinerReading, Sample
from mint.names import Role
from mint.verdict import Proven, verify_verdict
from twin_broker.core import Closed, TwinManager

S = 1_000_000_000
MS = 1_000_000
CFS_PERIOD = 100 * MS
# A read takes this long when nothing disturbs it.
BRACKET = 30_000
SHARE_NS = 33_400_000  # CPU time that a share takes: one in 334 ms at 0.1 CPU
T0_MS = 1_800_000_000_000
DETECTION = Detection("calibrated", 24, 12, 12, 24, 4, 1_281_500, 10, 17_000, 200, 600, 100, 30)
LADDER = (Rung(500_000, 0), Rung(500_000, 300), Rung(250_000, 3600))

M = TypeVar("M", bound=msgspec.Struct)


def key_of(name: str) -> SigningKey:
    """The key that follows from a name."""
    return SigningKey.from_seed(hashlib.sha256(name.encode()).digest())


class Net:
    """Who is in the network: keys and a sealed charter."""

    def __init__(
        self,
        miners: int = 4,
        devices: int = 2,
        detectors: int = 4,
        cpu_ppm: int = 100_000,
        **changes: object,
    ) -> None:
        self.operator = key_of("operator")
        self.network = network_id(self.operator.public)
        edges = [f"edge{n + 1}" for n in range(devices)]
        self.roles = {
            "manager": Role.MANAGER,
            **{f"det{n + 1}": Role.DETECTOR for n in range(detectors)},
            "enforcer": Role.ENFORCER,
            "console": Role.CONSOLE,
            **dict.fromkeys(edges, Role.AGENT),
        }
        self.detectors = tuple(name for name, role in self.roles.items() if role is Role.DETECTOR)
        granted = Entitlement(cpu_ppm, 0, 1 << 26, 1 << 20)
        charter = Charter(
            network=self.network,
            title="test",
            fog="fog1",
            version=1,
            issued_ms=0,
            expires_ms=4_000_000_000_000,
            period_ms=1000,
            clock_tolerance_ms=120_000,
            key_parameter="cpu",
            f_detectors=(detectors - 1) // 3,
            f_miners=0,
            always_reconcile=False,
            mode="enforce",
            nodes=tuple(
                Node(name, role, key_of(name).public, tuple(edges) if role is Role.ENFORCER else ())
                for name, role in self.roles.items()
            ),
            classes=(DeviceClass("pi", 1_000_000),),
            devices=tuple(Device(name, "pi") for name in edges),
            miners=tuple(
                Miner(f"m{n + 1:02}", edges[n % devices], granted, "kernel", "enforce", "")
                for n in range(miners)
            ),
            detection=DETECTION,
            ladder=LADDER,
            holds=(),
            pardons=(),
        )
        self.sealed = seal(replaced(charter, **changes), self.operator)
        # Tests look at the same messages again and again, and a signature takes a while to check.
        self._opened: dict[bytes, Opened] = {}

    @property
    def charter(self) -> Charter:
        return self.sealed.charter

    def next_version(self, **changes: object) -> SealedCharter:
        """The charter with changes, one version on; it does not come into force by itself."""
        return seal(
            replaced(self.charter, **({"version": self.charter.version + 1} | changes)), self.operator
        )

    def signer(self, name: str, session: int = 1) -> Signer:
        return Signer(name, key_of(name), self.network, session)

    def opened(self, data: bytes) -> Opened:
        opened = self._opened.get(data)
        if opened is None:
            opened = self._opened[data] = open_envelope(data, self.sealed.trust())
        return opened

    def log_frame(self, data: bytes, charter: SealedCharter | None = None) -> LogFrame:
        """A frame of this network's manager, under the charter that it names (default: the first)."""
        opened = self.opened(data)
        frame = opened.message
        assert isinstance(frame, Frame)
        return LogFrame(frame, opened.hash, data, opened.sender, charter or self.sealed)

    def message(self, data: bytes, as_type: type[M]) -> M:
        message = self.opened(data).message
        assert isinstance(message, as_type)
        return message


@dataclass
class CfsMiner:
    """A miner that always wants to run: it spends its quota at the beginning of every CFS period.

    `factor` is its quota in entitlements; reads fall anywhere into a period, which is the noise. `work` is what it
    does in the CPU time that it reports, in times of what an honest miner does.
    """

    entitled_ppm: int
    begins_ns: int
    factor: float = 1.0
    work: float = 1.0
    epoch: int = 1
    running: bool = True
    _spent: int = 0
    _periods: int = 0
    _counter: int = 0
    _counted: int = 0
    _worked: float = 0.0

    def usage_ns(self, now_ns: int) -> int:
        quota = round(self.factor * self.entitled_ppm * CFS_PERIOD / 1_000_000)
        past = max(0, now_ns - self.begins_ns)
        while (self._periods + 1) * CFS_PERIOD <= past:
            self._periods += 1
            self._spent += quota
        # Changing the quota takes nothing back of what was used in this period.
        self._counter = max(self._counter, self._spent + min(quota, past - self._periods * CFS_PERIOD))
        return self._counter

    def shares(self) -> int:
        """Those that it has told, as of the last look at its counter."""
        self._worked += (self._counter - self._counted) * self.work
        self._counted = self._counter
        return int(self._worked / SHARE_NS)

    def recreate(self) -> None:
        """Its parent cgroup is made anew: the counter begins at zero."""
        self.epoch += 1
        self._spent = self._counter = self._counted = 0


@dataclass
class Edge:
    """A device: samples every miner on it once a period, and signs that."""

    net: Net
    name: str
    rng: random.Random
    session: int = 1
    boot: bytes = b"B" * 16
    miners: dict[str, CfsMiner] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.signer = self.net.signer(self.name, self.session)
        for miner in self.net.charter.miners_on(self.name):
            self.miners[miner.name] = CfsMiner(miner.entitlement.cpu_ppm, self.rng.randrange(CFS_PERIOD))

    def reading(self, name: str, now_ns: int) -> MinerReading:
        model = self.miners[name]
        usage = model.usage_ns(now_ns + BRACKET // 2)
        shares = model.shares()
        return MinerReading(
            name, model.epoch, now_ns, now_ns + BRACKET, usage, 0, 0, 0, 1 << 25, 0, -1, 100_000, True, shares
        )

    def sample(self, now_ns: int) -> Sample:
        """What it reads at a device time; a few ms of jitter are the scheduler's."""
        now_ns += self.rng.randrange(20 * MS)
        readings = []
        for name, model in self.miners.items():
            if model.running:
                readings.append(self.reading(name, now_ns))
                now_ns += 2 * BRACKET
        return Sample(self.boot, 4, 0, tuple(readings))

    def sealed(self, now_ns: int) -> bytes:
        topic = self.net.sealed.topics().sample(self.name)
        return self.signer.stream(self.sample(now_ns), topic, T0_MS + now_ns // MS)

    def restart(self, *, reboot: bool = False) -> None:
        """The agent starts again, or the whole device."""
        self.session += 1
        self.signer = self.net.signer(self.name, self.session)
        if reboot:
            self.boot = bytes([self.boot[0] + 1]) * 16
            for model in self.miners.values():
                model.recreate()


class Judge:
    """One detector: core, shelf and tally, without the bus."""

    def __init__(self, net: Net, name: str) -> None:
        self.net, self.name = net, name
        self.shelf, self.tally = Shelf(), Tally(net.charter.quorum)
        self.core = DetectorCore(name, net.sealed, net.signer(name), self.shelf)
        self.votes: dict[int, bytes] = {}

    def step(self, closed: Closed, charter: SealedCharter | None = None) -> Step:
        frame = self.net.log_frame(closed.data, charter)
        step = self.core.step(frame, frame.number)
        if step.vote is not None:
            assert frame.number not in self.votes
            self.votes[frame.number] = step.vote
        return step


class World:
    """A fog in memory: one tick samples every device, closes a frame, lets everybody judge and vote."""

    def __init__(self, net: Net, seed: int = 7, enforce: bool = True) -> None:
        self.net, self.now_ns, self.enforce = net, 1000 * S, enforce
        rng = random.Random(seed)
        self.edges = [Edge(net, device.name, random.Random(rng.random())) for device in net.charter.devices]
        self.manager = TwinManager(net.sealed, net.signer("manager"), self.now_ns)
        self.judges = [Judge(net, name) for name in net.detectors]
        self.log: list[Closed] = []
        self.verdicts: list[Verdict] = []
        self.proven: list[Proven] = []
        self.frame: Frame
        # Votes that do not reach anyone, by frame and detector: for tests.
        self.lost: Callable[[int, str], bool] = lambda frame, detector: False

    def edge(self, name: str) -> Edge:
        return next(edge for edge in self.edges if edge.name == name)

    def miner(self, name: str) -> CfsMiner:
        return next(edge.miners[name] for edge in self.edges if name in edge.miners)

    def sample(self, edge: Edge) -> bytes:
        """One sample of a device, taken in by everyone."""
        data = edge.sealed(self.now_ns)
        self.manager.sample(self.net.opened(data), self.now_ns + 5 * MS)
        for judge in self.judges:
            judge.shelf.sample(edge.name, data)
        return data

    def tick(self, silent: Iterable[str] = ()) -> Closed:
        """One period."""
        self.now_ns += S
        for edge in self.edges:
            if edge.name not in silent:
                self.sample(edge)
        closed = self.manager.close(self.now_ns + 50 * MS, T0_MS + self.now_ns // MS)
        self.log.append(closed)
        self.frame = self.net.message(closed.data, Frame)
        steps = [(judge, judge.step(closed)) for judge in self.judges]
        for judge, step in steps:
            if step.vote is not None and not self.lost(closed.number, judge.name):
                self.cast(step.vote)
        return closed

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.tick()

    def cast(self, vote: bytes) -> None:
        """A vote reaches every tally; the first verdict on an offence reaches the manager."""
        opened = self.net.opened(vote)
        for judge in self.judges:
            for met in judge.tally.vote(opened, self.manager.number):
                self.publish(judge, met)

    def publish(self, judge: Judge, met: Met) -> None:
        verdict = next(candidates(met, self.net.charter.fog, judge.shelf.envelope))
        proven = verify_verdict(verdict, {self.net.sealed.hash: self.net.sealed})
        judge.tally.published(met.miner, met.offence, met.frame)
        data = self.net.signer(judge.name).object(verdict)
        self.manager.verdict(object_hash(data), data, proven)
        if all((known.miner, known.offence) != (met.miner, met.offence) for known in self.verdicts):
            self.verdicts.append(verdict)
            self.proven.append(proven)
            if self.enforce:
                self.miner(met.miner).factor = 0.5

    def accused(self) -> set[str]:
        """Everyone whom any vote ever accused."""
        return {
            accusation.miner
            for judge in self.judges
            for vote in judge.votes.values()
            for accusation in self.net.message(vote, Vote).accusations
        }
