"""Liars in the places of components: they run the honest component, and change what it hears and says while they lie.

A liar has its own node's key and its own rights at the broker, and nobody else's: what it says is signed by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from mint.bus.options import Incoming, Subscription
from mint.effects import Effect, Now, Post
from mint.envelope import Envelope
from mint.messages.sample import MinerReading, Sample
from mint.sign_bytes import Stream, body_bytes, sign_bytes
from mint.wire import decode, encode
from network.simulate.charter import NETWORK
from network.simulate.device import Device
from network.simulate.faults import Fault, Plan
from network.simulate.ground import Ground
from network.simulate.host import Do, Node, Start
from network.simulate.streams import stream

PPM = 1_000_000

Effects = Iterable[Effect | Do]


class Liar:
    """An honest component, and what is changed of it; `lies`: those of now."""

    def __init__(self, inner: Node, start: Start, plan: Plan, ground: Ground) -> None:
        self._inner, self._member, self._host = inner, start.member, start.host
        self._plan, self._ground = plan, ground
        self._rng = stream(plan.seed, start.member.name, "lies", start.host.disk.session)

    @property
    def lies(self) -> tuple[Fault, ...]:
        """What it lies about now."""
        return self._ground.lies.get(self._member.name, ())

    def subscriptions(self) -> Sequence[Subscription]:
        """As the honest one."""
        return self._inner.subscriptions()

    def connected(self, now: Now) -> Effects:
        """A connection stands."""
        return self.told(self._inner.connected(now))

    def receive(self, incoming: Incoming, now: Now) -> Effects:
        """A message came."""
        if self.deaf(incoming):
            return ()
        effects = self.told(self._inner.receive(incoming, now))
        return [*effects, *self.more(incoming)] if self.lies else effects

    def due_ns(self) -> int:
        """As the honest one."""
        return self._inner.due_ns()

    def tick(self, now: Now) -> Effects:
        """Time has come."""
        return self.told(self._inner.tick(now))

    # --- the lies ---

    def deaf(self, incoming: Incoming) -> bool:
        """Whether the honest component is not to hear of this."""
        return False

    def told(self, effects: Effects) -> Effects:
        """What is done instead of what the honest component would do."""
        return effects

    def more(self, incoming: Incoming) -> Effects:
        """What is said besides, because of a message."""
        return ()

    def says(self, kind: str) -> Fault | None:
        """The lie of this kind, if it is told now."""
        return next((lie for lie in self.lies if lie.kind == kind), None)


class LyingAgent(Liar):
    """An agent: withholds samples, or signs two at one place. What it fabricates it reads so (fog.py)."""

    def told(self, effects: Effects) -> Effects:
        """Fewer samples, or more."""
        if not self.lies:
            return effects
        topic = self._member.topics.sample(self._member.name)
        withhold, twice = self.says("withhold"), self.says("sample-twice")
        told: list[Effect | Do] = []
        for effect in effects:
            if not isinstance(effect, Post) or effect.topic != topic:
                told.append(effect)
                continue
            if withhold is None or self._rng.randrange(PPM) >= withhold.amount:
                told.append(effect)
            if twice is not None:
                told.append(replace_data(effect, self._again(effect.data)))
        return told

    def _again(self, data: bytes) -> bytes:
        """Another sample at the place of this one."""
        body = decode(decode(data, Envelope).body, Stream)
        sample = decode(body.payload, Sample)
        first = sample.miners[0]
        less = replace(first, usage_ns=max(0, first.usage_ns - 1))
        changed = replace(sample, miners=(less, *sample.miners[1:]))
        signed = body_bytes(replace(body, payload=encode(changed)))
        return encode(Envelope(signed, self._host.key.sign(sign_bytes(NETWORK, signed))))


class Fabricated:
    """What a lying agent reads: what its device shows, but never more use than entitlement while it fabricates."""

    def __init__(self, device: Device, ground: Ground) -> None:
        self._device, self._ground = device, ground
        self._last: dict[str, MinerReading] = {}

    def __call__(self) -> Sample:
        """The sample of this period."""
        sample = self._device.sample()
        if not any(lie.kind == "fabricate" for lie in self._ground.lies.get(self._device.name, ())):
            self._last = {reading.miner: reading for reading in sample.miners}
            return sample
        told = tuple(self._less(reading) for reading in sample.miners)
        self._last = {reading.miner: reading for reading in told}
        return replace(sample, miners=told)

    def _less(self, reading: MinerReading) -> MinerReading:
        last = self._last.get(reading.miner)
        if last is None or last.epoch != reading.epoch or last.after_ns > reading.before_ns:
            return reading
        granted_ppm = self._device.granted[reading.miner].ppm or PPM
        most_ns = last.usage_ns + (reading.before_ns - last.after_ns) * granted_ppm // PPM
        return replace(reading, usage_ns=max(last.usage_ns, min(reading.usage_ns, most_ns)))


def replace_data(post: Post, data: bytes) -> Post:
    """The same post of other bytes."""
    return Post(post.topic, data, post.qos, post.retain, post.expiry_s)
