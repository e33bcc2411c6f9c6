"""The verdicts that a frame takes note of: it is judged once each of them is here, and is one.

A verdict may be on its way, and is asked for meanwhile. A frame that names what nobody shows is not judged; that it
is so can only be claimed (mint/fault.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from detectors.faults import Found
from detectors.past import Past
from detectors.verdicts import Verdicts
from mint.errors import Reason, Rejected
from mint.fault_proofs import check_note, verdict_in
from mint.frames import LogFrame
from mint.member import Member

# Frames, and their time on our clock, in which somebody has to show what a frame names: holders are asked once a
# second.
SHOWN_WITHIN = 30


@dataclass(frozen=True, slots=True)
class _Wait:
    """Which frame waits, and since when: our time, and the newest frame that was heard of."""

    number: int
    since_ns: int
    newest: int


class Notes:
    """What one detector asks of decisions before it judges a frame."""

    def __init__(self, member: Member, verdicts: Verdicts, past: Past) -> None:
        self._member, self._verdicts, self._past = member, verdicts, past
        self._wait: _Wait | None = None

    @property
    def waits_for(self) -> int | None:
        """The number of the frame whose verdicts are not all here."""
        return None if self._wait is None else self._wait.number

    def connected(self) -> None:
        """What was asked while there was no connection nobody heard."""
        self._wait = None

    def check(self, frame: LogFrame, newest: int, now_ns: int) -> list[Found] | None:
        """None where a frame may be judged; else it waits, and this is what is to be told of it."""
        for decision in frame.frame.decisions:
            data = self._verdicts.envelope(decision.verdict)
            if data is None:
                return self._waits(frame, decision.miner, newest, now_ns)
            try:
                check_note(frame.frame, data, self._member.charters)
            except Rejected as rejected:
                if rejected.reason is not Reason.UNKNOWN_CHARTER:
                    return [Found("false_note", frame.sender, frame.number, "", (frame.data, data))]
                # Its charter is that of the frame it is on: of one from before our time we need not know it.
                if self._past.hash_at(verdict_in(data).frame) is not None:
                    return self._waits(frame, decision.miner, newest, now_ns)
        self._wait = None
        return None

    def _waits(self, frame: LogFrame, miner: str, newest: int, now_ns: int) -> list[Found]:
        wait = self._wait
        if wait is None or wait.number != frame.number:
            self._wait = _Wait(frame.number, now_ns, newest)
            return []
        within_ns = SHOWN_WITHIN * self._member.charter.charter.period_ms * 1_000_000
        if newest - wait.newest < SHOWN_WITHIN or now_ns - wait.since_ns < within_ns:
            return []
        self._wait = _Wait(frame.number, now_ns, newest)
        return [Found("unseen", frame.sender, frame.number, miner, (frame.data,))]
