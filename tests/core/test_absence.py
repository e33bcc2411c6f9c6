"""What makes an absence, and every way in which it is none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mint.absence import verify_absence
from mint.charter.seal import SealedCharter
from mint.envelope import Signer
from mint.errors import Reason, Rejected
from mint.messages.judgement import Absence, Vote
from tests.builders import T0_MS, Net, key_of

NET = Net(miners=4, devices=2)
KNOWN = {NET.sealed.hash: NET.sealed}
DARK = ("m01", "m03")


def vote(name: str = "det1", dark: tuple[str, ...] = DARK, key: str | None = None, **changes: Any) -> bytes:
    made = Vote("fog1", 40, b"h" * 32, NET.sealed.hash, (), dark, T0_MS)
    return Signer(name, key_of(key or name), NET.network).object(msgspec.structs.replace(made, **changes))


def quorum(**changes: Any) -> tuple[bytes, ...]:
    return tuple(vote(name, **changes) for name in ("det1", "det2", "det4"))


def absence(*votes: bytes, **changes: Any) -> Absence:
    made = Absence("fog1", NET.sealed.hash, 40, DARK, votes or quorum())
    return msgspec.structs.replace(made, **changes)


def test_a_quorum_that_calls_miners_dark_establishes_who_was_and_when() -> None:
    absent = verify_absence(absence(), KNOWN)
    assert (absent.miners, absent.frame, absent.time_ms, absent.charter) == (DARK, 40, T0_MS, NET.sealed)
    detection = NET.charter.detection
    assert (absent.lasting, absent.lasting_ms) == (2 * detection.d, 2 * detection.d * NET.charter.period_ms)


def test_votes_may_call_others_dark_too_and_be_more_than_a_quorum() -> None:
    verify_absence(absence(miners=("m03",)), KNOWN)
    verify_absence(absence(*quorum(), vote("det3", ("m01", "m02", "m03", "m04"))), KNOWN)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (absence(*quorum()[:2]), Reason.NO_QUORUM),
        (absence(*quorum()[:1] * 3), Reason.NO_QUORUM),
        (absence(*quorum()[:2], vote("det3", ("m01",))), Reason.NO_QUORUM),
        (absence(*quorum()[:2], vote("det3", ())), Reason.NO_QUORUM),
        (absence(*quorum()[:2], vote("det3", frame=41)), Reason.NO_QUORUM),
        (absence(*quorum()[:2], vote("det3", frame_hash=b"i" * 32)), Reason.NO_QUORUM),
        (absence(*quorum()[:2], vote("det3", time_ms=T0_MS + 1)), Reason.NO_QUORUM),
        (absence(*quorum()[:2], vote("det3", charter=bytes(32))), Reason.NO_QUORUM),
        (absence(*quorum()[:2], vote("det3", fog="fog2")), Reason.NO_QUORUM),
        (absence(*quorum() * 10), Reason.NO_QUORUM),
        (absence(*quorum()[:2], vote("det3", key="det4")), Reason.BAD_SIGNATURE),
        (absence(*quorum()[:2], vote("enforcer")), Reason.WRONG_ROLE),
        (absence(frame=41), Reason.NO_QUORUM),
        (absence(fog="fog2"), Reason.WRONG_NETWORK),
        (absence(miners=("m09",)), Reason.WRONG_NETWORK),
        (absence(charter=bytes(32)), Reason.UNKNOWN_CHARTER),
        (absence(miners=("m03", "m01")), Reason.MALFORMED),
        (absence(miners=("m01", "m01")), Reason.MALFORMED),
        (absence(miners=("m01", "m02")), Reason.NO_QUORUM),
        (absence(b"", *quorum()), Reason.MALFORMED),
    ],
)
def test_what_is_no_absence(given: Absence, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        verify_absence(given, KNOWN)
    assert caught.value.reason is reason, caught.value


def test_it_is_judged_by_the_charter_that_it_names() -> None:
    without: SealedCharter = NET.next_version(miners=NET.charter.miners[1:])
    votes = quorum(charter=without.hash)
    with pytest.raises(Rejected):
        verify_absence(absence(*votes, charter=without.hash), KNOWN | {without.hash: without})
    verify_absence(absence(), KNOWN | {without.hash: without})
