"""Proofs of a manager's misconduct: each kind shown with envelopes as they were signed, each near miss refused."""

from __future__ import annotations

import msgpack
import msgspec
import pytest

from mint.charter.model import Resume
from mint.envelope import object_hash
from mint.errors import Reason, Rejected
from mint.fault import OF_MANAGER, halts, verify_fault
from mint.merkle import leaf_hash, root
from mint.messages.fault import Fault
from mint.messages.judgement import Verdict
from mint.messages.sample import Sample
from tests.core.misconduct import (
    DATA,
    FRAMES,
    KNOWN,
    NET,
    OTHER_KEY,
    TWIN,
    UNPROVEN,
    VERDICT,
    charter,
    fault,
    forged,
    lying,
    nodes,
    noting,
    refused,
    sample,
    shown,
    two_votes,
    vote,
)

# --- two_frames ---------------------------------------------------------------------------------------


def test_two_frames_of_one_number_show_it_in_either_order() -> None:
    for proof in ((DATA[5], TWIN), (TWIN, DATA[5])):
        found = shown(fault("two_frames", *proof))
        assert (found.charter, found.claim) == (NET.sealed, False)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (fault("two_frames", DATA[5], DATA[5]), Reason.NOT_PROVEN),
        (fault("two_frames", DATA[5], DATA[6]), Reason.NOT_PROVEN),
        (fault("two_frames", DATA[5], TWIN, frame=4), Reason.NOT_PROVEN),
        (fault("two_frames", DATA[5], TWIN, accused="det1"), Reason.NOT_PROVEN),
        (fault("two_frames", DATA[5], TWIN, about="edge1"), Reason.NOT_PROVEN),
        (fault("two_frames", DATA[5], TWIN, fog="fog2"), Reason.WRONG_NETWORK),
        (fault("two_frames", DATA[5]), Reason.NOT_PROVEN),
        (fault("two_frames", DATA[5], TWIN, DATA[6]), Reason.NOT_PROVEN),
        (fault("two_frames", DATA[5], forged(5, "det1", time_ms=1)), Reason.BAD_SIGNATURE),
        (fault("two_frames", DATA[5], forged(5, time_ms=1, charter=bytes(32))), Reason.UNKNOWN_CHARTER),
        (fault("two_frames", DATA[5], NET.signer("det1").object(FRAMES[5])), Reason.WRONG_ROLE),
        (fault("two_frames", DATA[5], sample(5)), Reason.WRONG_KIND),
    ],
)
def test_what_shows_no_two_frames(given: Fault, reason: Reason) -> None:
    refused(given, reason)


def test_two_frames_of_two_keys_or_across_a_resume_are_no_fault() -> None:
    rekeyed = charter(nodes=nodes(manager=OTHER_KEY.public))
    resumed = charter(3, resume=Resume(4, bytes(32)))
    still = charter(4, resume=Resume(4, bytes(32)), title="it still says so")
    plain = charter(5, title="it says nothing")
    known = {one.hash: one for one in (NET.sealed, rekeyed, resumed, still, plain)}
    refused(fault("two_frames", DATA[5], forged(5, "another manager", charter=rekeyed.hash)), charters=known)
    for after in (resumed, still):
        refused(fault("two_frames", DATA[5], forged(5, charter=after.hash)), charters=known)
        refused(fault("two_frames", forged(5, charter=after.hash), DATA[5]), charters=known)
    one, other = forged(5, charter=resumed.hash), forged(5, charter=still.hash)
    assert shown(fault("two_frames", one, other), known).charter == still
    assert shown(fault("two_frames", DATA[5], forged(5, charter=plain.hash)), known).charter == plain


# --- bad_frame ----------------------------------------------------------------------------------------


def test_a_frame_that_is_impossible_alone_or_after_the_one_before_shows_it() -> None:
    shown(fault("bad_frame", forged(5, root=bytes(32))))
    shown(fault("bad_frame", forged(5, devices=FRAMES[5].devices[::-1])))
    gone = forged(5, miners=FRAMES[5].miners[1:])
    shown(fault("bad_frame", DATA[4], gone))
    shown(fault("bad_frame", DATA[3], forged(4, previous=bytes(32)), frame=4))  # it is not after our frame 3


