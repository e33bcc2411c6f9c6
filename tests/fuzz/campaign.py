"""One campaign: honest traffic, then lies amid it, then honest traffic again, under the laws (tests/fuzz/laws.py).

A campaign has a seed and a cast of liars. Liars are nodes whose keys somebody else has too: their components go on
beside him, as those of a node that was broken into. In the end a miner on an honest device cheats: it is caught
and put back, unless the manager is among the liars; then each detector goes on or holds a proof against it.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass

from mint import kinds
from mint.envelope import Signer
from mint.topics import may_write
from tests.fuzz.disks import DetectorDisk
from tests.fuzz.fog import Fog
from tests.fuzz.forge import Forger
from tests.fuzz.laws import Finding, Laws
from tests.fuzz.proofs import Prover, kind_of
from tests.matching import matches

# No more detectors lie than f_detectors, which is one of four.
CASTS: tuple[tuple[str, ...], ...] = (
    (),
    ("det4",),
    ("edge2",),
    ("det4", "edge2"),
    ("enforcer", "console"),
    ("manager",),
    ("manager", "det4", "edge2"),
)
# Seconds at the beginning, seconds of lies, lies in each; and where they are to fill what can be filled.
BEFORE_S, LYING_S, LIES, FLOOD = 6, 25, 24, 200
# Until a cheat that doubles its quota is convicted and put back; 4 to 7 s where nobody lies.
CAUGHT_S = 40
CHEAT, HONEST_DEVICE = "m01", "edge1"


@dataclass(frozen=True)
class Told:
    """What a campaign has come to: messages injected, rejections counted, faults told by kind, verdicts."""

    injected: int
    rejected: int
    faults: dict[str, int]
    verdicts: int


def campaign(seed: int, cast: tuple[str, ...], lies_a_second: int = LIES) -> Told:
    """Run one.

    Raises:
        Finding: a law did not hold.
    """
    rng = random.Random(seed)
    laws = Laws(cast)
    fog = Fog(laws, seed)
    lies = Lies(fog, cast)
    fog.run(BEFORE_S)
    if rng.random() < 0.5:  # so that there are votes that accuse, and verdicts, to be forged
        laws.cheats.add(CHEAT)
        fog.cheat(CHEAT)
    injected = 0
    for _ in range(LYING_S):
        for _ in range(rng.randrange(2 * lies_a_second)):
            lies.tell(rng)
            injected += 1
            if rng.random() < 2.0 / lies_a_second:
                fog.run(rng.choice((0.01, 0.3, 1.0, 3.0)))
        if rng.random() < 0.1:
            fog.restart(rng.choice(sorted(fog.actors)))
        if rng.random() < 0.1:
            fog.kill(rng.choice(sorted(fog.actors)), rng.randrange(8))
        fog.run(1)
    for actor in fog.actors.values():
        laws.check(actor)
    if "manager" in cast:
        goes_on_without(fog)
    else:
        goes_on(fog, laws)
    for actor in fog.actors.values():
        laws.check(actor)
    rejected = sum(sum(actor.member.rejections.by_reason.values()) for actor in fog.actors.values())
    return Told(injected, rejected, dict(laws.faults), len(laws.verdicts))


class Lies:
    """Whoever has the keys of `cast`, and hears everything."""

    def __init__(self, fog: Fog, cast: tuple[str, ...]) -> None:
        self._fog, self._cast = fog, cast
        net = fog.net
        keys = {name: net.keys[name] for name in cast}
        self._forger = Forger(net.network, keys, net.sealed.trust().members)
        topics = net.sealed.topics()
        signers = [Signer(name, net.keys[name], net.network) for name in cast]
        self._provers = [one for one in signers if net.roles[one.name] in kinds.BY_NAME["fault"].roles]
        self._writes = [filter_ for name in cast for filter_ in may_write(net.roles[name], name, topics)]

    def tell(self, rng: random.Random, only: str | None = None) -> None:
        """Say something like what was said lately, where it was said or elsewhere, to all or to one (`only`)."""
        fog = self._fog
        if self._provers and rng.random() < 0.1:
            self._accuse(rng)
            return
        by_topic: dict[str, list[bytes]] = defaultdict(list)
        for topic, data in fog.heard:
            by_topic[topic].append(data)
        topics = sorted(by_topic)
        # What liars may say is worth more tries than what is refused for its sender.
        theirs = [topic for topic in topics if any(matches(one, topic) for one in self._writes)]
        topic = rng.choice(theirs if theirs and rng.random() < 0.6 else topics)
        data = rng.choice(by_topic[topic])
        others = [rng.choice(by_topic[rng.choice(topics)]) for _ in range(3)]
        if rng.random() < 0.9:
            data = self._forger.forged(rng, data, others, fog.now.wall_ms)
        if rng.random() < 0.15:
            topic = rng.choice(topics)
        elif self._cast and rng.random() < 0.5:
            topic = self._own(rng, topic)
        # Whoever sends a sample sends it to all: who keeps it from the manager alone is a broker that lies.
        if only is None and rng.random() < 0.2 and "/sample" not in topic:
            only = rng.choice(sorted(fog.actors))
        fog.say(topic, data, only)

    def _accuse(self, rng: random.Random) -> None:
        """Tell a fault, of what others and we have signed."""
        by_kind: dict[str, list[bytes]] = defaultdict(list)
        for _, data in self._fog.heard:
            by_kind[kind_of(data)].append(data)
        others = [rng.choice(envelopes) for envelopes in by_kind.values()]

        def forge(rng: random.Random, data: bytes) -> bytes:
            return self._forger.forged(rng, data, others, self._fog.now.wall_ms)

        liar = rng.choice(self._provers)
        fault = Prover(by_kind, forge, self._provers).fault(rng)
        if fault is not None:
            self._fog.say(self._fog.net.sealed.topics().fault(liar.name), liar.object(fault))

    def _own(self, rng: random.Random, topic: str) -> str:
        """The like topic of a liar."""
        head, _, last = topic.rpartition("/")
        if last == "sample":
            return f"{head.rpartition('/')[0]}/{rng.choice(self._cast)}/sample"
        return f"{head}/{rng.choice(self._cast)}" if last in self._fog.net.roles else topic


def goes_on(fog: Fog, laws: Laws) -> None:
    """Nothing has stopped that honest traffic should move: a cheat is caught and put back.

    Raises:
        Finding: it has.
    """
    if CHEAT in laws.cheats:
        fog.run(CAUGHT_S)  # convicted meanwhile or not, it has paid for that by then
    decided = len(laws.verdicts)
    laws.cheats.add(CHEAT)
    fog.cheat(CHEAT, 3.0)
    raised = fog.quotas[CHEAT]
    for _ in range(CAUGHT_S):
        fog.run(1)
        if fog.quotas[CHEAT] != raised and len(laws.verdicts) > decided:
            break
    else:
        raise Finding(f"{CHEAT} has been cheating for {CAUGHT_S} s, and nobody puts it back")
    for name, disk in fog.detectors():
        behind = fog.frame - _head(disk)
        if name not in laws.liars and (behind > 1 or _proof(disk)):
            raise Finding(f"{name} is {behind} frames behind an honest manager")


def goes_on_without(fog: Fog) -> None:
    """Where the manager lies, its log is followed, or a proof against it is at hand.

    Raises:
        Finding: a detector stands still.
    """
    frame, before = fog.frame, {name: _head(disk) for name, disk in fog.detectors()}
    fog.run(CAUGHT_S)
    for name, disk in fog.detectors():
        if fog.frame > frame and _head(disk) <= before[name] and not _proof(disk):
            raise Finding(
                f"{name} stands still at frame {_head(disk)} without a proof, the log is at {fog.frame}"
            )


def _head(disk: DetectorDisk) -> int:
    newest = disk.log.newest()
    return newest.number if newest else 0


def _proof(disk: DetectorDisk) -> bytes:
    memory = disk.memory()
    return memory.fault if memory else b""
