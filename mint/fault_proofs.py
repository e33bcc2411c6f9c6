"""Each kind of proof of misconduct (mint/fault.py): what it has to hold, and what it shows.

Every function takes a Fault and the charters known by hash, and returns the charter under which the accused did it.
All of them raise Rejected: NOT_PROVEN where it is no proof, UNKNOWN_CHARTER where it cannot be told here.
"""

from __future__ import annotations

from collections.abc import Mapping

from mint import kinds
from mint.charter.seal import SealedCharter
from mint.envelope import Envelope, Opened, object_hash, open_envelope
from mint.errors import Reason, Rejected
from mint.frame_rules import check_against, check_frame, check_step, too_far
from mint.frames import LogFrame, open_frame, resumes
from mint.merkle import leaf_hash
from mint.messages.chain import ShareBatch
from mint.messages.fault import Fault
from mint.messages.frame import Frame
from mint.messages.judgement import Verdict, Vote
from mint.sign_bytes import Object, Stream
from mint.totals import denies
from mint.verdict import Proven, reading_in, verify_verdict
from mint.wire import decode, encode

Charters = Mapping[bytes, SealedCharter]


def not_shown(why: str) -> Rejected:
    """It is no proof."""
    return Rejected(Reason.NOT_PROVEN, why)


# --- of the manager ---------------------------------------------------------------------------------


def two_frames(fault: Fault, charters: Charters) -> SealedCharter:
    """Two frames of one number by one key, in one run of the log."""
    one, other = (_frame(fault, data, charters) for data in _held(fault, 2))
    if one.hash == other.hash or _signer(one) != _signer(other) or _resumed(one, other):
        raise not_shown(
            "its frames are one and the same, or not of one manager, or the log was resumed between"
        )
    return max(one.charter, other.charter, key=lambda sealed: sealed.charter.version)


def bad_frame(fault: Fault, charters: Charters) -> SealedCharter:
    """A frame that is impossible by itself, or after another frame of that manager."""
    held = _held(fault, 1, 2)
    frame = _frame(fault, held[-1], charters)
    if len(held) == 1:
        if not breaks_alone(frame):
            raise not_shown("the frame breaks no rule")
    elif not breaks_after(open_frame(held[0], charters), frame):
        raise not_shown("the frame does not break a rule after the other")
    return frame.charter


def breaks_alone(frame: LogFrame) -> bool:
    """Whether a frame breaks a rule all alone."""
    try:
        check_frame(frame.frame, frame.charter.charter)
    except Rejected:
        return True
    return False


def breaks_after(before: LogFrame, frame: LogFrame) -> bool:
    """Whether a frame breaks a rule after another one: that it names, or that its manager signed some time before."""
    if before.hash != frame.frame.previous:
        ahead = frame.number - before.number
        if ahead < 1 or _signer(before) != _signer(frame) or _resumed(before, frame):
            return False
        return ahead == 1 or too_far(before.frame, frame.frame, frame.charter.charter)
    try:
        check_step(before.frame, frame.frame, frame.charter.charter)
    except Rejected:
        return True
    return False


def false_frame(fault: Fault, charters: Charters) -> SealedCharter:
    """A frame, and bytes that it names as a device's sample: they are none, or say something else."""
    data, sample = _held(fault, 2)
    frame = _frame(fault, data, charters)
    about = {entry.device for entry in frame.frame.devices if entry.leaf == leaf_hash(sample)}
    if about != {fault.about} or not contradicts(frame, sample):
        raise not_shown("the frame says what the sample says, or it is of another device")
    return frame.charter


def contradicts(frame: LogFrame, sample: bytes) -> bool:
    """Whether a frame contradicts what it rests on.

    Raises:
        Rejected: NOT_PROVEN, it does not rest on that.
    """
    leaf = leaf_hash(sample)
    entry = next((one for one in frame.frame.devices if one.leaf == leaf), None)
    if entry is None:
        raise not_shown("the frame does not rest on that")
    try:
        opened = open_envelope(sample, frame.charter.trust(), expect="sample")
        check_against(frame.frame, entry, sample, opened, frame.charter.charter)
    except Rejected:
        return True
    return False