def test_a_number_that_is_further_ahead_than_its_time_shows_it() -> None:
    far, least_ms = 1_000_000, NET.charter.period_ms // 2
    fits_ms = FRAMES[3].time_ms + (far - 3) * least_ms
    shown(fault("bad_frame", DATA[3], forged(5, number=far), frame=far))
    shown(fault("bad_frame", DATA[3], forged(5, number=far, time_ms=fits_ms - 1), frame=far))
    refused(fault("bad_frame", DATA[3], forged(5, number=far, time_ms=fits_ms), frame=far))
    refused(
        fault("bad_frame", DATA[3], forged(5, "another manager", number=far), frame=far), Reason.BAD_SIGNATURE
    )


def test_between_charters_frames_may_have_come_as_fast_as_any_charter_lets_them() -> None:
    later, far = charter(), 1_000
    known = {one.hash: one for one in (NET.sealed, later)}
    fits_ms = FRAMES[3].time_ms + (far - 3) * 50
    refused(
        fault("bad_frame", DATA[3], forged(5, number=far, time_ms=fits_ms, charter=later.hash), frame=far),
        charters=known,
    )
    shown(
        fault(
            "bad_frame", DATA[3], forged(5, number=far, time_ms=fits_ms - 1, charter=later.hash), frame=far
        ),
        known,
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (fault("bad_frame", DATA[5]), Reason.NOT_PROVEN),
        (fault("bad_frame", DATA[4], DATA[5]), Reason.NOT_PROVEN),
        (fault("bad_frame", DATA[3], DATA[5]), Reason.NOT_PROVEN),
        (fault("bad_frame", DATA[5], DATA[4], frame=4), Reason.NOT_PROVEN),
        (fault("bad_frame", forged(5, root=bytes(32)), frame=6), Reason.NOT_PROVEN),
        (fault("bad_frame", DATA[4], forged(5, "det1", root=bytes(32))), Reason.BAD_SIGNATURE),
        (fault("bad_frame", DATA[3], DATA[4], DATA[5]), Reason.NOT_PROVEN),
        # What is wrong with a frame alone is shown with that frame alone: the other one is no matter.
        (fault("bad_frame", DATA[4], forged(5, root=bytes(32))), Reason.NOT_PROVEN),
    ],
)
def test_what_shows_no_bad_frame(given: Fault, reason: Reason) -> None:
    refused(given, reason)


def test_a_frame_after_another_managers_or_after_a_resume_need_not_follow() -> None:
    rekeyed = charter(nodes=nodes(manager=OTHER_KEY.public))
    resumed = charter(3, resume=Resume(2, bytes(32)))
    known = {one.hash: one for one in (NET.sealed, rekeyed, resumed)}
    elsewhere = forged(5, "another manager", charter=rekeyed.hash, previous=bytes(32))
    refused(fault("bad_frame", DATA[4], elsewhere), charters=known)
    refused(fault("bad_frame", DATA[4], forged(5, charter=resumed.hash, previous=bytes(32))), charters=known)


# --- false_frame --------------------------------------------------------------------------------------


def test_a_frame_that_contradicts_a_sample_it_names_shows_it() -> None:
    for data in (lying(usage_ns=1), lying(present=False)):
        shown(fault("false_frame", data, sample(5), about="edge1"))


def test_a_frame_that_rests_on_what_is_no_sample_of_that_device_shows_it() -> None:
    for bad in (b"nonsense", sample(5, "edge2"), NET.signer("mallory", 1).stream(*made_sample())):
        first, second = FRAMES[5].devices
        devices = (msgspec.structs.replace(first, leaf=leaf_hash(bad)), second)
        if bad == sample(5, "edge2"):
            continue  # two devices name it: which one it is about cannot be told
        data = forged(5, devices=devices, root=root([one.leaf for one in devices]))
        shown(fault("false_frame", data, bad, about="edge1"))


def made_sample() -> tuple[Sample, str, int]:
    return NET.message(sample(5), Sample), NET.sealed.topics().sample("edge1"), 0


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (fault("false_frame", DATA[5], sample(5), about="edge1"), Reason.NOT_PROVEN),
        (fault("false_frame", lying(usage_ns=1), sample(4), about="edge1"), Reason.NOT_PROVEN),
        (fault("false_frame", lying(usage_ns=1), sample(5, "edge2"), about="edge2"), Reason.NOT_PROVEN),
        (fault("false_frame", lying(usage_ns=1), sample(5), about="edge2"), Reason.NOT_PROVEN),
        (fault("false_frame", lying(usage_ns=1), sample(5), about=""), Reason.NOT_PROVEN),
        (fault("false_frame", lying(usage_ns=1), about="edge1"), Reason.NOT_PROVEN),
    ],
)
def test_what_shows_no_false_frame(given: Fault, reason: Reason) -> None:
    refused(given, reason)


