"""One simulated host that runs one component: its clocks, its disk, its end of the bus.

What a component asks for is done in its order, and before each effect the host may crash: what `Keep` had stored
stays, everything else is lost, and after a while a component made anew from the disk goes on. An effect takes no
time, so nobody else acts between two of them; a crash between them is the interleaving that matters.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mint.bus.options import Incoming, Subscription
from mint.bus.outbox import Outgoing
from mint.charter.seal import SealedCharter
from mint.component import NEVER_NS
from mint.effects import Effect, Keep, Now, Post, Say
from mint.envelope import Signer
from mint.member import Member
from mint.rejections import Rejections
from network.simulate.charter import NETWORK, OPERATOR_KEY
from network.simulate.client import Client
from network.simulate.clock import HostClock
from network.simulate.disks import Disk, Storage
from network.simulate.history import History
from network.simulate.schedule import MS, US, S, Schedule
from network.simulate.signing import HashKey

# An alarm rings a little late, as an event loop's do; a component that is due again at once gets its turn after what
# else is waiting.
LEAST_WAIT_NS = 100 * US
LATE_NS = 4 * MS


@dataclass(frozen=True, slots=True)
class Do:
    """Something done by hand, to the machine: a step that a crash comes before or after."""

    call: Callable[[], object]


class Node(Protocol):
    """A mint.component.Component, or one that has hands too."""

    def subscriptions(self) -> Sequence[Subscription]:
        """What it listens to."""

    def connected(self, now: Now) -> Iterable[Effect | Do]:
        """A connection stands."""

    def receive(self, incoming: Incoming, now: Now) -> Iterable[Effect | Do]:
        """A message came."""

    def due_ns(self) -> int:
        """When `tick` is due."""

    def tick(self, now: Now) -> Iterable[Effect | Do]:
        """Time has come."""


class HostMember(Member):
    """A member whose charters are on its host's disk."""

    def __init__(
        self, name: str, signer: Signer, disk: Disk, *, log: logging.Logger, rejections: Rejections
    ) -> None:
        self._disk = disk
        charters = tuple(disk.charters.values())
        super().__init__(name, signer, OPERATOR_KEY.public, charters, log=log, rejections=rejections)

    def keep(self, sealed: SealedCharter) -> None:
        """On disk before this returns."""
        self._disk.charters[sealed.hash] = sealed
        super().keep(sealed)

    def forget(self, sealed: SealedCharter) -> None:
        """Here and on disk."""
        del self._disk.charters[sealed.hash]
        super().forget(sealed)


@dataclass(frozen=True, slots=True)
class Start:
    """What a process begins with, every time."""

    member: Member
    storage: Storage
    host: Host
    now: Now


Make = Callable[[Start], Node]
# Called with every effect that was carried out, and the bytes that went to the bus for it (None where none did).
Observe = Callable[["Host", Effect | Do, bytes | None], None]


class _Said(logging.Handler):
    """A node's log as part of the history."""

    def __init__(self, host: Host, history: History) -> None:
        super().__init__(logging.INFO)
        self._host, self._history = host, history

    def emit(self, record: logging.LogRecord) -> None:
        self._history.note(self._host.true_ns, self._host.name, "says", record.getMessage(), keep=False)


