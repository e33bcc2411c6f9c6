"""What a console has heard of a network: opened messages in, events out. No clock, socket or file.

Everything is bounded by the charter (its miners, detectors, devices) and by the constants here. A console is
trusted by nobody and decides nothing; still it takes up a verdict only after checking it down to the accused
device's own samples, as an enforcer does, for people act on what they see. What follows from all this for
the eye is in views.py.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from console import events
from console.events import Event, EventKind
from mint.charter.model import Miner
from mint.charter.seal import SealedCharter
from mint.envelope import Opened, ReplayGuard
from mint.errors import Reason, Rejected
from mint.fault import CLAIMS, Shown, halts, verify_fault
from mint.frames import LogFrame, resumes
from mint.member import MAX_CHARTERS
from mint.messages.fault import Fault
from mint.messages.judgement import Alarm, Behaviour, Score, Verdict, Vote
from mint.messages.receipt import Receipt
from mint.messages.sample import State, Twin
from mint.names import Role
from mint.sign_bytes import Stream
from mint.verdict import Proven, verify_verdict

# Frames of use behind a sparkline: a minute at the usual period, what an agent's ring holds too.
HISTORY = 60
# Lines of the log: several screens full, and more than anybody scrolls back.
MAX_EVENTS = 200
# Objects and accusations remembered so that each is told once; the broker repeats none older than its queue.
MAX_TOLD = 4096
# Frames that are later than this many periods have stopped; enforcers wait as long (enforcer/core.py).
PATIENCE_PERIODS = 5
# Detectors repeat an alarm every 30 frames; four of them that see the same thing make one line.
ALARM_FRAMES = 30
PERCENT_MILLI = 1000  # Twin.c is in thousandths of a percent


@dataclass(slots=True)
class Known:
    """What was heard of one miner.

    `history`: use in % of entitlement, oldest first, None where not known. `proven`: its newest verdict,
    heard of at `at_ms` (Unix) and frame `at_frame` (0: it lay at the broker before we came). `receipt`: the
    newest from its enforcer; `acted`: the newest one on an offence (others tell of drift).
    """

    miner: Miner
    twin: Twin | None = None
    history: deque[float | None] = field(default_factory=lambda: deque(maxlen=HISTORY))
    proven: Proven | None = None
    at_ms: int = 0
    at_frame: int = 0
    receipt: Receipt | None = None
    acted: Receipt | None = None
    restored_frame: int = 0

    def decided(self, offence: int) -> bool:
        """Whether a verdict on this offence (or a later one) is known."""
        return self.proven is not None and offence <= self.proven.offence

    def take(self, twin: Twin) -> None:
        """Take in the next twin; frames that were missed leave a gap."""
        missed = 0 if self.twin is None else twin.frame - self.twin.frame - 1
        self.history.extend([None] * min(max(missed, 0), HISTORY))
        self.history.append(twin.c / PERCENT_MILLI if twin.c >= 0 else None)
        self.twin = twin


@dataclass(slots=True)
class Heard:
    """What was heard of one detector: its newest vote, scores (at `frame`), and round of Krum."""

    vote: Vote | None = None
    frame: int = 0
    h: float = math.nan
    scores: dict[str, Score] = field(default_factory=dict)
    round_frame: int = 0
    benchmark: str = ""
    krum: dict[str, float] = field(default_factory=dict)


class Told:
    """Things that were told already; the oldest are forgotten."""

    def __init__(self) -> None:
        self._keys: dict[Hashable, None] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._keys

    def first(self, key: Hashable) -> bool:
        """Whether `key` comes for the first time."""
        if key in self._keys:
            return False
        if len(self._keys) >= MAX_TOLD:
            del self._keys[next(iter(self._keys))]
        self._keys[key] = None
        return True


class Picture:
    """A network as its messages show it; times are Unix ms of this console.

    `number`: of the newest frame, 0 before the first; `since_ms`: when that came, or when we began to wait
    for one (0: not yet). `charters`: by hash, those that frames, verdicts and faults are checked under. `agents`:
    each agent's session and newest state.
    """

    def __init__(self, sealed: SealedCharter) -> None:
        self.events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self.known: dict[str, Known] = {}
        self.detectors: dict[str, Heard] = {}
        self.agents: dict[str, tuple[int, State]] = {}
        self.runtimes: dict[str, str] = {}
        self.number, self.since_ms, self._hash, self._stopped = 0, 0, b"", False
        self.charters: dict[bytes, SealedCharter] = {}
        self._newest: LogFrame | None = None
        self._against: Shown | None = None
        self._guard = ReplayGuard(sealed.charter.clock_tolerance_ms)
        self._told, self._alarmed = Told(), dict[tuple[str, str], int]()
        self.take_charter(sealed)

    def know(self, charters: Iterable[SealedCharter]) -> None:
        """Know charters, of the past too; the oldest of too many is forgotten."""
        self.charters |= {sealed.hash: sealed for sealed in charters}
        newest = sorted(self.charters.values(), key=lambda sealed: -sealed.charter.version)[:MAX_CHARTERS]
        self.charters = {sealed.hash: sealed for sealed in newest}

    def take_charter(self, sealed: SealedCharter) -> None:
        """Go by `sealed` from now on; what is known of miners and nodes that stay is kept."""
        self.know((sealed,))
        self.sealed, self.charter = sealed, sealed.charter
        miners = dict(sorted(self.charter.miners_by_name().items()))
        self.known = {name: self.known.get(name) or Known(miner) for name, miner in miners.items()}
        for name, miner in miners.items():
            self.known[name].miner = miner
        detectors = [node.name for node in self.charter.nodes_of(Role.DETECTOR)]
        self.detectors = {name: self.detectors.get(name) or Heard() for name in detectors}
        self._hands = {node.name: frozenset(node.devices) for node in self.charter.nodes_of(Role.ENFORCER)}
        devices = {device.name for device in self.charter.devices}
        self.agents = {name: state for name, state in self.agents.items() if name in devices}
        self.runtimes = {name: text for name, text in self.runtimes.items() if name in devices}
        self._alarmed = {key: frame for key, frame in self._alarmed.items() if key[0] in miners}

    def take(self, opened: Opened, now_ms: int, *, retained: bool = False) -> tuple[Event, ...]:
        """Take in an opened message; the events that it makes (they are in `events` too).

        Args:
            opened: its envelope passed every check.
            now_ms: when it came.
            retained: it lay at the broker before we came: what it tells did not happen just now.

        Raises:
            Rejected: replayed, untimely, not proven, or about a miner that is none of its sender's business.
        """
        message, sender = opened.message, opened.sender
        found: list[Event] = []
        if isinstance(message, Twin):
            self._twin(opened, message, now_ms)
        elif isinstance(message, Behaviour):
            self._behaviour(opened, message, now_ms)
        elif isinstance(message, State):
            found = self._state(opened, message, now_ms, retained=retained)
        elif isinstance(message, Vote):
            found = self._vote(sender, message, now_ms)
        elif isinstance(message, Verdict):
            found = self._verdict(sender, message, now_ms, retained=retained)
        elif isinstance(message, Alarm):
            found = self._alarm(opened, message, now_ms)
        elif isinstance(message, Receipt):
            found = self._receipt(opened, message, now_ms)
        elif isinstance(message, Fault):
            found = self._fault(sender, message, now_ms, retained=retained)
        return self._log(found)

    def take_frame(self, frame: LogFrame, now_ms: int) -> tuple[Event, ...]:
        """Take in the next frame of the log (mint/frames.py opens it); the events that it makes."""
        found = []
        if self._newest is not None and resumes(self._newest.charter.charter, frame.charter.charter):
            found.append(self._resume(frame, now_ms))
        follows = frame.number == self.number + 1 > 1
        if (follows and frame.frame.previous != self._hash) or (
            frame.number == self.number and frame.hash != self._hash
        ):
            text = f"two histories at frame {frame.number}: the manager signed one log and then another"
            found.append(Event(now_ms, "network", text, frame=frame.number))
        if frame.number > self.number:
            if self._stopped:
                text = f"frames come again, after {(now_ms - self.since_ms) // 1000} s"
                found.append(Event(now_ms, "network", text, frame=frame.number))
            self.number, self.since_ms, self._stopped = frame.number, now_ms, False
            self._newest, self._hash = frame, frame.hash
        return self._log(found)

    @property
    def halted(self) -> str:
        """A sentence on a manager that is done, because of what it signed; empty when it is not."""
        if self._against is None or not halts(self._against, self.sealed):
            return ""
        return (
            f"{events.wrong(self._against)}. It is done: no more verdicts, enforcers hold what they have, until the "
            "operator signs where the log goes on (docs/operations.md)."
        )

    def tick(self, now_ms: int) -> tuple[Event, ...]:
        """Time has come to `now_ms`: an event when frames have stopped."""
        self.since_ms = self.since_ms or now_ms
        sentence = self.stopped(now_ms)
        if self._stopped or not sentence:
            return ()
        self._stopped = True
        return self._log([Event(now_ms, "network", sentence, frame=self.number)])

    def stopped(self, now_ms: int) -> str:
        """A sentence on frames that do not come; empty when they do."""
        late_ms = now_ms - self.since_ms if self.since_ms else 0
        if late_ms <= PATIENCE_PERIODS * self.charter.period_ms:
            return ""
        ask = f"no frame for {late_ms // 1000} s: is the manager's host down?"
        if self.number:
            return f"{ask} Enforcers hold what they have, no verdicts come."
        return f"{ask} None came since this console began to wait."

    def note(self, text: str, now_ms: int, kind: EventKind = "log") -> Event:
        """A line of this program's own log (or another kind of event that no message brings), among the events."""
        return self._log([Event(now_ms, kind, events.plain(text))])[0]

    def _log(self, found: Iterable[Event]) -> tuple[Event, ...]:
        made = tuple(found)
        self.events.extend(made)
        return made

    # --- streams ---

    def _twin(self, opened: Opened, twin: Twin, now_ms: int) -> None:
        known, body = self._of(twin.miner), _stream(opened)
        if body.topic != self.sealed.topics().twin(twin.miner):
            raise Rejected(Reason.WRONG_TOPIC, f"twin of {twin.miner} on {body.topic}")
        self._guard.check(body, now_ms)
        self._guard.accept(body)
        known.take(twin)

    def _behaviour(self, opened: Opened, behaviour: Behaviour, now_ms: int) -> None:
        heard, body = self._detector(opened.sender), _stream(opened)
        self._guard.check(body, now_ms)
        self._guard.accept(body)
        heard.frame, heard.h = behaviour.frame, behaviour.h
        heard.scores = {score.miner: score for score in behaviour.scores if score.miner in self.known}
        if behaviour.benchmark:
            heard.round_frame, heard.benchmark = behaviour.frame, behaviour.benchmark
            heard.krum = {name: score.krum for name, score in heard.scores.items()}

    def _state(self, opened: Opened, state: State, now_ms: int, *, retained: bool) -> list[Event]:
        """An agent's birth or death; retained for as long as it holds, so of any age."""
        session, name = _stream(opened).session, opened.sender
        known, before = self.agents.get(name, (0, None))
        if session < known:  # the last will of a life that is over
            return []
        self.agents[name] = (session, state)
        if state.alive:
            self.runtimes[name] = events.plain(state.runtime)
        if retained or before is None or before.alive == state.alive:
            return []
        text = f"agent {name} is back" if state.alive else f"agent {name} is gone: its miners go dark"
        return [Event(now_ms, "agent", text, by=name)]

    # --- objects ---

    def _resume(self, frame: LogFrame, now_ms: int) -> Event:
        """The operator has the log go on from a frame of his choice: what was signed after that one is void."""
        resume = frame.charter.charter.resume
        assert resume is not None  # noqa: S101 (`resumes` says so; this tells the type checker)
        self.number, self._hash = resume.frame, resume.hash
        self.detectors = {name: Heard() for name in self.detectors}
        text = f"the log goes on after frame {resume.frame}, as the charter says"
        return Event(now_ms, "network", text, frame=resume.frame)

    def _fault(self, sender: str, fault: Fault, now_ms: int, *, retained: bool) -> list[Event]:
        by = sender if fault.kind in CLAIMS else ""  # a proof is the same from whoever shows it
        key = ("fault", fault.kind, fault.accused, fault.frame, fault.about, by)
        if key in self._told:
            return []
        shown = verify_fault(fault, self.charters)
        self._told.first(key)
        if halts(shown, self.sealed):
            self._against = shown
        return [events.of_fault(shown, sender, now_ms, retained=retained)]

    def _alarm(self, opened: Opened, alarm: Alarm, now_ms: int) -> list[Event]:
        self._of(alarm.miner)
        key = (alarm.miner, alarm.detector)
        before = self._alarmed.get(key)
        if before is not None and abs(alarm.frame - before) < ALARM_FRAMES:
            return []
        self._alarmed[key] = alarm.frame
        return [events.of_alarm(alarm, opened.sender, now_ms)]

    def _vote(self, sender: str, vote: Vote, now_ms: int) -> list[Event]:
        heard = self._detector(sender)
        if heard.vote is not None and vote.frame <= heard.vote.frame:
            return []
        heard.vote = vote
        return [
            events.of_accusation(accusation, sender, vote.frame, now_ms)
            for accusation in vote.accusations
            if accusation.miner in self.known
            and self._told.first((sender, accusation.miner, accusation.offence))
        ]

    def _verdict(self, sender: str, verdict: Verdict, now_ms: int, *, retained: bool) -> list[Event]:
        known = self._of(verdict.miner)
        if known.decided(verdict.offence):  # another detector's copy of it
            return []
        known.proven = verify_verdict(verdict, self.charters)
        known.at_ms, known.at_frame = now_ms, 0 if retained else self.number
        return [events.of_verdict(known.proven, sender, now_ms, retained=retained)]

    def _receipt(self, opened: Opened, receipt: Receipt, now_ms: int) -> list[Event]:
        known = self._of(receipt.miner)
        if known.miner.device not in self._hands.get(opened.sender, ()):
            raise Rejected(Reason.IMPOSSIBLE, f"{opened.sender} has no hands on {known.miner.device}")
        if not self._told.first(opened.hash):
            return []
        known.receipt = receipt
        if receipt.verdict:
            known.acted = receipt
            if receipt.action == "restore":
                known.restored_frame = self.number
        return [events.of_receipt(receipt, opened.sender, now_ms)]

    def _of(self, miner: str) -> Known:
        known = self.known.get(miner)
        if known is None:
            raise Rejected(Reason.IMPOSSIBLE, f"{miner} is no miner of this charter")
        return known

    def _detector(self, name: str) -> Heard:
        heard = self.detectors.get(name)
        if heard is None:
            raise Rejected(Reason.UNKNOWN_SENDER, f"{name} is no detector of this charter")
        return heard


def _stream(opened: Opened) -> Stream:
    assert isinstance(opened.body, Stream)  # noqa: S101 (the kind's table says so; this tells the type checker)
    return opened.body
