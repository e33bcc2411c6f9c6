"""Proofs of detectors' and devices' misconduct, and claims of omission: each kind shown, each near miss refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mint.envelope import Signer
from mint.errors import Reason
from mint.fault import CLAIM_WINDOW, halts
from mint.messages.chain import ShareBatch, Shares
from mint.messages.fault import Fault
from mint.messages.sample import MinerReading, Sample
from tests.builders import T0_MS, key_of
from tests.core.misconduct import (
    DATA,
    KNOWN,
    NET,
    TWIN,
    VERDICT,
    charter,
    fault,
    forged,
    nodes,
    noting,
    refused,
    sample,
    shown,
    two_votes,
    vote,
)

# --- two_votes, two_samples ---------------------------------------------------------------------------


def test_two_votes_of_a_detector_on_one_frame_show_it() -> None:
    shown(two_votes(vote(), vote(mark=b"i")))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (two_votes(vote(), vote()), Reason.NOT_PROVEN),
        (two_votes(vote(), vote(6, b"i")), Reason.NOT_PROVEN),
        (two_votes(vote(), vote(mark=b"i"), frame=6), Reason.NOT_PROVEN),
        (two_votes(vote(), vote(mark=b"i"), accused="det1"), Reason.NOT_PROVEN),
        (two_votes(vote(), vote(mark=b"i", name="det3", key="det3")), Reason.NOT_PROVEN),
        (two_votes(vote(), vote(mark=b"i", key="det3")), Reason.BAD_SIGNATURE),
        (two_votes(vote(), vote(mark=b"i"), about="det2"), Reason.NOT_PROVEN),
        (two_votes(vote(), DATA[5]), Reason.WRONG_KIND),
        (two_votes(vote()), Reason.NOT_PROVEN),
    ],
)
def test_what_shows_no_two_votes(given: Fault, reason: Reason) -> None:
    refused(given, reason)


def test_two_votes_of_two_keys_of_one_name_are_no_fault() -> None:
    rekeyed = charter(nodes=nodes(det2=key_of("det2, rotated").public))
    known = KNOWN | {rekeyed.hash: rekeyed}
    refused(two_votes(vote(), vote(mark=b"i", key="det2, rotated")), charters=known)
    assert shown(two_votes(vote(), vote(mark=b"i")), known).charter == NET.sealed


def placed(sequence: int = 3, steal_ns: int = 0, device: str = "edge1", session: int = 1) -> bytes:
    signer = NET.signer(device, session)
    signer._sequence = sequence - 1
    return signer.stream(Sample(b"B" * 16, 4, steal_ns, ()), NET.sealed.topics().sample(device), 0)


def two_samples(*proof: bytes, **changes: Any) -> Fault:
    return fault("two_samples", *proof, **({"accused": "edge1", "frame": 0} | changes))


def test_two_samples_of_a_device_at_one_place_show_it() -> None:
    found = shown(two_samples(placed(), placed(steal_ns=1)))
    assert not halts(found, NET.sealed)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (two_samples(placed(), placed()), Reason.NOT_PROVEN),
        (two_samples(placed(), placed(4, 1)), Reason.NOT_PROVEN),
        (two_samples(placed(), placed(3, 1, session=2)), Reason.NOT_PROVEN),
        (two_samples(placed(), placed(3, 1, "edge2")), Reason.NOT_PROVEN),
        (two_samples(placed(), placed(steal_ns=1), accused="edge2"), Reason.NOT_PROVEN),
        (two_samples(placed(), placed(steal_ns=1), frame=5), Reason.NOT_PROVEN),
        (two_samples(DATA[5], DATA[5]), Reason.WRONG_KIND),
    ],
)
def test_what_shows_no_two_samples(given: Fault, reason: Reason) -> None:
    refused(given, reason)


# --- two_totals ---------------------------------------------------------------------------------------


def batch(total: int = 40, place: tuple[int, int] = (1, 3), miner: str = "m01", **changes: Any) -> bytes:
    """By edge1's key if nothing else is said, whatever device it names."""
    entries = [Shares(miner, b"p" * 32, b"r" * 32, 3, T0_MS, 9, n, bytes(8)) for n in (total, total - 1)]
    by, key = changes.pop("by", "edge1"), changes.pop("key", None)
    made = msgspec.structs.replace(ShareBatch("fog1", "edge1", *place, tuple(entries)), **changes)
    return Signer(by, key_of(key or by), NET.network).object(made)