def false_note(fault: Fault, charters: Charters) -> SealedCharter:
    """A frame, and what it names as a verdict: it is none, or on something else."""
    data, verdict = _held(fault, 2)
    frame = _frame(fault, data, charters)
    if object_hash(verdict) not in {decision.verdict for decision in frame.frame.decisions}:
        raise not_shown("the frame does not take note of that")
    if encode(decode(verdict, Envelope)) != verdict:  # made longer than it came, it might be too long
        raise not_shown("not the shortest encoding of an envelope")
    try:
        check_note(frame.frame, verdict, charters)
    except Rejected as rejected:
        if rejected.reason is Reason.UNKNOWN_CHARTER:
            raise
        return frame.charter
    raise not_shown("the verdict that the frame takes note of is one")


def check_note(frame: Frame, data: bytes, charters: Charters) -> Proven:
    """Check the verdict in an envelope that a frame takes note of.

    Raises:
        Rejected: UNKNOWN_CHARTER, it cannot be told here; anything else: the frame should not have named it.
    """
    verdict = verdict_in(data)
    proven = verify_verdict(verdict, charters)
    noted = {decision.verdict: (decision.miner, decision.offence) for decision in frame.decisions}
    if noted.get(object_hash(data)) != (verdict.miner, verdict.offence):
        raise not_shown(f"frame {frame.number} says something else of {verdict.miner}")
    if verdict.frame >= frame.number:
        raise not_shown(f"a verdict on frame {verdict.frame} in frame {frame.number}")
    return proven


def verdict_in(data: bytes) -> Verdict:
    """The verdict in an envelope; who published it does not matter, and is not checked.

    Raises:
        Rejected: not a verdict.
    """
    if len(data) > kinds.BY_NAME["verdict"].max_bytes:
        raise Rejected(Reason.OVERSIZE, f"verdict of {len(data)} bytes")
    body = decode(decode(data, Envelope).body, Object)
    if body.kind != "verdict":
        raise Rejected(Reason.WRONG_KIND, f"{body.kind!r} is no verdict")
    return decode(body.payload, Verdict)


# --- of detectors and devices -----------------------------------------------------------------------


def two_votes(fault: Fault, charters: Charters) -> SealedCharter:
    """Two votes of one detector's key on one frame number."""
    (one, mine), (other, theirs) = (_of(data, "vote", charters) for data in _held(fault, 2))
    first, second = one.message, other.message
    if not isinstance(first, Vote) or not isinstance(second, Vote):
        raise not_shown("it holds no votes")
    if {one.sender, other.sender} != {fault.accused} or {first.frame, second.frame} != {fault.frame}:
        raise not_shown("its votes are not of the accused on that frame")
    if one.hash == other.hash or _key(mine, fault.accused) != _key(theirs, fault.accused):
        raise not_shown("its votes are one and the same, or of two keys")
    return mine


def two_samples(fault: Fault, charters: Charters) -> SealedCharter:
    """Two samples of one device's key at one place in its stream."""
    (one, mine), (other, theirs) = (_of(data, "sample", charters) for data in _held(fault, 2))
    if ({one.sender, other.sender}, fault.frame) != ({fault.accused}, 0) or _place(one) != _place(other):
        raise not_shown("its samples are not of the accused at one place")
    if one.hash == other.hash or _key(mine, fault.accused) != _key(theirs, fault.accused):
        raise not_shown("its samples are one and the same, or of two keys")
    return mine


