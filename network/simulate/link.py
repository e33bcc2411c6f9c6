"""The way between a client and the broker: latency, and what may go wrong on it.

A connection is TCP, so what is on it comes in order or not at all; the disturbances are what MQTT over TCP shows
of a bad network:

- **loss**: QoS 0 is lost (a real broker sheds it where a client is slow or gone). QoS 1 is not: it is sent again,
  so its loss is delay, and what comes after it waits. Whole connections are lost by `partition` and `reset`.
- **delay**: everything takes longer, by a different time each; order holds.
- **duplicate**: a QoS 1 message comes again a while later, as after a lost PUBACK.
- **reorder**: order holds only where MQTT promises it (MQTT 5, 4.6): among messages of one publisher on one topic at
  one QoS. Brokers that are clusters, or that queue QoS 1 and not QoS 0, do no more. Without this disturbance a
  link keeps everything in order, and only messages over different links overtake each other.
- **partition** (`hold`): nothing passes; what is under way waits, until the link is whole or someone gives up.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from network.simulate.schedule import MS, US, Schedule

PPM = 1_000_000
# One way on a local network, radio included: some hundred us to a few ms.
LATENCY_NS = 300 * US
SPREAD_NS = 1_500 * US
# TCP's first retransmission timeout on Linux; it doubles with every further loss.
RETRANSMIT_NS = 200 * MS
MAX_LOSSES = 6
# A duplicate comes this much later at most: a reconnection.
AGAIN_NS = 3_000 * MS


@dataclass(slots=True, eq=False)
class Disturbance:
    """Something that is wrong with a direction for a while, with a random source of its own."""

    rng: random.Random
    loss_ppm: int = 0
    delay_ns: int = 0
    duplicate_ppm: int = 0
    reorder: bool = False


class Way:
    """One direction of a link."""

    __slots__ = (
        "_base_ns",
        "_disturbances",
        "_floors",
        "_held",
        "_latest_ns",
        "_random",
        "_schedule",
        "_trouble",
    )

    def __init__(self, schedule: Schedule, rng: random.Random) -> None:
        self._schedule, self._random = schedule, rng.random
        self._latest_ns = 0  # the last arrival of all: what is in order comes after it
        self._base_ns = 0  # the last arrival of what was sent before things were reordered
        self._floors: dict[object, int] = {}  # while they are: the last arrival of each stream
        self._disturbances: list[Disturbance] = []
        self._held: list[tuple[Callable[..., None], tuple[object, ...], int, object]] | None = None
        self._trouble = False

    def carry(self, call: Callable[..., None], args: tuple[object, ...], qos: int, stream: object) -> None:
        """Call `call(*args)` at the other end; `stream`: among what order is kept whatever happens."""
        if self._trouble:
            self._carry_through(call, args, qos, stream)
            return
        arrival = self._schedule.now_ns + LATENCY_NS + int(self._random() * SPREAD_NS)
        if arrival <= self._latest_ns:
            arrival = self._latest_ns + 1
        self._latest_ns = arrival
        self._schedule.at(arrival, call, *args)

    def disturb(self, disturbance: Disturbance) -> None:
        """From now on, until `calm` is called for it."""
        if disturbance.reorder and not self._reordered:
            self._base_ns = self._latest_ns
        self._disturbances.append(disturbance)
        self._trouble = True

    def calm(self, disturbance: Disturbance) -> None:
        """This disturbance is over."""
        self._disturbances.remove(disturbance)
        self._trouble = bool(self._disturbances) or self._held is not None
        if not self._reordered:
            self._floors.clear()

    def hold(self) -> None:
        """Nothing passes any more."""
        if self._held is None:
            self._held = []
        self._trouble = True

    def release(self) -> None:
        """What was held passes now, in its order, and what comes as usual."""
        held, self._held = self._held or [], None
        self._trouble = bool(self._disturbances)
        for call, args, qos, stream in held:
            self.carry(call, args, qos, stream)

    def cut(self) -> None:
        """What was held is lost: its connection is no more."""
        if self._held is not None:
            self._held.clear()

    @property
    def _reordered(self) -> bool:
        return any(disturbance.reorder for disturbance in self._disturbances)

    def _carry_through(
        self, call: Callable[..., None], args: tuple[object, ...], qos: int, stream: object
    ) -> None:
        if self._held is not None:
            self._held.append((call, args, qos, stream))
            return
        arrival = self._schedule.now_ns + LATENCY_NS + int(self._random() * SPREAD_NS)
        again = 0
        for disturbance in self._disturbances:
            rng = disturbance.rng
            if disturbance.loss_ppm:
                losses = _losses(rng, disturbance.loss_ppm)
                if losses and not qos:
                    return
                arrival += RETRANSMIT_NS * ((1 << losses) - 1)
            if disturbance.delay_ns:
                arrival += rng.randrange(disturbance.delay_ns)
            if disturbance.duplicate_ppm and qos and rng.randrange(PPM) < disturbance.duplicate_ppm:
                again = rng.randrange(1, AGAIN_NS)
        if self._reordered:
            arrival = max(arrival, self._floors.get(stream, self._base_ns) + 1)
            self._floors[stream] = arrival
        else:
            arrival = max(arrival, self._latest_ns + 1)
        self._latest_ns = max(self._latest_ns, arrival)
        self._schedule.at(arrival, call, *args)
        if again:
            self._schedule.at(arrival + again, call, *args)


def _losses(rng: random.Random, ppm: int) -> int:
    """How often in a row a packet is lost."""
    losses = 0
    while losses < MAX_LOSSES and rng.randrange(PPM) < ppm:
        losses += 1
    return losses


class Link:
    """Both directions between one client and the broker; `whole` is False during a partition.

    Partitions may overlap: the link is whole again when the last one has ended.
    """

    __slots__ = ("_partitions", "_schedule", "down", "parted_ns", "up")

    def __init__(self, schedule: Schedule, up: random.Random, down: random.Random) -> None:
        self.up, self.down = Way(schedule, up), Way(schedule, down)
        self._schedule = schedule
        self._partitions = 0
        self.parted_ns = 0  # when it was whole last

    @property
    def whole(self) -> bool:
        """Whether anything passes."""
        return not self._partitions

    def part(self) -> None:
        """A partition begins."""
        if not self._partitions:
            self.parted_ns = self._schedule.now_ns
        self._partitions += 1
        self.up.hold()
        self.down.hold()

    def heal(self) -> None:
        """A partition ends."""
        self._partitions -= 1
        if not self._partitions:
            self.up.release()
            self.down.release()

    def cut(self) -> None:
        """The connection over it is no more, and what was under way with it."""
        self.up.cut()
        self.down.cut()
