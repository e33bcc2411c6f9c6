"""A twin manager that lies: it signs two frames of one number, leaves a device out, or tells counters nobody read.

The honest manager runs inside, and its log is rewritten on the way to its disk and to the bus: once a frame is
another than the honest one, all that follow name it as the one before. What it is shown of itself it does not hear.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from mint.bus.options import Incoming
from mint.effects import Effect, Keep, Post, Say
from mint.envelope import object_hash
from mint.frame_log import Kept
from mint.frames import frame_in
from mint.messages.frame import Frame, FrameReply
from network.simulate.faults import Plan
from network.simulate.ground import Ground
from network.simulate.host import Do, Node, Start
from network.simulate.liars import Effects, Liar, replace_data
from twin_broker.storage import Append, Stored

# CPU time that an invented reading has more than the true one.
INVENTED_NS = 400_000_000
# Frames told otherwise, by number, that may be told again.
REMEMBERED = 8


class LyingManager(Liar):
    """A twin manager that lies while it is told to."""

    def __init__(self, inner: Node, start: Start, plan: Plan, ground: Ground) -> None:
        super().__init__(inner, start, plan, ground)
        self._topic = self._member.topics.frame()
        # The honest frame that was told otherwise last, and the hash of what was told.
        self._instead: tuple[bytes, bytes] | None = None
        self._told: dict[bytes, bytes] = {}

    def deaf(self, incoming: Incoming) -> bool:
        """A device is left out; proofs against ourselves are not heard."""
        if not self.lies:
            return False
        topics = self._member.topics
        if incoming.topic.startswith(topics.fault("")):
            return True
        omit = self.says("omit")
        names = self._plan.size.device_names
        return omit is not None and incoming.topic == topics.sample(names[omit.amount % len(names)])

    def told(self, effects: Effects) -> Effects:
        """The log as it is told."""
        if not self.lies and self._instead is None:
            return effects
        return list(self._rewritten(effects))

    def _rewritten(self, effects: Effects) -> Iterator[Effect | Do]:
        for effect in effects:
            if isinstance(effect, Keep) and isinstance(effect.what, Append):
                frames = tuple(self._stored(stored) for stored in effect.what.frames)
                yield Keep(Append(frames, effect.what.clocks))
            elif isinstance(effect, Post) and effect.topic == self._topic:
                told = replace_data(effect, self._told.get(effect.data, effect.data))
                yield told
                if self.says("fork"):
                    yield from self._fork(told)
            else:
                yield effect

    def _stored(self, stored: Stored) -> Stored:
        """A frame of ours, as it is told; those of others stay as they are."""
        honest = stored.kept
        frame = frame_in(honest.data)
        if self._instead is not None and frame.previous == self._instead[0]:
            frame = replace(frame, previous=self._instead[1])
        invent = self.says("invent")
        if invent is not None:
            frame = self._invented(frame, invent.amount)
        data = self._member.signer.object(frame)
        if data == honest.data:
            self._instead = None
            return stored
        kept = Kept(honest.number, object_hash(data), data)
        self._instead = (honest.hash, kept.hash)
        self._told[honest.data] = data
        while len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]
        return Stored(kept, stored.samples, stored.verdicts)

    def _invented(self, frame: Frame, index: int) -> Frame:
        """More use of one miner than its device read."""
        miners = list(frame.miners)
        if miners:
            index %= len(miners)
            entry = miners[index]
            miners[index] = replace(entry, usage_ns=entry.usage_ns + INVENTED_NS)
        return replace(frame, miners=tuple(miners))

    def _fork(self, told: Post) -> Iterator[Effect]:
        """Another frame of the same number, to everyone or to one detector alone."""
        if self._rng.random() < 0.7:
            return
        frame = frame_in(told.data)
        other = self._member.signer.object(replace(frame, time_ms=frame.time_ms + 1))
        if self._rng.random() < 0.5:
            yield replace_data(told, other)
            return
        victim = self._rng.choice(self._plan.size.detector_names)
        reply = FrameReply(frame.number, other, (other,), ())
        yield Say(self._member.topics.frame_reply(victim), reply, qos=1, expiry_s=30)
