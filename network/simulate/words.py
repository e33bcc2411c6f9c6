"""The history of a run in words, one line an event, for whoever has to understand a violation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mint import kinds
from mint.envelope import Envelope
from mint.errors import Rejected
from mint.messages.fault import Fault
from mint.messages.frame import Frame, FrameReply, FrameRequest
from mint.messages.judgement import Accusation, Alarm, Verdict, Vote
from mint.messages.receipt import Receipt
from mint.messages.sample import Ack, Sample
from mint.sign_bytes import Object, Stream
from mint.wire import decode
from network.simulate.history import History, Note, stamp

# Said every second, and nothing follows from it that is not said otherwise.
LEFT_OUT = frozenset({"twin", "behaviour", "state", "ack"})
# Enough of a hash to tell two apart.
SHORT = 4


def lines(history: History, count: int) -> list[str]:
    """The last `count` events, and before them as many of those worth keeping: faults, crashes, quotas."""
    told = list(_told(history))
    kept = [text for note, text in told[:-count] if note.what not in ("sent", "says")]
    return kept[-count:] + [text for _, text in told[-count:]]


def _told(history: History) -> Iterator[tuple[Note, str]]:
    for note in history.notes():
        text = _sent(*note.values) if note.what == "sent" else _happened(note)
        if text:
            yield note, f"{stamp(note.at_ns)}  {note.who:<10} {text}"


# --- what is noted with plain values ----------------------------------------------------------------


def _happened(note: Note) -> str:
    values: Any = note.values
    said = _HAPPENED.get(note.what)
    if said is not None:
        return said.format(*values)
    if note.what == "broker-restart":
        kept = "keeping what it acknowledged" if values[0] else "losing what it had not saved"
        return f"FAULT is killed, {kept}, down for {values[1]} ms"
    return f"FAULT {note.what}, amount {values[0]}, for {values[1]} ms"  # of network/simulate/faults.py


_HAPPENED = {
    "crash": "FAULT will crash before effect {0}",
    "crashed": "CRASHES, down for {0} ns",
    "restored": "a state folder {0} ms old is put back",
    "started": "starts again",
    "quota": "quota {0} by {1}",
    "says": "says: {0}",
    "resumed": "the operator has the log go on after frame {0}, by charter version {1}",
}


# --- messages ---------------------------------------------------------------------------------------


def _sent(topic: Any, payload: Any) -> str:  # noqa: ANN401 (as history.py notes it: text and bytes)
    if not payload:
        return f"clears {topic}"
    try:
        # mypy cannot see that a union is a type to decode
        body: Stream | Object = decode(decode(payload, Envelope).body, Stream | Object)  # type: ignore[arg-type]
        if body.kind in LEFT_OUT:
            return ""
        message = decode(body.payload, kinds.BY_NAME[body.kind].type)
    except (Rejected, KeyError):
        return f"{len(payload)} bytes that are no message, on {topic}"
    place = f" {body.session}/{body.sequence}" if isinstance(body, Stream) else ""
    said = _SAID.get(type(message))
    return f"{body.kind}{place}{': ' + said(message) if said else ''}"


def _frame(message: Frame) -> str:
    fresh = sum(1 for entry in message.devices if entry.leaf)
    decided = "".join(f", decides offence {one.offence} of {one.miner}" for one in message.decisions)
    return f"{message.number} after {_short(message.previous)}, {fresh} devices{decided}"


def _vote(message: Vote) -> str:
    accused = "; ".join(map(_accused, message.accusations)) or "nobody"
    return f"frame {message.frame} {_short(message.frame_hash)}: {accused}"


def _accused(accusation: Accusation) -> str:
    return (
        f"{accusation.miner} of offence {accusation.offence} since {accusation.began} ({accusation.evidence})"
    )


def _verdict(message: Verdict) -> str:
    what = f"offence {message.offence} of {message.miner} since {message.began} ({message.evidence})"
    return f"{what}, frame {message.frame}, {len(message.votes)} votes"


def _receipt(message: Receipt) -> str:
    quotas = f"{message.quota_before_ppm} -> {message.quota_after_ppm} ppm"
    return f"{message.number} {message.action} {message.miner}, {quotas}: {message.reason}"


def _fault(message: Fault) -> str:
    about = f" about {message.about}" if message.about else ""
    return f"{message.kind} of {message.accused} at frame {message.frame}{about}"


def _request(message: FrameRequest) -> str:
    return (
        f"of {message.holder}, {message.count} from {message.first}{' with proofs' if message.proofs else ''}"
    )


def _short(value: bytes) -> str:
    return value[:SHORT].hex()


_SAID: dict[type, Callable[[Any], str]] = {
    Sample: lambda m: f"{len(m.miners)} miners",
    Ack: lambda m: f"{m.device} {m.session}/{m.sequence}",
    Frame: _frame,
    Vote: _vote,
    Verdict: _verdict,
    Receipt: _receipt,
    Fault: _fault,
    FrameRequest: _request,
    FrameReply: lambda m: f"{len(m.frames)} from {m.asked}, {len(m.proofs)} proofs",
    Alarm: lambda m: f"{m.miner} at frame {m.frame}, {m.detector}: {m.reason}",
}
