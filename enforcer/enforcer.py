"""The enforcer between its bus, its disk, its clock and its hands: messages and time in, looks to take out.

    receive, tick        ->  Look(miner)...      whoever has hands (service.py, or the simulator) then does, one by one:
                             Say(request)        and says this
    look(seen, now)      ->  Plan                seen: the miner as it is; what to do about it
    (the plan's steps are taken)
    done(plan, after, now)                       a plan whose steps failed is dropped: the next look makes another
    pending()            ->  Batch               to be on disk before any of its receipts is told
    stored(batch)

It goes on whatever is shown of others. A verdict carries its own proof, and a manager or a detector that is done
(mint/fault.py) proved nothing by signing other things: penalties in progress are paid, valid verdicts are carried
out, and an enforcer that stopped for a fault would be what a cheat hopes for. So it does not even listen to faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from enforcer.core import Core
from enforcer.missing import Missing
from enforcer.reconcile import Seen
from enforcer.state import Change, Plan, Saved
from mint.bus.options import Incoming, Overflow, Subscription
from mint.bus.quiet import Quiet
from mint.effects import Now, Say
from mint.envelope import Opened, ReplayGuard, kind_in, object_hash
from mint.errors import Reason, Rejected
from mint.fault_proofs import verdict_in
from mint.frame_rules import too_far
from mint.frames import LogFrame, check_time, is_void, open_frame
from mint.member import Member
from mint.messages.frame import FrameReply
from mint.messages.judgement import Verdict
from mint.sign_bytes import Stream
from mint.verdict import verify_verdict

# Open books are stored this often: what was used up to then is known even if cgroup and enforcer die together.
CHECKPOINT_PERIODS = 10
# Frames are opened this often while no penalty is open: only to see whether a verdict has passed us by.
COUNT_PERIODS = 10
# Verdicts kept for a charter that has not reached us yet: a few for each miner of a large device.
MAX_EARLY = 64
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Look:
    """This miner is to be looked at now."""

    miner: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be stored: a change, and its receipts signed, in their order."""

    change: Change
    receipts: tuple[bytes, ...]