def counting(
    shares: int = 39, sequence: int = 4, device: str = "edge1", session: int = 1, miner: str = "m01"
) -> bytes:
    signer = NET.signer(device, session)
    signer._sequence = sequence - 1
    reading = MinerReading(miner, 1, 0, 1, 0, 0, 0, 0, 0, 0, -1, -1, True, shares)
    return signer.stream(Sample(b"B" * 16, 4, 0, (reading,)), NET.sealed.topics().sample(device), 0)


def two_totals(*proof: bytes, **changes: Any) -> Fault:
    return fault("two_totals", *proof, **({"accused": "edge1", "frame": 0, "about": "m01"} | changes))


def test_fewer_shares_in_a_later_sample_than_were_shown_before_are_a_lie() -> None:
    found = shown(two_totals(batch(), counting()))
    assert not found.claim
    assert not halts(found, NET.sealed)
    shown(two_totals(batch(), counting(0, 10**9)))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (two_totals(batch(), counting(40)), Reason.NOT_PROVEN),
        (two_totals(batch(), counting(41)), Reason.NOT_PROVEN),
        (two_totals(batch(), counting(sequence=3)), Reason.NOT_PROVEN),  # of that very moment
        (two_totals(batch(), counting(sequence=2)), Reason.NOT_PROVEN),
        (two_totals(batch(), counting(session=2)), Reason.NOT_PROVEN),  # its disk may have been lost
        (two_totals(batch(place=(2, 1)), counting()), Reason.NOT_PROVEN),
        (two_totals(batch(miner="m03"), counting()), Reason.NOT_PROVEN),
        (two_totals(batch(), counting(), about="m03"), Reason.NOT_PROVEN),
        (two_totals(batch(miner="m02"), counting(miner="m02"), about="m02"), Reason.NOT_PROVEN),  # edge2's
        (two_totals(batch(), counting(), about=""), Reason.NOT_PROVEN),
        (two_totals(batch(), counting(), frame=5), Reason.NOT_PROVEN),
        (two_totals(batch(), counting(device="edge2")), Reason.NOT_PROVEN),
        (two_totals(batch(by="edge2"), counting()), Reason.NOT_PROVEN),
        (two_totals(batch(), counting(), accused="edge2"), Reason.NOT_PROVEN),
        (two_totals(batch(device="edge2"), counting()), Reason.NOT_PROVEN),
        (two_totals(batch(fog="fog2"), counting()), Reason.NOT_PROVEN),
        (two_totals(batch(key="edge2"), counting()), Reason.BAD_SIGNATURE),
        (two_totals(counting(), batch()), Reason.WRONG_KIND),
        (two_totals(batch()), Reason.NOT_PROVEN),
    ],
)
def test_what_shows_no_two_totals(given: Fault, reason: Reason) -> None:
    refused(given, reason)


def test_two_totals_of_two_keys_of_one_name_are_no_fault() -> None:
    rekeyed = charter(nodes=nodes(edge1=key_of("edge1, rotated").public))
    known = KNOWN | {rekeyed.hash: rekeyed}
    refused(two_totals(batch(key="edge1, rotated"), counting()), charters=known)
    assert shown(two_totals(batch(), counting()), known).charter == NET.sealed


def test_who_has_no_say_about_a_miner_any_more_says_nothing_of_it() -> None:
    moved = tuple(
        msgspec.structs.replace(one, device="edge2") if one.name == "m01" else one
        for one in NET.charter.miners
    )
    newer = charter(miners=moved)
    refused(two_totals(batch(), counting()), charters=KNOWN | {newer.hash: newer})


