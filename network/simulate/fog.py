"""A whole fog in memory: the broker, the devices, every node on its host, made from a plan."""

from __future__ import annotations

from collections.abc import Callable

from mint.charter.seal import SealedCharter
from mint.names import Role
from mint.topics import Topics
from network.simulate import nodes
from network.simulate.broker import Broker
from network.simulate.carry_out import carry_out
from network.simulate.charter import FOG, found, roles
from network.simulate.client import Client
from network.simulate.clock import HostClock
from network.simulate.device import Device
from network.simulate.disks import DetectorDisk, Disk, EnforcerDisk, ManagerDisk, Nothing, Storage
from network.simulate.faults import AGENT_LIES, LIES, Plan
from network.simulate.ground import Ground
from network.simulate.history import History
from network.simulate.host import Host, Make, Observe
from network.simulate.liars import Fabricated, Liar, LyingAgent
from network.simulate.link import Link
from network.simulate.lying_detector import LyingDetector
from network.simulate.lying_manager import LyingManager
from network.simulate.miner import CfsMiner
from network.simulate.mining import Mining, share_ns
from network.simulate.schedule import MS, S, Schedule
from network.simulate.streams import stream

# Nodes are started one after the other within this time.
START_WITHIN_NS = S

LIARS: dict[Role, type[Liar]] = {
    Role.MANAGER: LyingManager,
    Role.DETECTOR: LyingDetector,
    Role.AGENT: LyingAgent,
}

Wrote = Callable[[str, str, CfsMiner], None]


class Fog:
    """The fog of a plan at true time 0; `run` has time pass.

    `observe` is called with every effect of every host, `wrote` with every quota that anyone writes. `charter`: one of
    that size, without it the simulation's own.
    """

    def __init__(
        self, plan: Plan, observe: Observe, wrote: Wrote, charter: SealedCharter | None = None
    ) -> None:
        self.plan, self.charter = plan, charter or found(plan.size)
        self._observe = observe
        schedule, history = Schedule(), History()
        members = roles(plan.size)
        broker = Broker(schedule, {**members, "operator": Role.OPERATOR}, Topics(FOG))
        self.ground = Ground(schedule, broker, history)

        def written(miner: str, by: str, container: CfsMiner) -> None:
            quota = "frozen" if container.frozen else container.quota.ppm
            history.note(schedule.now_ns, miner, "quota", quota, by)
            wrote(miner, by, container)

        for name in plan.size.device_names:
            miners = self.charter.charter.miners_on(name)
            device = self.ground.devices[name] = Device(
                name, schedule, miners, stream(plan.seed, name, "device"), written
            )
            if shares := share_ns(self.charter.charter, name):
                device.told = Mining(shares, plan.seed)
        for name, role in members.items():
            host = self.ground.hosts[name] = self._host(name, role)
            schedule.at(stream(plan.seed, name, "start").randrange(START_WITHIN_NS), host.start)
        carry_out(plan, self.ground)

    def run(self, until_ms: int) -> None:
        """Have time pass up to `until_ms`."""
        self.ground.schedule.run(until_ms * MS)

    def _host(self, name: str, role: Role) -> Host:
        ground, seed = self.ground, self.plan.seed
        link = Link(ground.schedule, stream(seed, name, "up"), stream(seed, name, "down"))
        client = Client(name, ground.schedule, ground.broker, link, stream(seed, name, "backoff"))
        device = self._device(name)
        storage, make = self._made(role, device)
        return Host(
            name,
            schedule=ground.schedule,
            client=client,
            clock=HostClock(name) if device is None else device.clock,
            disk=Disk({self.charter.hash: self.charter}, storage),
            make=self._lying(name, role, make),
            history=ground.history,
            observe=self._observe,
            lateness=stream(seed, name, "lateness"),
        )

    def _device(self, name: str) -> Device | None:
        """The device that a node runs on; None: it runs in the fog, on a host of its own."""
        size = self.plan.size
        enforced = dict(zip(size.enforcer_names, size.device_names, strict=True))
        return self.ground.devices.get(enforced.get(name, name))

    def _made(self, role: Role, device: Device | None) -> tuple[Storage, Make]:
        """The empty disk of a node, and how its component is made."""
        if role is Role.MANAGER:
            return ManagerDisk(), nodes.manager
        if role is Role.DETECTOR:
            return DetectorDisk(), nodes.detector
        assert device is not None  # noqa: S101 (agents and enforcers run on devices)
        if role is Role.ENFORCER:
            return EnforcerDisk(), lambda start: nodes.Hands(start, device)
        read = (
            Fabricated(device, self.ground) if device.name in self.plan.named(AGENT_LIES) else device.sample
        )
        return Nothing(), lambda start: nodes.AgentNode(start, device, read)

    def _lying(self, name: str, role: Role, make: Make) -> Make:
        """How a node's component is made that will lie."""
        if name not in self.plan.named(LIES):
            return make
        liar = LIARS[role]
        return lambda start: liar(make(start), start, self.plan, self.ground)
