"""The twin manager between its bus, its disk and its clock: a `mint.component.Component`.

    learning (twin_broker/learning.py) -> frames, one a tick (twin_broker/core.py) -> done, once shown to have lied

Before its first frame it learns how far its log has come by the word of the detectors. Whatever it tells was kept
before. Where a proof of its own hand against it is shown (mint/fault.py), or another is the manager by a newer
charter, it closes no frame any more and still answers whoever asks for those that there are; a charter of the
operator that says where the log goes on has it begin again.
"""

from __future__ import annotations

from collections.abc import Sequence

from mint.answers import Answers, frame_request
from mint.bus.options import Incoming, Overflow, Subscription
from mint.charter.model import Resume
from mint.charter.seal import SealedCharter
from mint.component import NEVER_NS
from mint.effects import Effect, Keep, Now, Post
from mint.envelope import Opened, ReplayGuard
from mint.errors import Reason, Rejected
from mint.fault import OF_MANAGER, Shown, halts, verify_fault
from mint.frame_log import Kept
from mint.frames import NO_HASH, frame_in, resumes
from mint.member import Member
from mint.merkle import leaf_hash
from mint.messages.fault import Fault
from mint.messages.frame import FrameReply, FrameRequest
from mint.messages.judgement import Verdict
from mint.messages.receipt import Receipt
from mint.messages.sample import Sample
from mint.sign_bytes import Stream
from mint.verdict import verify_verdict
from twin_broker.core import TwinManager
from twin_broker.learning import Forked, Learning, Learnt
from twin_broker.storage import Append, Cut, Storage

# Samples may have waited in the agent's ring of 60 while the broker was away.
RING_PERIODS = 60