# --- false_note ---------------------------------------------------------------------------------------


def test_a_note_of_what_is_no_verdict_or_says_something_else_shows_it() -> None:
    for data, note in (
        (UNPROVEN, noting(UNPROVEN)),
        (DATA[3], noting(DATA[3])),
        (VERDICT, noting(VERDICT, miner="m02")),
        (VERDICT, noting(VERDICT, offence=2)),
    ):
        shown(fault("false_note", note, data))
    # A verdict on a frame that was not there yet.
    shown(fault("false_note", noting(VERDICT, number=4), VERDICT, frame=4))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (fault("false_note", noting(VERDICT), VERDICT), Reason.NOT_PROVEN),
        (fault("false_note", noting(VERDICT), UNPROVEN), Reason.NOT_PROVEN),
        (fault("false_note", DATA[5], UNPROVEN), Reason.NOT_PROVEN),
        (fault("false_note", noting(UNPROVEN)), Reason.NOT_PROVEN),
        (fault("false_note", noting(UNPROVEN), UNPROVEN, frame=6), Reason.NOT_PROVEN),
    ],
)
def test_what_shows_no_false_note(given: Fault, reason: Reason) -> None:
    refused(given, reason)


def test_of_a_verdict_under_a_charter_that_is_not_known_nothing_can_be_told() -> None:
    unknown = NET.signer("det1").object(
        msgspec.structs.replace(NET.message(VERDICT, Verdict), charter=bytes(32))
    )
    refused(fault("false_note", noting(unknown), unknown), Reason.UNKNOWN_CHARTER)


# --- what follows -------------------------------------------------------------------------------------

OF_EACH_KIND = (
    fault("two_frames", DATA[5], TWIN),
    fault("bad_frame", forged(5, root=bytes(32))),
    fault("false_frame", lying(usage_ns=1), sample(5), about="edge1"),
    fault("false_note", noting(UNPROVEN), UNPROVEN),
)


@pytest.mark.parametrize("given", OF_EACH_KIND, ids=lambda given: given.kind)
def test_a_manager_is_done_by_its_own_hand_until_it_is_another_or_a_charter_resumes(given: Fault) -> None:
    found = shown(given)
    assert given.kind in OF_MANAGER
    assert halts(found, NET.sealed)
    assert halts(found, charter(title="this changes nothing"))
    assert not halts(found, charter(nodes=nodes(manager=OTHER_KEY.public)))
    resumed = charter(resume=Resume(4, bytes(32)))
    assert not halts(found, resumed)
    # What it does after that is another matter.
    again = fault("bad_frame", forged(5, root=bytes(32), charter=resumed.hash))
    found = shown(again, KNOWN | {resumed.hash: resumed})
    assert halts(found, resumed)


def test_every_kind_that_halts_was_shown() -> None:
    assert {given.kind for given in OF_EACH_KIND} == OF_MANAGER


def test_a_verdict_in_a_longer_encoding_than_it_came_in_shows_nothing() -> None:
    """Its hash is the same, for that is of its body; how long an envelope may be is of what was sent."""
    body, signature = msgpack.unpackb(UNPROVEN)
    longer = b"\x92\xc6" + len(body).to_bytes(4, "big") + body + msgpack.packb(signature)
    assert object_hash(longer) == object_hash(UNPROVEN)
    shown(fault("false_note", noting(UNPROVEN), UNPROVEN))
    refused(fault("false_note", noting(UNPROVEN), longer))


@pytest.mark.parametrize(
    "given", [*OF_EACH_KIND, two_votes(vote(), vote(mark=b"i"))], ids=lambda one: one.kind
)
def test_no_changed_byte_in_a_proof_is_believed(given: Fault) -> None:
    # Who published a verdict does not matter, so the last bytes of a proof of false_note, a signature, do not either.
    proofs = given.proof[:1] if given.kind == "false_note" else given.proof
    for at, data in enumerate(proofs):
        for place in range(0, len(data), 7):
            bent = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            proof = (*given.proof[:at], bent, *given.proof[at + 1 :])
            with pytest.raises(Rejected):
                verify_fault(msgspec.structs.replace(given, proof=proof), KNOWN)
