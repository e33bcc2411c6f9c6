"""The enforcer's state machine: verdicts, frames and looks at miners in; steps and receipts out. No I/O, no clock.

A miner goes through one cycle:

    look(seen) -> Plan        what it should have, the steps to that, what to say of it; nothing has changed yet
    (the steps are taken)     by the service, on the miner's hold
    done(plan, after)         only now the plan is what is; a plan whose steps failed is made anew next time

so a crash between any two of these leaves either the old state or the new one, and the next look goes on from
there: a verdict that was not stored yet is retained by the broker and comes again.

What a miner should have:

- no verdict: what it has. A difference from its entitlement is drift: told, once a distinct drift, and left as
  it is (unless the charter says `always_reconcile`).
- a verdict that the charter lets us carry out: the quota of its rung (the n-th offence is on the n-th), until the
  books balance (ledger.py) and the frame number that the penalty lasts to is reached; then its entitlement.
- use that does not fall although we keep the quota right (someone refills the bucket, or raises the quota
  between our looks): half the quota, again and again, then a pause until the books balance.
- a verdict under a hold, a pardon or `observe`: hands off, after undoing what we had done already.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from enforcer.ledger import Case, Count
from enforcer.reconcile import Seen, Wish, described, entitled, least, lowered, steps
from enforcer.state import MAX_CASES, MAX_KNOWN, Change, MinerState, Note, Plan
from mint.charter.model import Charter, Miner
from mint.messages.receipt import Receipt
from mint.verdict import Proven

# Use that has not fallen over this many periods under a low quota is more than the kernel's slack explains.
STUCK_PERIODS = 3
# Frames later than this many periods have stopped; from then on our own clock counts them.
PATIENCE_PERIODS = 5
# Drift and repeated corrections are told at most once in this many periods a miner: who flips a quota to and
# fro must not fill the log.
QUIET_PERIODS = 10
# Receipts that wait to be stored: more than all miners of a device can bring about while a disk is full.
MAX_RECEIPTS = 256
# Text in a receipt (mint.wire.Text).
MAX_REASON = 240
PARDON = "pardoned by the charter"
NS_PER_MS = 1_000_000


@dataclass(slots=True)
class Core:
    """One enforcer: the miners of its devices, under one charter at a time.

    `number` counts receipts (the last one made), `frame` is the highest frame number seen, at `frame_ns` of
    the monotonic clock.
    """

    name: str
    charter: Charter
    frame_ns: int
    states: dict[str, MinerState] = field(default_factory=dict)
    number: int = 0
    frame: int = 0
    miners: dict[str, Miner] = field(init=False)
    _pardons: frozenset[tuple[str, int]] = field(init=False)
    _period_ns: int = field(init=False)
    _dirty: set[str] = field(default_factory=set)
    _forgotten: set[str] = field(default_factory=set)
    _receipts: deque[Receipt] = field(default_factory=lambda: deque(maxlen=MAX_RECEIPTS))
    _watch: dict[str, tuple[int, int]] = field(default_factory=dict)
    _told_ns: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.take_charter(self.charter)

    def take_charter(self, charter: Charter) -> None:
        """Go by this charter from now on.

        Of a miner that is no longer in it nothing is known but penalties in progress: its name may be given to
        another one, whose offences count from 1.
        """
        self.charter = charter
        self.miners = {
            miner.name: miner
            for node in charter.nodes
            if node.name == self.name
            for device in node.devices
            for miner in charter.miners_on(device)
        }
        self._pardons = frozenset((pardon.miner, pardon.offence) for pardon in charter.pardons)
        self._period_ns = charter.period_ms * 1_000_000
        for name in self.states.keys() - charter.miners_by_name().keys():
            self._forget(name)

    def _forget(self, name: str) -> None:
        state = self.states[name]
        if state.cases:
            self.states[name] = replace(state, known=(), settled=0, counted=False)
            self._dirty.add(name)
        else:
            del self.states[name]
            self._dirty.discard(name)
            self._forgotten.add(name)

    # --- frames and verdicts ---

    def see_frame(self, number: int, now_ns: int) -> None:
        """A signed frame of this number was seen."""
        if number > self.frame:
            self.frame, self.frame_ns = number, now_ns

    def frame_at(self, now_ns: int) -> int:
        """The frame number that penalties are measured by: the highest seen, counted on if frames stopped."""
        late = (now_ns - self.frame_ns) // self._period_ns
        return self.frame + late if late > PATIENCE_PERIODS else self.frame

    def knows(self, miner: str, offence: int) -> bool:
        """Whether this offence has been taken up already."""
        state = self.states.get(miner, MinerState())
        return offence <= state.settled or offence in state.known

    def count(self, miner: str, offences: int) -> None:
        """The log counts so many decisions on a miner of ours.

        The first such word about a miner, whose past is not ours to punish: those before its last are settled.
        """
        state = self.states.get(miner, MinerState())
        if not state.counted:
            settled, known = _taken_up(state, up_to=offences - 1)
            self.states[miner] = replace(state, settled=settled, known=known, counted=True)
            self._dirty.add(miner)
            self._forgotten.discard(miner)

    def lacks(self, miner: str, offences: int) -> bool:
        """Whether of so many offences there is one that was not taken up."""
        return self.states.get(miner, MinerState()).settled < offences

    def accept(self, verdict: bytes, proven: Proven, now_ns: int) -> bool:
        """Take up a verified verdict (with its hash); False when nothing is new about it. A look is due then."""
        miner = proven.miner.name
        if miner not in self.miners or self.knows(miner, proven.offence):
            return False
        self.see_frame(proven.frame, now_ns)
        state = self.states.get(miner, MinerState())
        settled, known = _taken_up(state, proven.offence)
        cases = sorted((*state.cases, Case.opened(verdict, proven)), key=lambda case: case.offence)
        if len(cases) > MAX_CASES:
            last, kept = cases.pop(), cases[-1]
            cases[-1] = replace(kept, share_ppm=last.share_ppm, until=max(last.until, kept.until))
        self.states[miner] = replace(state, known=known, settled=settled, cases=tuple(cases))
        self._dirty.add(miner)
        self._forgotten.discard(miner)
        return True

    # --- miners ---

    def keeps_books(self, miner: str) -> bool:
        """Whether a look at `miner` needs its counter."""
        return bool(self.states.get(miner, MinerState()).cases)

    @property
    def open(self) -> bool:
        """Whether any penalty is open, so that frame numbers matter."""
        return any(self.keeps_books(miner) for miner in self.miners)

    def look(self, seen: Seen, now_ns: int) -> Plan:
        """What to do about a miner of ours, seen at `now_ns`."""
        base = self.states.get(seen.miner)
        return dataclasses.replace(self._plan(seen, base or MinerState(), now_ns), base=base)

    def _plan(self, seen: Seen, state: MinerState, now_ns: int) -> Plan:
        miner = self.miners[seen.miner]
        if seen.count is not None:
            rolled = (case.at(seen.count, miner.entitlement.cpu_ppm) for case in state.cases)
            state = replace(state, cases=tuple(rolled))
        if not state.cases:
            return self._unjudged(miner, state, seen, now_ns)
        frame = self.frame_at(now_ns)
        due = tuple(case for case in state.cases if (miner.name, case.offence) not in self._pardons)
        if all(case.over(frame) for case in due):
            return self._ended(miner, state, due, seen)
        pardoned, state = _pardoned(state.cases, due), replace(state, cases=due)
        if not self.charter.enforces(miner):
            return self._withheld(miner, state, pardoned, seen, now_ns)
        return self._imposed(miner, state, pardoned, seen, now_ns)

    def done(self, plan: Plan, after: Seen, now_ns: int, time_ms: int) -> None:
        """The steps of `plan` were taken and left the miner as `after` shows; `time_ms`: Unix time.

        Where a verdict on the miner was accepted since, the plan is void: the next look makes another.
        """
        name = plan.seen.miner
        if self.states.get(name) is not plan.base:
            return
        old = plan.base or MinerState()
        self.states[name] = plan.state
        if plan.watch is None:
            self._watch.pop(name, None)
        else:
            self._watch[name] = plan.watch
        if plan.notes:
            self._told_ns[name] = now_ns
        for note in plan.notes:
            self.number += 1
            self._receipts.append(self._receipt(note, plan.seen, after, time_ms))
        if plan.notes or _segments(old) != _segments(plan.state):
            self._dirty.add(name)

    # --- the disk ---

    def checkpoint(self) -> None:
        """Have open books stored as they stand: what a restart would otherwise not know."""
        self._dirty.update(name for name, state in self.states.items() if state.cases)

    def pending(self) -> Change | None:
        """What is to be stored; None: nothing."""
        if not self._dirty and not self._forgotten and not self._receipts:
            return None
        states = {name: self.states[name] for name in sorted(self._dirty)}
        return Change(states, tuple(sorted(self._forgotten)), tuple(self._receipts), self.number, self.frame)

    def stored(self) -> None:
        """What `pending` said is on disk."""
        self._dirty.clear()
        self._forgotten.clear()
        self._receipts.clear()

    # --- what a miner should have ---

    def _unjudged(self, miner: Miner, state: MinerState, seen: Seen, now_ns: int) -> Plan:
        """No verdict: see drift, and tell of it."""
        wish = Wish(entitled(miner.entitlement.cpu_ppm))
        drift = described(wish, seen)
        may_tell = self._may_tell(miner.name, now_ns)
        if not drift:
            return Plan(seen, replace(state, drift=""))
        if self.charter.always_reconcile and self.charter.enforces(miner):
            notes = (Note("correct", None, f"always_reconcile: {drift}"),) if may_tell else ()
            return Plan(seen, replace(state, drift=drift), wish, notes)
        if drift == state.drift or not may_tell:
            return Plan(seen, state)
        return Plan(seen, replace(state, drift=drift), None, (Note("drift", None, drift),))

    def _ended(self, miner: Miner, state: MinerState, due: tuple[Case, ...], seen: Seen) -> Plan:
        """Nothing is due any more (or everything was pardoned): the entitlement, and the account is closed."""
        free = replace(state, cases=(), imposed=False, halvings=0, paused=False, drift="")
        if not state.imposed and not (due and self.charter.enforces(miner)):
            return Plan(seen, free, None, _pardoned(state.cases, due))
        notes: tuple[Note, ...] = ()
        if state.paused:
            notes = (Note("resume", _lead(state.cases), "the books balance"),)
        notes += tuple(
            Note("restore", case, "the books balance" if case in due else PARDON) for case in state.cases
        )
        return Plan(seen, free, Wish(entitled(miner.entitlement.cpu_ppm), frozen=False), notes)

    def _withheld(
        self, miner: Miner, state: MinerState, notes: tuple[Note, ...], seen: Seen, now_ns: int
    ) -> Plan:
        """A verdict that the charter does not let us carry out: hands off, once our own doing is undone."""
        why = "a hold stands against it" if miner.name in self.charter.holds else "mode observe"
        told = replace(state, cases=_all_told(state.cases, "withheld"))
        if state.imposed:
            notes += tuple(Note("restore", case, why) for case in state.cases)
            undone = replace(told, imposed=False, halvings=0, paused=False)
            return Plan(seen, undone, Wish(entitled(miner.entitlement.cpu_ppm), frozen=False), notes)
        notes += tuple(Note("withheld", case, why) for case in state.cases if case.told != "withheld")
        return Plan(seen, told, None, notes) if notes else self._unjudged(miner, state, seen, now_ns)

    def _imposed(
        self, miner: Miner, state: MinerState, notes: tuple[Note, ...], seen: Seen, now_ns: int
    ) -> Plan:
        """The penalty is on."""
        lead = _lead(state.cases)
        excess_ns = max(case.books.excess_ns for case in state.cases)
        if state.paused and excess_ns <= 0:
            state = replace(state, paused=False, halvings=0)
            notes += (Note("resume", lead, "the books balance; the quota stays low for now"),)
        untold = tuple(Note("correct", case, _terms(case)) for case in state.cases if case.told != "correct")
        notes += untold
        wish, watch = self._low(miner, state, lead), None
        if excess_ns > 0 and not state.paused and seen.count is not None:
            watch, stuck = self._stuck(seen.count, miner.name, excess_ns, anew=bool(untold))
            if stuck:
                why = f"use did not fall in {STUCK_PERIODS} periods, {excess_ns // NS_PER_MS} ms above"
                if least(wish.quota):
                    state, notes = replace(state, paused=True), (*notes, Note("pause", lead, why))
                else:
                    state = replace(state, halvings=state.halvings + 1)
                    notes = (*notes, Note("lower", lead, why))
                wish = self._low(miner, state, lead)
        if steps(wish, seen) and not notes and self._may_tell(miner.name, now_ns):
            notes = (Note("correct", lead, described(wish, seen)),)
        on = replace(state, cases=_all_told(state.cases, "correct"), imposed=True, drift="")
        return Plan(seen, on, wish, notes, watch)

    def _low(self, miner: Miner, state: MinerState, lead: Case) -> Wish:
        quota = lowered(miner.entitlement.cpu_ppm, lead.share_ppm, state.halvings)
        return Wish(quota, frozen=state.paused)

    def _stuck(self, count: Count, miner: str, excess_ns: int, *, anew: bool) -> tuple[tuple[int, int], bool]:
        """The watch to go on with, and whether the excess has not fallen over a whole one.

        It begins `anew` with new terms, which get their time to work.
        """
        now = (count.mono_ns, excess_ns)
        since_ns, then_ns = watch = now if anew else self._watch.get(miner, now)
        if count.mono_ns - since_ns < STUCK_PERIODS * self._period_ns:
            return watch, False
        return now, excess_ns >= then_ns

    def _may_tell(self, miner: str, now_ns: int) -> bool:
        told_ns = self._told_ns.get(miner)
        return told_ns is None or now_ns - told_ns >= QUIET_PERIODS * self._period_ns

    def _receipt(self, note: Note, before: Seen, after: Seen, time_ms: int) -> Receipt:
        count = before.count or after.count  # what was decided on, where books are kept
        return Receipt(
            number=self.number,
            time_ms=time_ms,
            miner=before.miner,
            action=note.action,
            verdict=note.case.verdict if note.case else b"",
            offence=note.case.offence if note.case else 0,
            quota_before_ppm=_ppm(before),
            quota_after_ppm=_ppm(after),
            usage_ns=count.usage_ns if count else 0,
            mono_ns=count.mono_ns if count else 0,
            reason=note.reason[:MAX_REASON],
        )


def _taken_up(state: MinerState, *offences: int, up_to: int = 0) -> tuple[int, tuple[int, ...]]:
    """`settled` and `known` with some offences more, and with all up to a number."""
    settled = max(state.settled, up_to)
    known = sorted(one for one in (*state.known, *offences) if settled < one)
    while known and (known[0] == settled + 1 or len(known) > MAX_KNOWN):
        settled = known.pop(0)
    return settled, tuple(known)


def _lead(cases: tuple[Case, ...]) -> Case:
    """The case that sets the quota: of the highest offence, and of those the one of the smallest share."""
    return max(cases, key=lambda case: (case.offence, -case.share_ppm))


def _all_told(cases: tuple[Case, ...], told: Literal["correct", "withheld"]) -> tuple[Case, ...]:
    return tuple(replace(case, told=told) for case in cases)


def _pardoned(cases: tuple[Case, ...], due: tuple[Case, ...]) -> tuple[Note, ...]:
    return tuple(Note("withheld", case, PARDON) for case in cases if case not in due)


def _terms(case: Case) -> str:
    """A penalty in words."""
    share = f"{case.share_ppm / 10_000:g} % of entitlement"
    return f"offence {case.offence}: {share}, {case.books.excess_ns // NS_PER_MS} ms to give back"


def _segments(state: MinerState) -> tuple[object, ...]:
    """What may not be lost of a state at a crash; the rest is seen again at the next look."""
    return (state.imposed, *((case.offence, case.told, case.books.segment) for case in state.cases))


def _ppm(seen: Seen) -> int:
    """A quota as receipts say it."""
    return -1 if seen.quota.ppm is None else seen.quota.ppm