def two_totals(fault: Fault, charters: Charters) -> SealedCharter:
    """A batch of shares and a later sample of one device's key, which counts fewer shares of its miner `about`."""
    (one, mine), (other, theirs) = (
        _of(data, kind, charters) for data, kind in zip(_held(fault, 2), ("shares", "sample"), strict=True)
    )
    batch, body = one.message, other.body
    if not isinstance(batch, ShareBatch) or not isinstance(body, Stream):
        raise not_shown("it holds no shares, or no sample")
    said = ({one.sender, other.sender, batch.device}, batch.fog, fault.frame)
    if said != ({fault.accused}, fault.fog, 0) or _key(mine, fault.accused) != _key(theirs, fault.accused):
        raise not_shown("its shares and its sample are not of the accused, or of two keys")
    charter = max(mine, theirs, key=lambda sealed: sealed.charter.version)
    miner = charter.charter.miners_by_name().get(fault.about)
    if miner is None or miner.device != fault.accused:
        raise not_shown(f"{fault.accused} has no say about {fault.about}")
    reading, _ = reading_in(other, fault.about)
    if not denies(batch, fault.about, (body.session, body.sequence), reading.shares):
        raise not_shown(f"the sample counts the shares of {fault.about}, or is not known to be later")
    return charter


# --- claims -----------------------------------------------------------------------------------------


def unheard(fault: Fault, charters: Charters) -> SealedCharter:
    """A sample of the device, and a frame whose place in that device's stream is behind it."""
    sample, data = _held(fault, 2)
    frame = _frame(fault, data, charters)
    opened = open_envelope(sample, frame.charter.trust(), expect="sample")
    entry = next((one for one in frame.frame.devices if one.device == fault.about), None)
    if opened.sender != fault.about or entry is None or _place(opened) <= (entry.session, entry.sequence):
        raise not_shown("the frame is not behind that sample")
    return frame.charter


def unseen(fault: Fault, charters: Charters) -> SealedCharter:
    """A frame that rests on a sample of the device, or, where `about` names a miner, on a verdict on it."""
    (data,) = _held(fault, 1)
    frame = _frame(fault, data, charters)
    rests = {entry.device for entry in frame.frame.devices if entry.leaf}
    if fault.about not in rests | {decision.miner for decision in frame.frame.decisions}:
        raise not_shown("the frame names nothing of that")
    return frame.charter


# --- shared -----------------------------------------------------------------------------------------


def _held(fault: Fault, *counts: int) -> tuple[bytes, ...]:
    if len(fault.proof) not in counts:
        raise not_shown(f"{fault.kind} with {len(fault.proof)} envelopes")
    return fault.proof


def _frame(fault: Fault, data: bytes, charters: Charters) -> LogFrame:
    frame = open_frame(data, charters)
    if (frame.sender, frame.number) != (fault.accused, fault.frame):
        raise not_shown("its frame is another's, or of another number")
    return frame


def _of(data: bytes, kind: str, charters: Charters) -> tuple[Opened, SealedCharter]:
    """An envelope with the newest charter under which it opens."""
    refused = Rejected(Reason.UNKNOWN_CHARTER, "no charter is known")
    for sealed in sorted(charters.values(), key=lambda one: -one.charter.version):
        try:
            return open_envelope(data, sealed.trust(), expect=kind), sealed
        except Rejected as rejected:
            refused = rejected
    raise refused


def _signer(frame: LogFrame) -> tuple[str, bytes]:
    return frame.sender, frame.charter.charter.manager.key


def _resumed(one: LogFrame, other: LogFrame) -> bool:
    """Whether the operator had the log go on from before these frames, between the charters that they name."""
    older, newer = sorted((one.charter.charter, other.charter.charter), key=lambda charter: charter.version)
    return resumes(older, newer)


def _key(sealed: SealedCharter, name: str) -> bytes | None:
    member = sealed.trust().members.get(name)
    return None if member is None else member.key


def _place(opened: Opened) -> tuple[int, int]:
    if not isinstance(opened.body, Stream):
        raise not_shown("it is no sample")
    return opened.body.session, opened.body.sequence