# --- claims, and what they make -----------------------------------------------------------------------


def unheard(number: int = 5, of: int = 6, **changes: Any) -> Fault:
    return fault("unheard", sample(of), DATA[number], **({"about": "edge1", "frame": number} | changes))


def unseen(number: int = 5, **changes: Any) -> Fault:
    return fault("unseen", DATA[number], **({"about": "edge1", "frame": number} | changes))


def claims(*given: Fault) -> tuple[bytes, ...]:
    """Each by another detector."""
    return tuple(NET.signer(name).object(one) for name, one in zip(NET.detectors, given, strict=False))


def omission(*proof: bytes, **changes: Any) -> Fault:
    return fault("omission", *proof, **({"about": "edge1"} | changes))


@pytest.mark.parametrize("given", [unheard(), unseen(), unheard(4, 5)])
def test_a_claim_is_no_more_than_a_word(given: Fault) -> None:
    found = shown(given)
    assert found.claim
    assert not halts(found, NET.sealed)


@pytest.mark.parametrize(
    "given",
    [
        unheard(6, 6),  # the frame rests on it
        unheard(6, 5),  # and on a later one
        unheard(about="edge2"),
        unheard(frame=6),
        unseen(about="edge9"),
        unseen(frame=6),
        unseen(accused="det1"),
        unseen(about="m01"),  # no verdict on it is named
    ],
)
def test_what_is_not_even_a_claim(given: Fault) -> None:
    refused(given)


def test_a_claim_may_be_of_a_verdict_that_nobody_shows() -> None:
    shown(fault("unseen", noting(VERDICT), about="m01"))


@pytest.mark.parametrize("claim", [unheard, unseen])
def test_as_many_claims_as_make_a_verdict_show_an_omission(claim: Any) -> None:
    found = shown(omission(*claims(claim(), claim(4), claim(5))))
    assert not found.claim
    assert not halts(found, NET.sealed), "the frames that there are stay true"
    shown(omission(*claims(claim(), claim(), claim(), claim())))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (omission(*claims(unseen(), unseen())), Reason.NO_QUORUM),
        (omission(*[claims(unseen())[0]] * 3), Reason.NO_QUORUM),
        (omission(*claims(unseen(), unseen(), unheard())), Reason.NO_QUORUM),
        (omission(*claims(unseen(), unseen(), unseen(about="edge2"))), Reason.NOT_PROVEN),
        (omission(*claims(unseen(), unseen(), unseen()), about="edge2"), Reason.NOT_PROVEN),
        (omission(*claims(unseen(), unseen(), unseen()), accused="det1"), Reason.NOT_PROVEN),
        (omission(*claims(unseen(), unseen(), unseen()), frame=4), Reason.NOT_PROVEN),
        (omission(*claims(unseen(), unseen(), unseen(frame=6))), Reason.NOT_PROVEN),
        (omission(*claims(unseen(), unseen()), NET.signer("enforcer").object(unseen())), Reason.WRONG_ROLE),
        (omission(*claims(unseen(), unseen(), fault("two_frames", DATA[5], TWIN))), Reason.NOT_PROVEN),
        (omission(*claims(unseen(), unseen(), omission(*claims(*[unseen()] * 3)))), Reason.NOT_PROVEN),
        (omission(*claims(unseen(), unseen()), vote()), Reason.WRONG_KIND),
    ],
)
def test_what_shows_no_omission(given: Fault, reason: Reason) -> None:
    refused(given, reason)


def test_claims_of_long_ago_and_of_today_do_not_add_up() -> None:
    def late(number: int) -> Fault:
        return fault("unseen", forged(5, number=number), about="edge1", frame=number)

    last = 5 + CLAIM_WINDOW
    shown(omission(*claims(unseen(), unseen(), late(last)), frame=last))
    refused(omission(*claims(unseen(), unseen(), late(last + 1)), frame=last + 1))
