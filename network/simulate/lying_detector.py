"""A detector that lies: silent, voting at random, voting twice, or accusing the innocent in league with others."""

from __future__ import annotations

import random
from collections.abc import Iterator

from msgspec.structs import replace

from mint.bus.options import Incoming
from mint.effects import Effect, Post
from mint.envelope import Envelope, object_hash
from mint.frames import frame_in
from mint.merkle import leaf_hash
from mint.messages.frame import Frame
from mint.messages.judgement import Accusation, Evidence, SampleRef, Verdict, Vote
from mint.sign_bytes import Object, body_bytes, sign_bytes
from mint.wire import decode, encode
from network.simulate.charter import NETWORK
from network.simulate.faults import CHEATS, Fault, Plan
from network.simulate.ground import Ground
from network.simulate.host import Do, Node, Start
from network.simulate.liars import Effects, Liar, replace_data
from network.simulate.safety import message_in

# Frames that an invented offence has lasted.
LASTED = 8
# Samples that it remembers: of the last of those frames, and more.
HELD = 256

EVIDENCE: tuple[Evidence, ...] = ("budget", "ssa", "pob", "work")


class LyingDetector(Liar):
    """A detector: silent, voting at random, voting twice, or accusing the innocent in league with others."""

    def __init__(self, inner: Node, start: Start, plan: Plan, ground: Ground) -> None:
        super().__init__(inner, start, plan, ground)
        self._topics = self._member.topics
        self._refs: dict[str, list[SampleRef]] = {}
        self._held: dict[bytes, bytes] = {}

    def told(self, effects: Effects) -> Effects:
        """Its own votes, or none."""
        if not self.lies:
            return effects
        if self.says("vote-silent"):
            return [effect for effect in effects if not isinstance(effect, Post)]
        topic = self._topics.vote(self._member.name)
        told: list[Effect | Do] = []
        for effect in effects:
            if not isinstance(effect, Post) or effect.topic != topic:
                told.append(effect)
            elif self.says("vote-twice"):
                told += [effect, replace_data(effect, self._other(effect.data))]
            elif not (self.says("vote-random") or self.says("vote-innocent")):
                told.append(effect)
        return told

    def more(self, incoming: Incoming) -> Effects:
        """Invented votes, with every frame that comes."""
        if self._topics.device_of_sample(incoming.topic) is not None:
            self._held[leaf_hash(incoming.payload)] = incoming.payload
            while len(self._held) > HELD:
                del self._held[next(iter(self._held))]
        if incoming.topic != self._topics.frame() or not incoming.payload:
            return ()
        frame, frame_hash = frame_in(incoming.payload), object_hash(incoming.payload)
        for entry in frame.devices:
            if entry.leaf:
                refs = self._refs.setdefault(entry.device, [])
                refs.append(SampleRef(entry.device, entry.session, entry.sequence, entry.leaf))
                del refs[:-LASTED]
        if self.says("vote-random"):
            return self._random(frame, frame_hash)
        innocent = self.says("vote-innocent")
        return self._accuse(frame, frame_hash, innocent) if innocent else ()

    def _other(self, data: bytes) -> bytes:
        """Another vote on the frame of this one."""
        vote = message_in(data, Vote)
        refs = next((refs for refs in self._refs.values() if len(refs) > 1), None)
        if vote.accusations or refs is None:
            return self._member.signer.object(replace(vote, accusations=()))
        miner = self._plan.size.miner_names[0]
        accusation = Accusation(miner, 1, max(0, vote.frame - 1), "ssa", 1, refs[0], refs[-1])
        return self._member.signer.object(replace(vote, accusations=(accusation,)))

    def _random(self, frame: Frame, frame_hash: bytes) -> Iterator[Post]:
        """Any vote: on any frame, of any hash, on anyone."""
        rng = self._rng
        for _ in range(rng.randrange(3)):
            number = max(1, frame.number + rng.randint(-5, 5))
            named = frame_hash if rng.random() < 0.5 else rng.randbytes(32)
            charter = frame.charter if rng.random() < 0.9 else rng.randbytes(32)
            miners = rng.sample(frame.miners, min(len(frame.miners), rng.randrange(4)))
            accusations = tuple(
                Accusation(
                    entry.miner,
                    max(1, entry.offences + rng.randint(0, 2)),
                    max(0, number - rng.randrange(10)),
                    rng.choice(EVIDENCE),
                    rng.randrange(1 << 40),
                    self._any_ref(rng),
                    self._any_ref(rng),
                )
                for entry in miners
            )
            yield self._vote_post(Vote(frame.fog, number, named, charter, accusations))

    def _any_ref(self, rng: random.Random) -> SampleRef:
        known = [ref for refs in self._refs.values() for ref in refs]
        if known and rng.random() < 0.8:
            return rng.choice(known)
        return SampleRef("edge1", rng.randrange(3), rng.randrange(1_000), rng.randbytes(32))

    def _accuse(self, frame: Frame, frame_hash: bytes, lie: Fault) -> Iterator[Post]:
        """The same innocent miner, with every frame; the same verdict on it, with too few votes."""
        cheats = self._plan.named(CHEATS)
        innocent = [name for name in self._plan.size.miner_names if name not in cheats]
        if not innocent:
            return
        victim = innocent[lie.seed % len(innocent)]
        evidence = EVIDENCE[lie.seed // 7 % len(EVIDENCE)]
        refs = self._refs.get(self._plan.size.device_of(victim), [])
        entry = next((one for one in frame.miners if one.miner == victim), None)
        if entry is None or len(refs) < 2:
            return
        began, excess_ns = max(0, frame.number - LASTED), 10**9
        accusation = Accusation(victim, entry.offences + 1, began, evidence, excess_ns, refs[0], refs[-1])
        vote = self._vote_post(Vote(frame.fog, frame.number, frame_hash, frame.charter, (accusation,)))
        yield vote
        samples = self._samples(refs[0], refs[-1])
        if samples is not None:
            quorum = 2 * self._plan.size.f_detectors + 1
            votes = self._forged(vote.data, quorum) if frame.number % 2 else (vote.data,) * quorum
            verdict = Verdict(
                frame.fog, frame.charter, victim, accusation.offence, frame.number, began, evidence,
                excess_ns, votes, *samples,
            )  # fmt: skip
            topic = self._topics.verdict(self._member.name, victim)
            yield Post(topic, self._member.signer.object(verdict), retain=True)

    def _forged(self, vote: bytes, count: int) -> tuple[bytes, ...]:
        """This vote in the names of others, signed by ourselves."""
        payload = decode(decode(vote, Envelope).body, Object).payload
        bodies = (
            body_bytes(Object("vote", name, payload)) for name in self._plan.size.detector_names[:count]
        )
        sign = self._host.key.sign
        return tuple(encode(Envelope(body, sign(sign_bytes(NETWORK, body)))) for body in bodies)

    def _samples(self, first: SampleRef, last: SampleRef) -> tuple[bytes, bytes] | None:
        """The envelopes of two samples, if they were heard."""
        one, other = self._held.get(first.leaf), self._held.get(last.leaf)
        return (one, other) if one is not None and other is not None else None

    def _vote_post(self, vote: Vote) -> Post:
        return Post(self._topics.vote(self._member.name), self._member.signer.object(vote), expiry_s=60)
