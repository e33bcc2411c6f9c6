"""What happened, in one plain line each: for the log on the screen, for pipes, and as JSON for programs.

Texts that come from other nodes (reasons) are shown only after everything a terminal might obey is taken out.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Literal

import msgspec

from mint.fault import Shown
from mint.messages.fault import FaultKind
from mint.messages.judgement import Accusation, Alarm
from mint.messages.receipt import Action, Receipt
from mint.verdict import Proven

PPM = 1_000_000
NS_PER_MS = 1_000_000

EventKind = Literal["alarm", "accusation", "verdict", "receipt", "fault", "agent", "network", "log"]

_DID: dict[Action, str] = {
    "drift": "saw drift at",
    "correct": "corrected",
    "lower": "lowered",
    "pause": "paused",
    "resume": "resumed",
    "restore": "restored",
    "withheld": "leaves alone",
}

# What the accused did, with the frame's number and the device (or miner) concerned.
_WRONG: dict[FaultKind, str] = {
    "two_frames": "signed two frames {frame}",
    "bad_frame": "signed a frame {frame} that breaks a rule of the log",
    "false_frame": "signed a frame {frame} that says something else than the samples it rests on",
    "false_note": "signed a frame {frame} that takes note of a verdict that is none",
    "two_votes": "cast two votes on frame {frame}",
    "two_samples": "signed two samples at one place in its stream",
    "two_totals": "shows more shares of {about} to be paid than its samples count",
    "unheard": "left a sample of {about} out of frame {frame}",
    "unseen": "signed a frame {frame} that rests on what nobody can show of {about}",
    "omission": "withholds what concerns {about} up to frame {frame}, as a quorum of detectors claims",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    `time_ms`: Unix time by this console's clock (a receipt's own time where it is earlier). `miner`: whom it
    is about, `by`: which node said it, `frame`: the frame it refers to; "" and 0 where there is none.
    """

    time_ms: int
    kind: EventKind
    text: str
    miner: str = ""
    by: str = ""
    frame: int = 0


def as_line(event: Event) -> str:
    """One line of plain text: local time, kind, what happened."""
    return f"{clock(event.time_ms)}  {event.kind:<10}  {event.text}"


def as_json(event: Event) -> str:
    """One line of JSON: an object with the fields of `Event`."""
    return msgspec.json.encode(asdict(event)).decode()


def clock(time_ms: int) -> str:
    """Local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(time_ms / 1000))


def plain(text: str) -> str:
    """`text` without characters that a terminal acts on instead of showing them."""
    return "".join(char if char.isprintable() else "?" for char in text)


def cpus(ppm: int) -> str:
    """A quota in CPUs."""
    return f"{ppm / PPM:.3g}" if ppm >= 0 else "no limit"


def of_alarm(alarm: Alarm, by: str, now_ms: int) -> Event:
    """Something looks wrong to one detector."""
    text = f"{alarm.miner} looks wrong to {by} ({alarm.detector}): {plain(alarm.reason)}"
    return Event(now_ms, "alarm", text, alarm.miner, by, alarm.frame)


def of_accusation(accusation: Accusation, by: str, frame: int, now_ms: int) -> Event:
    """A detector's vote accuses a miner of an offence for the first time."""
    taken = _taken(accusation.excess_ns, accusation.began)
    text = f"{by} accuses {accusation.miner} of offence {accusation.offence} ({accusation.evidence}): {taken}"
    return Event(now_ms, "accusation", text, accusation.miner, by, frame)


def of_verdict(proven: Proven, by: str, now_ms: int, *, retained: bool) -> Event:
    """A verdict that was verified, so that what it says is what its votes and samples say."""
    miner, earlier = proven.miner.name, ", before this console came" if retained else ""
    taken = _taken(proven.excess_ns, proven.began)
    text = f"{miner} convicted of offence {proven.offence} ({proven.evidence}): {taken}{earlier}"
    return Event(now_ms, "verdict", text, miner, by, proven.frame)


def of_receipt(receipt: Receipt, by: str, now_ms: int) -> Event:
    """What an enforcer saw or did."""
    before, after = cpus(receipt.quota_before_ppm), cpus(receipt.quota_after_ppm)
    quota = f"quota {after}" if before == after else f"quota {before} -> {after}"
    text = f"{by} {_DID[receipt.action]} {receipt.miner}, {quota}: {plain(receipt.reason)}"
    return Event(min(now_ms, receipt.time_ms), "receipt", text, receipt.miner, by)


def of_fault(shown: Shown, by: str, now_ms: int, *, retained: bool) -> Event:
    """A proof of misconduct that was verified, or one detector's claim of it."""
    earlier = ", before this console came" if retained else ""
    text = f"{by} claims: {wrong(shown)}" if shown.claim else wrong(shown)
    return Event(now_ms, "fault", f"{text}{earlier}", by=by, frame=shown.frame)


def wrong(shown: Shown) -> str:
    """Who did what, in words."""
    return f"{shown.accused} {_WRONG[shown.kind].format(frame=shown.frame, about=plain(shown.about))}"


def _taken(excess_ns: int, began: int) -> str:
    return f"{excess_ns // NS_PER_MS} ms of CPU too much since frame {began}"
