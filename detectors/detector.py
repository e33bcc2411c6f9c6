"""A detector: follows the log, has the core judge it, keeps before it tells, counts votes, watches the manager.

    frame -> in its place? (follower) -> lawful? (mint/frame_rules.py) -> its verdicts are verdicts? -> judged (core)
          -> kept -> the vote kept, then cast -> compared with the samples (watch)

It takes no frame that is not lawful, and judges no further where the manager was shown to lie (mint/fault.py), until
a charter of the operator says where the log goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from detectors.asking import Asker
from detectors.core import VOTE_EXPIRY_S, DetectorCore
from detectors.evidence import Shelf
from detectors.faults import Faults
from detectors.follower import HISTORY, Follower
from detectors.past import Past
from detectors.store import Cut, Memory, Storage
from detectors.verdicts import Verdicts
from detectors.watch import Found, Watch
from mint.answers import Answers
from mint.bus.options import Incoming, Overflow, Subscription
from mint.charter.model import Resume
from mint.effects import Effect, Keep, Now, Post
from mint.envelope import Envelope, Opened, ReplayGuard
from mint.errors import Reason, Rejected
from mint.fault_proofs import breaks_after, breaks_alone, check_note
from mint.frame_log import Kept
from mint.frames import LogFrame, open_frame, resumes
from mint.member import Member
from mint.messages.fault import Fault, FaultKind
from mint.messages.frame import FrameReply, FrameRequest
from mint.messages.judgement import Verdict, Vote
from mint.sign_bytes import Object, Stream
from mint.wire import decode

# Frames between two prunings of votes.
PRUNE_EVERY = 64
# Frames that come while one waits for a verdict it names; then it is told that nobody shows it.
SHOWN_WITHIN = 30


class Detector:
    """A `mint.component.Component`."""

    def __init__(self, member: Member, storage: Storage, now: Now) -> None:
        self._member, self._storage = member, storage
        memory = storage.memory()
        then = member.charters.get(bytes.fromhex(memory.state["charter"])) if memory else None
        self._charter = then or member.charter
        charter = self._charter.charter
        self._shelf = Shelf()
        self._core = DetectorCore(member.name, self._charter, member.signer, self._shelf)
        self._follower = Follower()
        self._vote = memory.vote if memory else b""
        if memory is not None:
            self._core.restore(memory.state)
            self._follower = Follower(memory.number, memory.head or None, begun=True)
            member.log.info("continuing after frame %d", memory.number)
        self._verdicts = Verdicts(member, self._shelf)
        self._watch = Watch(member.name, self._charter)
        self._faults = Faults(member, self._charter, memory.fault if memory else b"")
        self._asker = Asker(member.name, member.topics, charter)
        self._answers = Answers(member.name, storage.log, self._proofs)
        self._replies, self._requests = (ReplayGuard(charter.clock_tolerance_ms) for _ in range(2))
        self._past = Past(storage.log)
        # The newest frame that was heard of when the next one began to wait for a verdict that it names.
        self._waits_since: int | None = None
        self._now = now
        self._replay()

    # --- the component ---

    def subscriptions(self) -> Sequence[Subscription]:
        """Frames, samples, votes, verdicts, faults, requests, and what we asked for."""
        topics = self._member.topics
        return (
            Subscription(topics.charter(), limit=4),
            Subscription(topics.frame(), limit=256, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.frame_reply(self._member.name), limit=16),
            Subscription(topics.frame_request(), limit=64, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.sample("+"), limit=2048, qos=0),
            Subscription(topics.vote("+"), limit=1024, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.verdict("+", "+"), limit=256, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.fault("+"), limit=64, overflow=Overflow.DROP_NEWEST),
        )

    def connected(self, now: Now) -> list[Effect]:
        """Our last vote may not have been told; told twice it does no harm."""
        self._now = now
        again: list[Effect] = [self._vote_post(self._vote)] if self._vote else []
        return [*again, *self._adopt_charter(), *self._ask()]

    def receive(self, incoming: Incoming, now: Now) -> list[Effect]:
        """A message came."""
        self._now = now
        topics, topic = self._member.topics, incoming.topic
        if not incoming.payload:
            return []
        if topic == topics.frame():
            effects = self._counted(topic, lambda: self._frame(incoming.payload, topic))
        elif (device := topics.device_of_sample(topic)) is not None:
            # Kept unopened: a frame names by hash those it rests on, the others are forgotten.
            self._shelf.sample(device, incoming.payload)
            effects = self._tell_found(self._watch.sample(device, incoming.payload, now.monotonic_ns))
        else:
            effects = self._member.received(incoming, now, self._handle) + self._adopt_charter()
        return effects + self._ask()

    def due_ns(self) -> int:
        """When to ask again for what is missing."""
        missing = self._follower.due_ns()
        due = self._asker.due_ns()
        return due if missing is None else min(due, missing)

    def tick(self, now: Now) -> list[Effect]:
        """Ask for what is missing."""
        self._now = now
        return self._ask()

    # --- what comes in ---

    def _handle(self, opened: Opened) -> Iterable[Effect]:
        message = opened.message
        if isinstance(message, FrameReply):
            return self._reply(opened, message)
        if isinstance(message, FrameRequest):
            return self._answers.answer(opened, self._requests, self._member.topics, self._now)
        if isinstance(message, Vote):
            return self._count(opened, message)
        if isinstance(message, Verdict):
            self._verdicts.published(opened.data)
            return self._advance()
        if isinstance(message, Fault):
            return self._blame(lambda: self._faults.hear(opened, message))
        return ()

    def _counted(self, where: str, work: Callable[[], list[Effect]]) -> list[Effect]:
        try:
            return work()
        except Rejected as rejected:
            self._member.rejections.count(rejected, where)
            return []

    def _frame(self, data: bytes, topic: str | None) -> list[Effect]:
        """Take in a frame.

        Raises:
            Rejected: not by the manager of a charter that we know.
        """
        frame = open_frame(data, self._member.charters, topic=topic)
        early = self._follower.take(frame)
        if early is not None:
            return self._accuse("two_frames", frame.sender, frame.number, "", (early.data, frame.data))
        if frame.number <= self._follower.number and self._past.hash_at(frame.number) != frame.hash:
            ours = self._past.data_at(frame.number)
            return (
                self._accuse("two_frames", frame.sender, frame.number, "", (ours, frame.data)) if ours else []
            )
        return self._advance()

    def _reply(self, opened: Opened, reply: FrameReply) -> list[Effect]:
        body = opened.body
        if not isinstance(body, Stream):
            raise Rejected(Reason.WRONG_KIND, "not a reply")
        self._replies.check(body, self._now.wall_ms)
        self._replies.accept(body)
        incoming = body.topic
        for data in reply.proofs:
            self._keep_proof(data)
        known: list[bytes] = []
        first: int | None = None
        for data in reply.frames:
            try:
                frame = open_frame(data, self._member.charters)
            except Rejected as rejected:
                if rejected.reason is not Reason.UNKNOWN_CHARTER:
                    raise
                continue  # older than any charter that we know, or its charter is on its way
            first = frame.number if first is None else first
            known.append(data)
        if first is not None and not reply.proofs:
            self._follower.replied(reply.asked, first)
        effects: list[Effect] = []
        for data in known:
            effects += self._counted(incoming, partial(self._frame, data, None))
        effects += self._counted(incoming, lambda: self._shows(opened.sender, reply.newest))
        return [*effects, *self._verdicts.again(), *self._advance()]

    def _shows(self, holder: str, newest: bytes) -> list[Effect]:
        """A holder shows the newest frame it has."""
        if not newest:
            self._asker.heads.heard(holder, 0)
            return []
        frame = open_frame(newest, self._member.charters)
        self._asker.heads.heard(holder, frame.number)
        return self._frame(newest, None)

    def _keep_proof(self, data: bytes) -> None:
        """A sample or a verdict that we asked for; both are known by their hash, and checked where they are used."""
        body = decode(decode(data, Envelope).body, Stream | Object)  # type: ignore[arg-type] # a union is a type
        if body.kind == "sample":
            self._shelf.sample(body.sender, data)
        elif body.kind == "verdict":
            self._verdicts.keep(data)

    def _count(self, opened: Opened, vote: Vote) -> list[Effect]:
        other = self._verdicts.tally.other(opened)
        if other is not None:
            return self._accuse("two_votes", opened.sender, vote.frame, "", (other, opened.data))
        if opened.sender in self._faults.doubled:
            raise Rejected(Reason.REPLAYED, f"{opened.sender} has voted twice on a frame")
        effects: list[Effect] = [*self._verdicts.vote(opened, self._follower.number)]
        ours = self._past.recent(vote.frame)
        if ours not in (None, vote.frame_hash) and opened.sender != self._member.name:
            # It was shown another frame than we were: with that we can show who signed both.
            effects.append(self._asker.frame_of(opened.sender, vote.frame))
        return effects

    # --- the log ---

    def _advance(self) -> list[Effect]:
        """Judge the frames that are next, as far as they are lawful and what they name is here."""
        effects: list[Effect] = []
        while not self._faults.done and (frame := self._follower.next()) is not None:
            resume = frame.charter.charter.resume
            if resume is not None and self._begins_at(resume, frame):
                effects += self._rewind(resume)
            broken = self._broken(frame)
            if broken is not None:
                self._follower.refuse(frame)
                effects += broken
                break
            noted = self._noted(frame)
            if noted is None:
                break
            if noted:
                effects += noted
                break
            effects += self._judge(frame)
        return effects

    def _broken(self, frame: LogFrame) -> list[Effect] | None:
        """None where a frame is lawful and follows; else what is to be told, if it can be shown."""
        before = self._past.last
        if breaks_alone(frame):
            return self._accuse("bad_frame", frame.sender, frame.number, "", (frame.data,))
        if before is not None and self._follower.head == before.hash and breaks_after(before, frame):
            return self._accuse("bad_frame", frame.sender, frame.number, "", (before.data, frame.data))
        if not self._follower.follows(frame):
            where, what = self._member.topics.frame(), f"frame {frame.number} does not follow ours"
            self._member.rejections.count(Rejected(Reason.BAD_CHAIN, what), where)
            return []
        return None

    def _noted(self, frame: LogFrame) -> list[Effect] | None:
        """Nothing where every verdict that a frame names is one; None while one is not here; else the fault."""
        for decision in frame.frame.decisions:
            data = self._verdicts.envelope(decision.verdict)
            if data is None:
                return self._wait(frame, decision.miner)
            try:
                check_note(frame.frame, data, self._member.charters)
            except Rejected as rejected:
                if rejected.reason is Reason.UNKNOWN_CHARTER:
                    return self._wait(frame, decision.miner)
                return self._accuse("false_note", frame.sender, frame.number, "", (frame.data, data))
        self._waits_since = None
        return []

    def _wait(self, frame: LogFrame, miner: str) -> list[Effect] | None:
        if self._waits_since is None:
            self._waits_since = self._follower.newest
        if self._follower.newest - self._waits_since < SHOWN_WITHIN:
            return None
        self._waits_since = self._follower.newest
        return self._accuse("unseen", frame.sender, frame.number, miner, (frame.data,)) or None

    def _judge(self, frame: LogFrame) -> list[Effect]:
        may_vote = self._asker.heads.known and frame.number > self._asker.heads.head
        step = self._core.step(frame, self._follower.newest, may_vote=may_vote)
        self._passed(frame)
        effects: list[Effect] = [Keep(Kept(frame.number, frame.hash, frame.data))]
        if step.vote is not None:
            self._vote = step.vote
            effects += [Keep(self._memory()), self._vote_post(step.vote)]
        if frame.number % PRUNE_EVERY == 0:
            self._verdicts.prune(frame.number)
        return [*effects, *step.effects, *self._tell_found(self._watch.step(frame, self._shelf.envelope))]

    def _passed(self, frame: LogFrame) -> None:
        self._follower.judged(frame)
        self._past.passed(frame)

    def _replay(self) -> None:
        """Judge again what we have judged before and not remembered: from our own copy of the log, without a word."""
        newest = self._storage.log.newest()
        if newest is None:
            return
        first = max(self._follower.number + 1, newest.number - HISTORY + 1)
        if first > self._follower.number + 1:
            self._follower = Follower(first - 1, None, begun=True)
        while page := self._storage.log.frames(self._follower.number + 1, 64):
            for kept in page:
                self._again(kept)
        self._past.resume(newest, self._member.charters)

    def _again(self, kept: Kept) -> None:
        try:
            frame = open_frame(kept.data, self._member.charters)
        except Rejected:  # its charter is forgotten
            self._follower.rewind(kept.number, kept.hash)
            return
        self._core.step(frame, frame.number, may_vote=False)
        self._passed(frame)

    # --- charters ---

    def _adopt_charter(self) -> list[Effect]:
        """Go by a charter that has come."""
        before, after = self._charter, self._member.charter
        if before is after:
            return []
        self._charter = after
        charter = after.charter
        self._verdicts.tally.quorum = charter.quorum
        self._watch.take_charter(after)
        self._asker.take_charter(charter, anew=before.charter.manager != charter.manager)
        self._replies.take(charter.clock_tolerance_ms)
        self._requests.take(charter.clock_tolerance_ms)
        done = self._faults.done
        self._faults.take_charter(after)
        effects: list[Effect] = [] if self._faults.done == done else [Keep(self._memory())]
        resume = charter.resume if resumes(before.charter, charter) else None
        if resume is not None and self._follower.number > resume.frame:
            effects += self._rewind(resume)
        return effects + self._advance()

    def _begins_at(self, resume: Resume, frame: LogFrame) -> bool:
        """Whether the log goes on with this frame after one that is not ours."""
        here = frame.number == resume.frame + 1 and frame.frame.previous == resume.hash
        return here and self._follower.head not in (None, resume.hash)

    def _rewind(self, resume: Resume) -> list[Effect]:
        """What we have after the operator's frame is void: judge anew up to it, as far as it is in our log."""
        if self._past.hash_at(resume.frame) == resume.hash and self._follower.number == resume.frame:
            return []
        last_vote = self._core.last_vote
        self._core = DetectorCore(self._member.name, self._charter, self._member.signer, self._shelf)
        self._core.last_vote = last_vote
        self._past.forget()
        kept = self._storage.log.frames(max(1, resume.frame - HISTORY), HISTORY + 1)
        if any((one.number, one.hash) == (resume.frame, resume.hash) for one in kept):
            for one in kept:
                if one.number <= resume.frame:
                    self._again(one)
        self._follower.rewind(resume.frame, resume.hash)
        self._member.log.warning("the log goes on after frame %d, by the operator's word", resume.frame)
        return [Keep(Cut(resume.frame)), Keep(self._memory())]

    # --- faults ---

    def _tell_found(self, found: Iterable[Found]) -> list[Effect]:
        effects: list[Effect] = []
        manager = self._charter.charter.manager.name
        for one in found:
            accused = one.about if one.kind == "two_samples" else manager
            number = 0 if one.kind == "two_samples" else self._follower.number
            if one.kind in ("unseen", "false_frame"):
                number = open_frame(one.proof[0], self._member.charters).number
            effects += self._accuse(one.kind, accused, number, one.about, one.proof)
        return effects

    def _accuse(
        self, kind: FaultKind, accused: str, frame: int, about: str, proof: tuple[bytes, ...]
    ) -> list[Effect]:
        return self._blame(lambda: self._faults.accuse(kind, accused, frame, about, proof))

    def _blame(self, work: Callable[[], list[Effect]]) -> list[Effect]:
        """What is told of misconduct; where the manager is done by it, that is kept before."""
        done = self._faults.done
        told = work()
        return told if self._faults.done == done else [Keep(self._memory()), *told]

    # --- what we have, and what we miss ---

    def _ask(self) -> list[Effect]:
        lacking = self._verdicts.lacking()
        if self._waits_since is not None:
            lacking.add(self._follower.number + 1)
        unshown = self._watch.lacking()
        if unshown is not None:
            lacking.add(unshown)
        self._asker.want(lacking)
        effects: list[Effect] = [*self._asker.due(self._now, self._follower.number)]
        missing = None if self._faults.done else self._follower.missing(self._now.monotonic_ns)
        return effects if missing is None else [*effects, self._asker.frames(*missing)]

    def _proofs(self, kept: Kept) -> list[bytes]:
        """The samples and verdicts that a frame names, as far as they are here."""
        frame = open_frame(kept.data, self._member.charters).frame
        envelopes = [self._shelf.envelope(entry.leaf) for entry in frame.devices if entry.leaf]
        envelopes += [self._verdicts.envelope(decision.verdict) for decision in frame.decisions]
        return [data for data in envelopes if data is not None]

    def _memory(self) -> Memory:
        head = self._follower.head or b""
        return Memory(self._follower.number, head, self._core.state(), self._vote, self._faults.done)

    def _vote_post(self, vote: bytes) -> Post:
        return Post(self._member.topics.vote(self._member.name), vote, expiry_s=VOTE_EXPIRY_S)
