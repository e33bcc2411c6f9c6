"""A detector: follows the log, has the core judge it, keeps before it tells, counts votes, watches the manager.

    frame -> in its place? (follower) -> lawful? (mint/frame_rules.py) -> its verdicts are verdicts? (notes) -> judged
          -> kept -> the vote kept, then cast -> compared with the samples (watch)

It takes no frame that is not lawful, and judges no further where the manager was shown to lie (mint/fault.py), until
a charter of the operator says where the log goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from detectors.asking import Asker
from detectors.batches import Batches
from detectors.core import VOTE_EXPIRY_S
from detectors.course import Course
from detectors.evidence import Shelf
from detectors.faults import Faults, Found
from detectors.notes import Notes
from detectors.store import Storage
from detectors.verdicts import Verdicts
from detectors.watch import Watch
from mint.answers import Answers
from mint.bus.options import Incoming, Overflow, Subscription
from mint.effects import Effect, Keep, Now, Post
from mint.envelope import Opened, ReplayGuard, kind_in
from mint.errors import Reason, Rejected
from mint.fault_proofs import breaks_after, breaks_alone
from mint.frame_log import Kept
from mint.frames import LogFrame, check_time, frame_in, is_void, open_frame
from mint.member import Member
from mint.merkle import leaf_hash
from mint.messages.chain import ShareBatch
from mint.messages.fault import Fault
from mint.messages.frame import MAX_REPLY_FRAMES, FrameReply, FrameRequest
from mint.messages.judgement import Verdict, Vote
from mint.sign_bytes import Stream

# Frames between two prunings of votes.
PRUNE_EVERY = 64


class Detector:
    """A `mint.component.Component`."""

    def __init__(self, member: Member, storage: Storage, now: Now) -> None:
        self._member, self._charter, self._now = member, member.charter, now
        charter = self._charter.charter
        memory = storage.memory()
        self._shelf = Shelf()
        self._course = Course(member, storage.log, self._shelf, memory)
        self._vote = memory.vote if memory else b""
        self._verdicts = Verdicts(member, self._shelf)
        self._notes = Notes(member, self._verdicts, self._course.past)
        self._watch = Watch(member.name, self._charter)
        self._batches = Batches(charter)
        self._faults = Faults(member, self._charter, memory.fault if memory else b"")
        self._asker = Asker(member.name, member.topics, charter)
        self._answers = Answers(member.name, storage.log, self._proofs)
        self._replies, self._requests = (ReplayGuard(charter.clock_tolerance_ms) for _ in range(2))
        # The newest frame there was when we learnt how far the log has come: we vote on later ones.
        self._votes_after: int | None = None
        # Whether holders have shown frames that we cannot open, of the gap that we are at.
        self._unopened = False
        self._first: list[Effect] = [*self._course.begins, *self._obey()]

    # --- the component ---

    def subscriptions(self) -> Sequence[Subscription]:
        """Frames, samples, votes, verdicts, faults, shares, requests, and what we asked for."""
        topics = self._member.topics
        return (
            Subscription(topics.charter(), limit=4),
            Subscription(topics.frame(), limit=256, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.frame_reply(self._member.name), limit=16),
            Subscription(topics.frame_request(), limit=64, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.sample("+"), limit=2048, qos=0),
            Subscription(topics.share("+"), limit=1024, qos=0),
            Subscription(topics.vote("+"), limit=1024, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.verdict("+", "+"), limit=256, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.fault("+"), limit=64, overflow=Overflow.DROP_NEWEST),
        )

    def connected(self, now: Now) -> list[Effect]:
        """Our last vote may not have been told; told twice it does no harm. And we may have missed anything."""
        self._now = now
        self._asker.connected()
        self._notes.connected()
        self._watch.connected(now.monotonic_ns)
        again: list[Effect] = [self._vote_post(self._vote)] if self._vote else []
        return [*self._begun(), *again, *self._ask()]

    def receive(self, incoming: Incoming, now: Now) -> list[Effect]:
        """A message came."""
        self._now = now
        topics, topic, data = self._member.topics, incoming.topic, incoming.payload
        effects = self._begun()
        if topic == topics.frame() and data:
            effects += self._counted(topic, lambda: self._frame(data, topic))
        elif (device := topics.device_of_sample(topic)) is not None:
            # Kept unopened: a frame names by hash those it rests on, the others are forgotten.
            self._shelf.sample(device, data)
            return effects + self._tell(self._watch.sample(device, data, now, live=self._live))
        else:
            effects += self._member.received(incoming, now, self._handle)
            effects += self._adopt_charter()
        return effects + self._ask()

    def due_ns(self) -> int:
        """When to ask again for what is missing."""
        return 0 if self._first else self._asker.due_ns()

    def tick(self, now: Now) -> list[Effect]:
        """Ask for what is missing."""
        self._now = now
        return [*self._begun(), *self._ask()]

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
        if isinstance(message, ShareBatch):
            self._batches.heard(opened, message, self._course.follower.newest)
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
        check_time(frame, self._now.wall_ms, self._charter.charter)
        return [] if is_void(frame, self._charter.charter) else [*self._take(frame), *self._advance()]

    def _take(self, frame: LogFrame) -> list[Effect]:
        last = self._course.past.last
        if last is not None and last.number + 1 < frame.number and breaks_after(last, frame):
            return self._tell([Found("bad_frame", frame.sender, frame.number, "", (last.data, frame.data))])
        other = self._course.other(frame)
        if other is None:
            early = self._course.follower.take(frame)
            other = None if early is None else early.data
        if other is None:
            return []
        return self._tell([Found("two_frames", frame.sender, frame.number, "", (other, frame.data))])

    def _reply(self, opened: Opened, reply: FrameReply) -> list[Effect]:
        body = opened.body
        if not isinstance(body, Stream):
            raise Rejected(Reason.WRONG_KIND, "not a reply")
        self._replies.check(body, self._now.wall_ms)
        self._replies.accept(body)
        self._asker.replied(opened.sender, reply.asked)
        effects: list[Effect] = []
        for data in reply.proofs:
            effects += self._counted(body.topic, lambda data=data: self._keep_proof(data))  # type: ignore[misc] # a default is no second argument
        for data in reply.frames:
            effects += self._counted(body.topic, lambda data=data: self._shown(data, reply.asked))  # type: ignore[misc] # as above
        effects += self._counted(body.topic, lambda: self._newest(opened.sender, reply.newest))
        return [*effects, *self._verdicts.again(), *self._advance()]

    def _shown(self, data: bytes, asked: int) -> list[Effect]:
        """One of the frames that we asked for; some are older than any charter that we know."""
        try:
            return self._frame(data, None)
        except Rejected as rejected:
            self._unopened |= asked == self._course.follower.number + 1
            if rejected.reason is not Reason.UNKNOWN_CHARTER:
                raise
            return []

    def _newest(self, holder: str, data: bytes) -> list[Effect]:
        """A holder shows the newest frame it has."""
        number = 0
        effects: list[Effect] = []
        if data:
            number, effects = frame_in(data).number, self._frame(data, None)
        heads, follower = self._asker.heads, self._course.follower
        heads.heard(holder, number)
        if heads.known:
            self._votes_after = heads.head if self._votes_after is None else self._votes_after
            if not follower.begun:
                follower.begin(heads.head)
        return effects

    def _keep_proof(self, data: bytes) -> list[Effect]:
        """A sample or a verdict that we asked for; both are known by their hash, and checked where they are used."""
        kind = kind_in(data)
        if kind == "sample":
            self._shelf.shown(leaf_hash(data), data)
        elif kind == "verdict":
            self._verdicts.keep(data)
        return []

    def _count(self, opened: Opened, vote: Vote) -> list[Effect]:
        if opened.sender in self._faults.doubled:
            raise Rejected(Reason.REPLAYED, f"{opened.sender} has voted twice on a frame")
        other = self._verdicts.tally.other(opened)
        if other is not None:
            return self._tell([Found("two_votes", opened.sender, vote.frame, "", (other, opened.data))])
        effects: list[Effect] = [*self._verdicts.vote(opened, self._course.follower.number)]
        ours = self._course.past.recent(vote.frame)
        if ours not in (None, vote.frame_hash) and opened.sender != self._member.name:
            # It was shown another frame than we were: with that we can show who signed both.
            effects.append(self._asker.frame_of(opened.sender, vote.frame))
        return effects

    # --- the log ---

    @property
    def _live(self) -> bool:
        """Whether we have judged every frame that there is, as far as anybody can know."""
        heads, follower = self._asker.heads, self._course.follower
        return heads.known and follower.newest == follower.number >= heads.head and not self._faults.done

    def _advance(self) -> list[Effect]:
        """Judge the frames that are next, as far as they are lawful and what they name is here."""
        effects: list[Effect] = []
        follower, resume = self._course.follower, self._charter.charter.resume
        while not self._faults.done and (frame := follower.next()) is not None:
            broken = self._broken(frame)
            if broken is not None and resume is not None and self._course.behind(resume):
                effects += self._rewind()  # whatever is wrong before that frame, the operator has seen it
                continue
            if broken is not None:
                follower.refuse(frame)
                return effects + self._tell(broken)
            found = self._notes.check(frame, follower.newest, self._now.monotonic_ns)
            if found is not None:
                return effects + self._tell(found)
            effects += self._judge(frame)
        return effects

    def _broken(self, frame: LogFrame) -> list[Found] | None:
        """None where a frame is lawful and follows; else what is to be told, if it can be shown."""
        follower, before = self._course.follower, self._course.past.last
        if breaks_alone(frame):
            return [Found("bad_frame", frame.sender, frame.number, "", (frame.data,))]
        if before is not None and follower.head == before.hash and breaks_after(before, frame):
            return [Found("bad_frame", frame.sender, frame.number, "", (before.data, frame.data))]
        if not follower.follows(frame):
            where, what = self._member.topics.frame(), f"frame {frame.number} does not follow ours"
            self._member.rejections.count(Rejected(Reason.BAD_CHAIN, what), where)
            return []
        return None

    def _judge(self, frame: LogFrame) -> list[Effect]:
        may_vote = self._votes_after is not None and frame.number > self._votes_after
        step = self._course.step(frame, self._batches.uncounted(), may_vote=may_vote)
        effects: list[Effect] = [Keep(Kept(frame.number, frame.hash, frame.data))]
        if step.vote is not None:
            self._vote = step.vote
            effects += [Keep(self._memory()), self._vote_post(step.vote)]
        if frame.number % PRUNE_EVERY == 0:
            self._verdicts.prune(frame.number)
        self._unopened = False
        newest, now_ns = self._course.follower.newest, self._now.monotonic_ns
        return [
            *effects,
            *step.effects,
            *self._tell(self._watch.step(frame, newest, now_ns, self._shelf.envelope)),
            *self._tell(self._batches.step(frame, self._shelf.envelope)),
        ]

    # --- charters ---

    def _adopt_charter(self) -> list[Effect]:
        """Go by a charter that has come."""
        after = self._member.charter
        if self._charter is after:
            return []
        self._charter = after
        charter = after.charter
        self._verdicts.tally.quorum = charter.quorum
        self._watch.take_charter(after)
        self._batches.take_charter(charter)
        self._asker.take_charter(charter)
        self._replies.take(charter.clock_tolerance_ms)
        self._requests.take(charter.clock_tolerance_ms)
        self._faults.take_charter(after)
        return [*self._obey(), *self._advance()]

    def _obey(self) -> list[Effect]:
        """Where the charter has the log go on from before what we have: go back there."""
        charter = self._charter.charter
        self._course.follower.forget(lambda frame: is_void(frame, charter))
        return self._rewind() if self._course.astray(self._charter) else []

    def _rewind(self) -> list[Effect]:
        resume = self._charter.charter.resume
        assert resume is not None  # noqa: S101 (who calls this has looked)
        self._notes.connected()
        cut = self._course.rewind(resume, self._charter)
        return [Keep(self._memory()), Keep(cut)]

    def _begun(self) -> list[Effect]:
        """What could not be asked for when we were made, and is with whatever is next."""
        first, self._first = self._first, []
        return first

    # --- faults ---

    def _tell(self, found: Iterable[Found]) -> list[Effect]:
        effects: list[Effect] = []
        for one in found:
            effects += self._blame(lambda one=one: self._faults.tell(one))  # type: ignore[misc] # as above
        return effects

    def _blame(self, work: Callable[[], list[Post]]) -> list[Effect]:
        """What is told of misconduct; where the manager is done by it, that is kept before."""
        done, doubled = self._faults.done, set(self._faults.doubled)
        told = work()
        for detector in self._faults.doubled - doubled:
            self._verdicts.tally.drop(detector)
        return [*told] if self._faults.done == done else [Keep(self._memory()), *told]

    # --- what we have, and what we miss ---

    def _ask(self) -> list[Effect]:
        """Ask for what is missing; go on without what nobody has."""
        follower, asker = self._course.follower, self._asker
        missing = None if self._faults.done else follower.missing()
        asker.want_frames(missing)
        # Frames under charters that we never had are there, but not for us: those after them may be.
        most = MAX_REPLY_FRAMES if self._unopened else follower.newest
        if missing is not None and asker.in_vain(self._now.monotonic_ns) and follower.skip(most):
            self._member.log.warning("going on after frame %d: nobody shows the next", follower.number)
            self._unopened = False
            return [*self._advance(), *self._ask()]
        lacking = self._verdicts.lacking() | self._watch.lacking()
        if self._notes.waits_for is not None:
            lacking.add(self._notes.waits_for)
        asker.want_proofs(lacking)
        return [*asker.due(self._now)]

    def _proofs(self, kept: Kept) -> list[bytes]:
        """The samples and verdicts that a frame names, as far as they are here."""
        frame = frame_in(kept.data)
        envelopes = [self._shelf.envelope(entry.leaf) for entry in frame.devices if entry.leaf]
        envelopes += [self._verdicts.envelope(decision.verdict) for decision in frame.decisions]
        return [data for data in envelopes if data is not None]

    def _memory(self) -> object:
        return self._course.memory(self._vote, self._faults.done)

    def _vote_post(self, vote: bytes) -> Post:
        return Post(self._member.topics.vote(self._member.name), vote, expiry_s=VOTE_EXPIRY_S)
