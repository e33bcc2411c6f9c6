"""What a run consists of, for whoever has to reach into it: faults, cheats, checks."""

from __future__ import annotations

from dataclasses import dataclass, field

from network.simulate.broker import Broker
from network.simulate.clock import HostClock
from network.simulate.device import Device
from network.simulate.faults import Fault
from network.simulate.history import History
from network.simulate.host import Host
from network.simulate.schedule import Schedule


@dataclass(slots=True)
class Ground:
    """The hosts of one fog by node, its devices by name, its broker; `lies`: those that are told now, by node."""

    schedule: Schedule
    broker: Broker
    history: History
    hosts: dict[str, Host] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    lies: dict[str, tuple[Fault, ...]] = field(default_factory=dict)

    def hosts_at(self, clock: HostClock) -> tuple[Host, ...]:
        """The hosts that go by this clock: several run on one device."""
        return tuple(host for host in self.hosts.values() if host.clock is clock)

    def clock(self, name: str) -> HostClock:
        """The clock of a device or a node."""
        device = self.devices.get(name)
        return device.clock if device is not None else self.hosts[name].clock

    def device_of(self, miner: str) -> Device:
        """The device that a miner lives on."""
        return next(device for device in self.devices.values() if miner in device.containers)