class Host:
    """The host of one node; `make` makes its component from its disk at every start.

    `crash_in`: how many more effects are carried out before it crashes; None: it does not.
    """

    def __init__(
        self,
        name: str,
        *,
        schedule: Schedule,
        client: Client,
        clock: HostClock,
        disk: Disk,
        make: Make,
        history: History,
        observe: Observe,
        lateness: random.Random,
    ) -> None:
        self.name, self.clock, self.client, self.disk = name, clock, client, disk
        self.key = HashKey(name)
        self.component: Node | None = None
        self.member: Member
        self.crash_in: int | None = None
        self._down_ns, self._flushes = 0, True
        self._schedule, self._make = schedule, make
        self._history, self._observe = history, observe
        self._late = lateness.random
        self._log = logging.Logger(name, logging.INFO)  # of its own, known to no one else
        self._log.addHandler(_Said(self, history))
        self._still = False
        self._life = 0  # one number a start or end: what an earlier life scheduled is void
        self._alarm = 0  # likewise for its alarms
        self._wakes_ns = NEVER_NS
        self._back_ns = 0  # when it starts again, while it is down

    @property
    def true_ns(self) -> int:
        """True time."""
        return self._schedule.now_ns

    def now(self) -> Now:
        """The time as this host has it."""
        return self.clock.now(self._schedule.now_ns)

    # --- life ---

    def start(self) -> None:
        """The process begins: a new session, and a component made of what is on disk."""
        if self.component is not None:
            return
        self._life += 1
        self.disk.session += 1
        signer = Signer(self.name, self.key, NETWORK, self.disk.session)
        rejections = Rejections(self._log, lambda: self.now().monotonic_ns / S)
        self.member = HostMember(self.name, signer, self.disk, log=self._log, rejections=rejections)
        self.component = self._make(Start(self.member, self.disk.storage, self, self.now()))
        self._still = False
        self.client.start(self.component.subscriptions(), self._received, self._connected, self._heard)
        self._wake()

    def crash(self, down_ns: int, *, flushes: bool = True) -> None:
        """The process dies where it is, and starts again after `down_ns`.

        `flushes`: what it had written to its connection is sent all the same, and to its disk is there (a killed
        process); else it is lost, as far as it was not synced (a host without power).
        """
        back_ns = self._schedule.now_ns + down_ns
        if self.component is None and back_ns <= self._back_ns:
            return
        self._history.note(self._schedule.now_ns, self.name, "crashed", down_ns)
        self._life += 1
        self._alarm += 1
        self._wakes_ns, self._back_ns = NEVER_NS, back_ns
        self.component, self.crash_in = None, None
        self.client.stop(flushes=flushes)
        if not flushes:
            self.disk.storage.power_lost()
        self._schedule.at(back_ns, self._restart, self._life)

    def crash_after(self, effects: int, down_ns: int, *, flushes: bool = True) -> None:
        """Crash once this many more effects are carried out, right before the next."""
        self.crash_in, self._down_ns, self._flushes = effects, down_ns, flushes

    def crash_at_last(self) -> None:
        """Crash now, if a crash is still to come."""
        if self.crash_in is not None:
            self.crash(self._down_ns, flushes=self._flushes)

    def _restart(self, life: int) -> None:
        if life == self._life:
            self._history.note(self._schedule.now_ns, self.name, "started")
            self.start()

    def freeze(self) -> None:
        """The process stands still (stopped, or starved of its CPU)."""
        if self.component is not None:
            self._still = True
            self.client.freeze()

    def thaw(self) -> None:
        """It goes on."""
        if self._still:
            self._still = False
            self.client.thaw()
            self._rouse()

    def restore(self, backup: Disk, down_ns: int) -> None:
        """Somebody puts an old state folder back: the process ends, and begins again from that."""
        self.crash(down_ns)
        self.disk = backup.copy()

    def clock_changed(self) -> None:
        """Its clock runs otherwise now: alarms are set anew."""
        self._rouse()

    # --- what it is told ---

    def _received(self, incoming: Incoming) -> None:
        component = self.component
        if component is not None:
            self._carry_out(component.receive(incoming, self.clock.now(self._schedule.now_ns)))
            self._wake()

    def _connected(self) -> None:
        component = self.component
        if component is not None:
            self._carry_out(component.connected(self.now()))
            self._wake()

    def _heard(self, message: Outgoing) -> None:
        """The broker has acknowledged what was sent."""
        heard = getattr(self.component, "acknowledged", None)
        if heard is not None:
            self._carry_out(heard(message.topic, message.payload))

    def _rouse(self) -> None:
        self._alarm += 1
        self._wakes_ns = NEVER_NS
        self._wake()

    def _wake(self) -> None:
        """Have an alarm at the time that the component is due, or before it."""
        component = self.component
        if component is None:
            return
        due_ns = component.due_ns()
        if due_ns >= self._wakes_ns:
            return
        self._wakes_ns = due_ns
        self._alarm += 1
        at_ns = max(self.clock.true_ns(due_ns), self._schedule.now_ns) + LEAST_WAIT_NS
        self._schedule.at(at_ns + int(self._late() * LATE_NS), self._ring, self._alarm)

    def _ring(self, alarm: int) -> None:
        component = self.component
        if alarm != self._alarm or component is None or self._still:
            return
        self._wakes_ns = NEVER_NS
        now = self.now()
        if component.due_ns() <= now.monotonic_ns:
            self._carry_out(component.tick(now))
        self._wake()

    # --- what it asks for ---

    def _carry_out(self, effects: Iterable[Effect | Do]) -> None:
        post, observe = self.client.post, self._observe
        for effect in effects:
            if self.crash_in is not None:
                if self.crash_in == 0:
                    self.crash(self._down_ns, flushes=self._flushes)
                    return
                self.crash_in -= 1
            if isinstance(effect, Post):
                data = effect.data
                post(effect.topic, data, effect.qos, effect.retain, effect.expiry_s)
            elif isinstance(effect, Say):
                if not (effect.qos or self.client.listened(effect.topic)):
                    continue  # a broker would drop it: what is said for people alone is not even signed here
                wall_ms = self.clock.wall_ms(self._schedule.now_ns)
                data = self.member.signer.stream(effect.message, effect.topic, wall_ms)
                post(effect.topic, data, effect.qos, False, effect.expiry_s)
            else:
                if isinstance(effect, Keep):
                    self.disk.storage.keep(effect.what)
                else:
                    effect.call()
                observe(self, effect, None)
                continue
            self._history.message(self._schedule.now_ns, self.name, effect.topic, data)
            observe(self, effect, data)