class Manager:
    """A `mint.component.Component`."""

    def __init__(self, member: Member, storage: Storage, now: Now) -> None:
        self._member, self._storage = member, storage
        self._sealed = member.charter
        self._samples, self._requests, self._replies = (ReplayGuard(0) for _ in range(3))
        self._core = TwinManager(self._sealed, member.signer, now.monotonic_ns)
        self._newest = storage.newest()
        if self._newest is not None:
            self._core.resume(frame_in(self._newest.data), self._newest.hash, storage.clocks())
            member.log.info("continuing after frame %d", self._newest.number)
        self._answers = Answers(member.name, storage, self._proofs)
        # What was shown of us.
        self._shown: Shown | None = None
        self._learning: Learning | None = None
        self._take_terms()
        self._tell_whose()
        # What could not be asked for here, and is with whatever is next.
        self._first = self._begin()

    # --- the component ---

    def subscriptions(self) -> Sequence[Subscription]:
        """Samples, verdicts, receipts, faults, requests for frames and answers to ours."""
        topics = self._member.topics
        return (
            Subscription(topics.charter(), limit=4),
            Subscription(topics.sample("+"), limit=4096),
            Subscription(topics.verdict("+", "+"), limit=1024, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.receipt("+"), limit=1024, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.fault("+"), limit=64, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.frame_request(), limit=64, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.frame_reply(self._member.name), limit=64, overflow=Overflow.DROP_NEWEST),
        )

    def connected(self, now: Now) -> list[Effect]:
        """The charter reaches those who come later from the broker; the newest frame may not have been told."""
        effects: list[Effect] = [*self._begun(), self._charter_post()]
        if self._newest is not None:
            effects.append(self._core.frame_post(self._newest.data))
        return effects + self._learn(now)

    def receive(self, incoming: Incoming, now: Now) -> list[Effect]:
        """A message came."""
        # A sample has to be valid under the charter that the frame will name which rests on it.
        trust = self._trust if self._member.topics.device_of_sample(incoming.topic) else None
        effects = self._begun()
        effects += self._member.received(incoming, now, lambda opened: self._handle(opened, now), trust)
        if self._adopts_at_once():
            effects += self._adopt()
        return effects

    def due_ns(self) -> int:
        """When the next frame closes, or who is to be asked for frames."""
        if self._first:
            return 0
        if self._done:
            return NEVER_NS
        return self._core.due_ns() if self._learning is None else self._learning.due_ns()

    def tick(self, now: Now) -> list[Effect]:
        """Close the next frame, or ask."""
        effects = self._begun()
        if self._done:
            return effects
        if self._learning is not None:
            return effects + self._learn(now)
        if now.monotonic_ns < self._core.due_ns():
            return effects
        closed = self._core.close(now.monotonic_ns, now.wall_ms)
        self._newest = Kept(closed.number, closed.hash, closed.data)
        return [*effects, Keep(closed.append), *closed.effects, *self._adopt()]

    # --- what comes ---

    def _handle(self, opened: Opened, now: Now) -> Sequence[Effect]:
        """Whatever came with a valid envelope.

        Raises:
            Rejected: it is not acceptable.
        """
        message = opened.message
        if isinstance(message, FrameRequest):
            return self._answers.answer(opened, self._requests, self._member.topics, now)
        if self._done:
            return ()
        if isinstance(message, Sample):
            return self._sample(opened, now)
        if isinstance(message, FrameReply):
            return self._reply(opened, message, now)
        if isinstance(message, Verdict):
            self._verdict(opened, message)
        elif isinstance(message, Receipt):
            self._core.receipt(opened.hash, message.miner, restored=message.action == "restore")
        elif isinstance(message, Fault):
            self._fault(message)
        return ()

    def _sample(self, opened: Opened, now: Now) -> Sequence[Effect]:
        body = _stream(opened)
        try:
            self._samples.check(body, now.wall_ms)
        except Rejected as rejected:
            # Sent again because our word that it is stored got lost: the core gives it once more.
            if rejected.reason is not Reason.REPLAYED:
                raise
        said = self._core.sample(opened, now.monotonic_ns)
        if said is not None:
            return (said,)
        self._samples.accept(body)
        return ()

    def _verdict(self, opened: Opened, verdict: Verdict) -> None:
        expected = self._core.next_offence(verdict.miner)
        if expected is not None and verdict.offence < expected:
            return  # noted already: its votes need not be checked again
        proven = verify_verdict(verdict, self._member.charters)
        kept = self._kept(proven.frame)
        if kept is not None and kept.hash != proven.frame_hash:
            raise Rejected(Reason.NOT_PROVEN, f"a verdict on another frame {proven.frame} than ours")
        self._core.verdict(opened.hash, opened.data, proven)

    def _proofs(self, kept: Kept) -> tuple[bytes, ...]:
        """What a frame names; after a broker's outage a ring of other samples came with it, too many for a reply."""
        leaves = {entry.leaf for entry in frame_in(kept.data).devices}
        samples = self._storage.samples(kept.number)
        named = tuple(sample for sample in samples if leaf_hash(sample) in leaves)
        return named + self._storage.verdicts(kept.number)

    def _kept(self, number: int) -> Kept | None:
        kept = self._storage.frames(number, 1)
        return kept[0] if kept and kept[0].number == number else None

    # --- how far the log has come ---

    def _begin(self) -> list[Effect]:
        """Go on from where the charter says, and learn what others have of it."""
        effects: list[Effect] = []
        wanted = resume = self._resume()
        if resume is not None:
            kept = self._kept(resume.frame)
            if resume.frame == 0:
                effects, wanted = self._go_on(None, resume), None
            elif kept is not None and kept.hash == resume.hash:
                effects, wanted = self._go_on(kept, resume), None
        charter = self._sealed.charter
        head = (self._core.number, self._core.head)
        self._learning = Learning(self._member, self._sealed, self._storage, head, wanted)
        self._member.log.info(
            "waits until %d of %s have shown their newest frame", charter.quorum, ", ".join(charter.detectors)
        )
        return effects

    def _resume(self) -> Resume | None:
        """The frame that the charter has the log go on from, where ours has not done so yet."""
        charter, newest = self._sealed.charter, self._core.frame
        then = None if newest is None else self._member.charters.get(newest.charter)
        return charter.resume if then is None or resumes(then.charter, charter) else None

    def _go_on(self, kept: Kept | None, resume: Resume) -> list[Effect]:
        """Go on from this frame of ours (None: from the very beginning); what comes after it is void."""
        frame = None if kept is None else frame_in(kept.data)
        self._core.resume(frame, NO_HASH if kept is None else kept.hash, self._core.clocks)
        if self._newest is not None and self._newest.number > resume.frame:
            self._member.log.warning("the log goes on after frame %d, by the operator's word", resume.frame)
        self._newest = kept
        return [Keep(Cut(resume.frame))]

    def _learn(self, now: Now) -> list[Effect]:
        """Ask whom there is to ask."""
        learning = self._learning
        if learning is None or self._done:
            return []
        skipped = self._take(learning.skip(now.monotonic_ns))
        asked = learning.ask(now.monotonic_ns)
        return [*skipped, *(frame_request(self._member.topics, request) for request in asked)]

    def _reply(self, opened: Opened, reply: FrameReply, now: Now) -> Sequence[Effect]:
        body = _stream(opened)
        self._replies.check(body, now.wall_ms)
        self._replies.accept(body)
        if self._learning is None:
            return ()
        try:
            return self._take(self._learning.reply(opened.sender, reply, now.monotonic_ns))
        except Forked as forked:
            self._halt(forked.shown)
            return ()

    def _take(self, learnt: Learnt | None) -> list[Effect]:
        """Keep frames that we did not have, and go on after them."""
        effects: list[Effect] = []
        if learnt is not None:
            if learnt.anew:
                effects.append(Keep(Cut(0)))
            effects.append(Keep(Append(learnt.frames, self._core.clocks)))
            self._newest = learnt.frames[-1].kept
            self._core.resume(frame_in(self._newest.data), self._newest.hash, self._core.clocks)
        if self._learning is not None and self._learning.done:
            self._learning = None
            self._member.log.info("the log has come to frame %d", self._core.number)
        return effects

    def _begun(self) -> list[Effect]:
        effects, self._first = self._first, []
        return effects

    # --- charters ---

    def _adopts_at_once(self) -> bool:
        """Whether the newest charter does not wait for the frame that is being made: there is none, or it is void."""
        after = self._member.charter
        if after is self._sealed:
            return False
        waits = self._learning is None and not self._done and self._is_ours(after)
        return not waits or resumes(self._sealed.charter, after.charter)

    def _adopt(self) -> list[Effect]:
        """Go by the newest charter, if we do not yet."""
        before, after, was_done = self._sealed, self._member.charter, self._done
        if before is after:
            return []
        self._sealed = after
        self._take_terms()
        self._tell_whose()
        self._core.take_charter(after)
        # We may have put an older one in its place when we started.
        effects: list[Effect] = [self._charter_post()]
        begins = self._learning is not None or was_done or resumes(before.charter, after.charter)
        if begins and not self._done:
            effects += self._begin()
        return effects

    def _take_terms(self) -> None:
        charter = self._sealed.charter
        tolerance_ms = charter.clock_tolerance_ms
        self._trust = self._sealed.trust()
        self._samples.take(tolerance_ms, tolerance_ms + RING_PERIODS * charter.period_ms)
        self._requests.take(tolerance_ms)
        self._replies.take(tolerance_ms)
        shown = self._shown is not None and halts(self._shown, self._sealed)
        self._done = shown or not self._is_ours(self._sealed)

    def _tell_whose(self) -> None:
        charter = self._sealed.charter
        if not self._is_ours(self._sealed):
            self._member.log.error(
                "another is the manager by charter version %d: no frame is closed here any more",
                charter.version,
            )

    def _charter_post(self) -> Post:
        return Post(self._member.topics.charter(), self._member.charter.data, retain=True)

    def _is_ours(self, sealed: SealedCharter) -> bool:
        """Whether we are the manager by this charter."""
        manager, signer = sealed.charter.manager, self._member.signer
        return (manager.name, manager.key) == (signer.name, signer.public)

    # --- what is shown of us ---

    def _fault(self, fault: Fault) -> None:
        if fault.accused != self._member.name or fault.kind not in OF_MANAGER:
            return  # of others: detectors see to that
        shown = verify_fault(fault, self._member.charters)
        if halts(shown, self._sealed):
            self._halt(shown)

    def _halt(self, shown: Shown) -> None:
        self._shown = shown
        self._take_terms()
        self._member.log.error(
            "shown at frame %d (%s): we have signed what no manager may; no frame is closed and no sample "
            "acknowledged any more, until a charter says from which frame the log goes on (docs/operations.md)",
            shown.frame,
            shown.kind,
        )


def _stream(opened: Opened) -> Stream:
    body = opened.body
    assert isinstance(body, Stream)  # noqa: S101 (the kind's table says so; this tells the type checker)
    return body