class Enforcer:
    """One enforcer; the shape of a mint/component.Component, with looks where those have effects."""

    def __init__(self, member: Member, saved: Saved, now: Now, quiet: Quiet) -> None:
        """`saved`: what its memory holds."""
        self._member, self._quiet = member, quiet
        self._charter = member.charter
        self.core = Core(
            name=member.name,
            charter=member.charter.charter,
            frame_ns=now.monotonic_ns,
            states=saved.states,
            number=saved.number,
            frame=saved.frame,
        )
        self._since = self._known_since()
        self._missing = Missing(member.name, member.topics, self.core, quiet)
        self._replies = ReplayGuard(member.charter.charter.clock_tolerance_ms)
        self._count_ns = now.monotonic_ns
        self._newest: LogFrame | None = None
        self._early: dict[bytes, Verdict] = {}
        self._due_ns, self._periods = now.monotonic_ns, 0
        if self.core.open:
            member.log.info("continuing with penalties in progress")

    def subscriptions(self) -> Sequence[Subscription]:
        """What it listens to, from its start to its end."""
        topics = self._member.topics
        return (
            Subscription(topics.charter(), limit=4),
            Subscription(topics.frame(), limit=8),
            Subscription(topics.frame_reply(self._member.name), limit=16, overflow=Overflow.DROP_NEWEST),
            Subscription(topics.verdict("+", "+"), limit=1024, overflow=Overflow.DROP_NEWEST),
        )

    def connected(self, now: Now) -> Sequence[Look | Say]:
        """A connection stands: what is retained comes by itself, and receipts wait on disk until they are heard."""
        return ()

    def receive(self, incoming: Incoming, now: Now) -> Sequence[Look | Say]:
        """A message came; whom to look at because of it."""
        effects: list[Look | Say] = []
        if incoming.topic == self._member.topics.frame():
            self._frame(incoming, now)
            return effects

        def handled(opened: Opened) -> tuple[()]:
            if isinstance(opened.message, Verdict):
                effects.extend(self._judge(opened.message, opened.hash, now))
            elif isinstance(opened.message, FrameReply):
                effects.extend(self._reply(opened, opened.message, now))
            return ()

        self._member.received(incoming, now, handled)
        if self._charter is not self._member.charter:
            effects.extend(self._take_charter(now))
        return effects

    def due_ns(self) -> int:
        """When `tick` is due, on the monotonic clock."""
        return self._due_ns

    def tick(self, now: Now) -> Sequence[Look | Say]:
        """A period is over: every miner of ours is to be looked at, and what we lack to be asked for."""
        period_ns = self._charter.charter.period_ms * NS_PER_MS
        self._due_ns = max(self._due_ns + period_ns, now.monotonic_ns)
        if self._expired(now):
            return ()
        self._periods += 1
        if self._periods % CHECKPOINT_PERIODS == 0:
            self.core.checkpoint()
        return (*map(Look, self.core.miners), *self._missing.ask(now.monotonic_ns))

    # --- hands ---

    def keeps_books(self, miner: str) -> bool:
        """Whether a look at `miner` needs its counter."""
        return self.core.keeps_books(miner)

    def look(self, seen: Seen, now: Now) -> Plan | None:
        """What to do about a miner; None: it is no longer ours."""
        if seen.miner not in self.core.miners:
            return None
        return self.core.look(seen, now.monotonic_ns)

    def done(self, plan: Plan, after: Seen, now: Now) -> None:
        """The steps of `plan` were taken and left the miner as `after` shows."""
        self.core.done(plan, after, now.monotonic_ns, now.wall_ms)

    # --- the disk ---

    def pending(self) -> Batch | None:
        """What is to be stored; None: nothing."""
        change = self.core.pending()
        if change is None:
            return None
        return Batch(change, tuple(self._member.signer.object(receipt) for receipt in change.receipts))

    def stored(self, batch: Batch) -> None:
        """It is on disk, and may be told."""
        self.core.stored()
        for receipt in batch.change.receipts:
            self._member.log.info("%s %s: %s", receipt.action, receipt.miner, receipt.reason)

    # --- what comes in ---

    def _frame(self, incoming: Incoming, now: Now) -> None:
        """How far the log is matters to penalties, and its count of offences now and then."""
        if not incoming.payload or (now.monotonic_ns < self._count_ns and not self.core.open):
            return
        try:
            frame = open_frame(incoming.payload, self._member.charters, topic=incoming.topic)
            self._check(frame, now)
        except Rejected as rejected:
            self._member.rejections.count(rejected, incoming.topic)
            return
        self._newest = frame
        self.core.see_frame(frame.number, now.monotonic_ns)
        if self._count_ns <= now.monotonic_ns:
            charter = self._charter.charter
            self._count_ns = now.monotonic_ns + COUNT_PERIODS * charter.period_ms * NS_PER_MS
            self._see(frame, now, live=True)

    def _check(self, frame: LogFrame, now: Now) -> None:
        """Penalties last to a frame number, and a manager that lies must not have them end before their time.

        Raises:
            Rejected: it is of a time to come, or too far from the last one that we saw.
        """
        check_time(frame, now.wall_ms, self._charter.charter)
        last = self._newest
        if last is None or is_void(last, self._charter.charter) or frame.number <= last.number:
            return
        if too_far(last.frame, frame.frame, frame.charter.charter):
            raise Rejected(Reason.IMPOSSIBLE, f"frame {frame.number} so soon after frame {last.number}")

    def _see(self, frame: LogFrame, now: Now, *, live: bool) -> None:
        if not is_void(frame, self._charter.charter):
            self._missing.see(frame.number, frame.frame.miners, now.monotonic_ns, live=live)

    def _reply(self, opened: Opened, reply: FrameReply, now: Now) -> list[Look]:
        """What we asked for: the verdicts that a frame names, and where the one before was noted."""
        body = opened.body
        if not isinstance(body, Stream):
            raise Rejected(Reason.WRONG_KIND, "not a reply")
        self._replies.check(body, now.wall_ms)
        self._replies.accept(body)
        looks: list[Look] = []
        for data in (*reply.proofs, *reply.frames):
            try:
                kind = kind_in(data)
                if kind == "verdict":
                    looks += self._judge(verdict_in(data), object_hash(data), now)
                elif kind == "frame":
                    self._see(open_frame(data, self._member.charters), now, live=False)
            except Rejected as rejected:
                self._member.rejections.count(rejected, body.topic)
        return looks

    def _judge(self, verdict: Verdict, verdict_hash: bytes, now: Now) -> list[Look]:
        core = self.core
        if core.knows(verdict.miner, verdict.offence):
            return []  # before the dearer check: a verdict has as many certificates as publishers, and is retained
        sealed = self._member.charters.get(verdict.charter)
        if sealed is None:
            self._keep(verdict, verdict_hash)
            raise Rejected(Reason.UNKNOWN_CHARTER, f"verdict under charter {verdict.charter.hex()[:12]}")
        if verdict.miner not in core.miners:
            return []
        if sealed.charter.version < self._since[verdict.miner]:
            raise Rejected(
                Reason.OLD_CHARTER, f"the {verdict.miner} of that verdict has left the charter since"
            )
        if self._expired(now):
            self._keep(verdict, verdict_hash)
            return []
        proven = verify_verdict(verdict, self._member.charters)
        if not core.accept(verdict_hash, proven, now.monotonic_ns):
            return []
        self._member.log.info("verdict on %s, offence %d", verdict.miner, proven.offence)
        return [Look(verdict.miner)]

    def _keep(self, verdict: Verdict, verdict_hash: bytes) -> None:
        """Judge it again when a charter comes."""
        self._early[verdict_hash] = verdict
        while len(self._early) > MAX_EARLY:
            del self._early[next(iter(self._early))]

    def _take_charter(self, now: Now) -> list[Look]:
        self._charter = self._member.charter
        self._since = self._known_since()
        self.core.take_charter(self._charter.charter)
        self._missing.take_charter(self._charter.charter)
        self._replies.take(self._charter.charter.clock_tolerance_ms)
        if not self.core.miners:
            self._member.log.warning("charter version %d gives us no miners", self._charter.charter.version)
        early, self._early = self._early, {}
        looks: list[Look] = []
        for verdict_hash, verdict in early.items():
            try:
                looks.extend(self._judge(verdict, verdict_hash, now))
            except Rejected as rejected:
                self._member.rejections.count(rejected, "a verdict that came before its charter")
        return looks

    def _known_since(self) -> dict[str, int]:
        """The oldest charter version that each miner has been in without a break: verdicts before are not on it.

        The broker retains verdicts, on a miner that left the charter too, and its name may be another's by now.
        """
        since: dict[str, int] = {}
        staying = {miner.name for miner in self._charter.charter.miners}
        for sealed in sorted(self._member.charters.values(), key=lambda one: -one.charter.version):
            staying &= {miner.name for miner in sealed.charter.miners}
            since |= dict.fromkeys(staying, sealed.charter.version)
        return since

    def _expired(self, now: Now) -> bool:
        if now.wall_ms < self._charter.charter.expires_ms:
            return False
        self._quiet.warning("expired", "the charter has expired: nothing is enforced until a new one comes")
        return True
