"""What holds whatever anybody says: checked at every call of a component, and of everything that it tells.

- Nothing is raised, and one message costs no more than so many calls of functions.
- What is told opens under the charter, on its topic; nobody signs two things that contradict one another.
- Whoever keeps the rules is accused of nothing: no miner by a vote, no node by a proof.
- What a component remembers stays within stated limits.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from types import FrameType
from typing import Any

import msgspec

from detectors import core, detector, evidence, faults, follower, past, tally, verdicts
from enforcer.state import MAX_KNOWN
from mint.effects import Post, Say
from mint.envelope import Opened, open_envelope
from mint.errors import Rejected
from mint.fault import verify_fault
from mint.messages.fault import Fault
from mint.messages.frame import Frame
from mint.messages.judgement import Verdict, Vote
from mint.verdict import verify_verdict
from tests.fuzz.fog import Actor
from twin_broker import core as manager

# A frame judged takes some thousand calls; a reply may bring MAX_REPLY_FRAMES of them, and some wait already.
MOST_CALLS = 200_000
# One call in so many is counted: counting makes it several times as slow.
COUNTED_EVERY = 8

# What a table may hold at the most, by its name; whatever is not named here has a few entries a node or miner, of
# which a fog of the fuzzer has thirteen.
OTHERWISE = 64
DETECTORS, DEVICES = 4, 2
# Votes are kept for frames this far apart until they are pruned.
_VOTES = (tally.WINDOW + tally.AHEAD + detector.PRUNE_EVERY) * DETECTORS
# Of every device what the last frames rest on, and what the windows of accounts begin at: a few for each miner.
_SHELF = (evidence.RECENT + core.PRUNE_EVERY) * DEVICES + OTHERWISE
LIMITS = {
    "charters": 16,
    # detectors
    "_cast": _VOTES,
    "_votes": _VOTES,
    "_refs": _SHELF,
    "_frame_of": _SHELF,
    "_held": _SHELF,
    "_early": follower.MAX_EARLY,
    "_hashes": past.REMEMBERED + 1,
    "_kept": verdicts.MAX_KEPT,
    "_known": faults.MAX_KNOWN,
    "_claims": faults.MAX_CLAIMS,
    # the manager
    "_decisions": manager.MAX_WAITING,
    "_receipts": manager.MAX_WAITING,
    "_seen_receipts": manager.MAX_WAITING,
    # enforcers
    "known": MAX_KNOWN,
}


class Finding(AssertionError):
    """A law that did not hold."""


class Laws:
    """The laws of one fog; `liars` are those whose keys somebody else has too, `cheats` the miners that do cheat."""

    def __init__(self, liars: Collection[str] = ()) -> None:
        self.liars, self.cheats = frozenset(liars), set[str]()
        self.verdicts: list[Verdict] = []
        self.faults: Counter[str] = Counter()
        self._votes: dict[tuple[str, int], bytes] = {}
        self._frames: dict[int, bytes] = {}
        self._calls = 0

    # --- calls ---

    def call(self, actor: Actor, what: str, work: Callable[[], Sequence[object]]) -> Sequence[object]:
        """Call a component, on `what`; its answer.

        Raises:
            Finding: it raised something, or worked too long.
        """
        self._calls += 1
        counting = self._calls % COUNTED_EVERY == 0 and sys.getprofile() is None
        with_count = _Count() if counting else None
        try:
            if with_count is not None:
                sys.setprofile(with_count.event)
            return work()
        except Exception as error:
            raise Finding(f"{actor.name} raised {type(error).__name__} on {what}: {error}") from error
        finally:
            if with_count is not None:
                sys.setprofile(None)
                if with_count.calls > MOST_CALLS:
                    raise Finding(f"{actor.name} made {with_count.calls} calls on {what}")

    # --- what is told ---

    def told(self, actor: Actor, effect: Post | Say, data: bytes) -> None:
        """A component told something.

        Raises:
            Finding: it should not have.
        """
        net, topic = actor.fog.net, effect.topic
        if topic == actor.member.topics.charter():
            if data != net.sealed.data:
                raise Finding(f"{actor.name} told another charter than the operator's")
            return
        try:
            opened = open_envelope(data, net.sealed.trust(), topic=topic)
        except Rejected as rejected:
            raise Finding(f"{actor.name} told on {topic} what nobody takes: {rejected}") from rejected
        message = opened.message
        if opened.sender != actor.name:
            raise Finding(f"{actor.name} spoke as {opened.sender}")
        match message:
            case Vote():
                self._vote(actor, opened, message)
            case Frame():
                self._frame(actor, opened, message)
            case Verdict():
                self._verdict(actor, message)
            case Fault():
                self._fault(actor, message)
            case _:
                pass

    def _vote(self, actor: Actor, opened: Opened, vote: Vote) -> None:
        before = self._votes.setdefault((actor.name, vote.frame), opened.hash)
        if before != opened.hash:
            raise Finding(f"{actor.name} cast two votes on frame {vote.frame}")
        if "manager" in self.liars:
            return  # a frame may say anything of anybody, and only a verdict needs the samples
        devices = {miner.name: miner.device for miner in actor.fog.net.charter.miners}
        for accusation in vote.accusations:
            if accusation.miner not in self.cheats and devices[accusation.miner] not in self.liars:
                raise Finding(f"{actor.name} accuses {accusation.miner}, which is honest: {accusation}")

    def _frame(self, actor: Actor, opened: Opened, frame: Frame) -> None:
        before = self._frames.setdefault(frame.number, opened.hash)
        if before != opened.hash:
            raise Finding(f"{actor.name} signed two frames {frame.number}")

    def _verdict(self, actor: Actor, verdict: Verdict) -> None:
        sealed = actor.fog.net.sealed
        try:
            proven = verify_verdict(verdict, {sealed.hash: sealed})
        except Rejected as rejected:
            raise Finding(f"{actor.name} published what is no verdict: {rejected}") from rejected
        honest = proven.miner.name not in self.cheats and proven.miner.device not in self.liars
        if honest and (verdict.evidence != "ssa" or "manager" not in self.liars):
            raise Finding(f"{actor.name} published a verdict on {proven.miner.name}, which is honest")
        self.verdicts.append(verdict)

    def _fault(self, actor: Actor, fault: Fault) -> None:
        sealed = actor.fog.net.sealed
        try:
            shown = verify_fault(fault, {sealed.hash: sealed})
        except Rejected as rejected:
            raise Finding(f"{actor.name} told a fault that is none: {rejected}") from rejected
        self.faults[shown.kind] += 1
        if not shown.claim and shown.accused not in self.liars:
            raise Finding(f"{actor.name} shows a {shown.kind} of {shown.accused}, which is honest")

    # --- at any time ---

    def check(self, actor: Actor) -> None:
        """Nothing that a component remembers is beyond its limit.

        Raises:
            Finding: a table has grown.
        """
        for path, size in census(actor.part):
            limit = LIMITS.get(path.rpartition(".")[2], OTHERWISE)
            if size > limit:
                raise Finding(f"{actor.name} holds {size} in {path}, at most {limit}")


class _Count:
    """Calls of functions, counted by the interpreter."""

    def __init__(self) -> None:
        self.calls = 0

    def event(self, frame: FrameType, event: str, argument: object) -> None:
        self.calls += event in ("call", "c_call")


# Modules whose objects are looked into.
OURS = ("mint.", "detectors.", "twin_broker.", "enforcer.", "agents.")
# Not looked into: a disk is bounded elsewhere, and a member's log and charter are the test's.
APART = ("_storage", "_log", "log", "_table")


def census(part: object) -> Iterator[tuple[str, int]]:
    """Every table of a component with its path and its size, the largest of each path."""
    found: dict[str, int] = defaultdict(int)
    seen: set[int] = set()
    todo: deque[tuple[str, Any]] = deque([(type(part).__name__, part)])
    while todo:
        path, value = todo.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict | list | set | frozenset | deque | tuple):
            found[path] = max(found[path], len(value))
            items: Iterable[Any] = value.values() if isinstance(value, dict) else value
            todo.extend((path + "[]", item) for item in items)
        elif type(value).__module__.startswith(OURS) and not isinstance(value, msgspec.Struct):
            names: Iterable[str] = (
                getattr(value, "__dict__", None) or getattr(type(value), "__slots__", ()) or ()
            )
            todo.extend(
                (f"{path}.{name}", getattr(value, name))
                for name in names
                if name not in APART and hasattr(value, name)
            )
    yield from found.items()
