"""What makes a verdict: a valid one proves the right numbers, and each link in turn breaks it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mint.budget import Reading
from mint.errors import Reason, Rejected
from mint.merkle import leaf_hash
from mint.messages.judgement import Accusation, SampleRef, Verdict, Vote
from mint.messages.sample import MinerReading, Sample
from mint.verdict import LEAST_FRAMES, Proven, summary, verify_verdict
from tests.builders import BRACKET, MS, T0_MS, Net, S

NET = Net(miners=3, devices=2)  # m01 and m03 on edge1, m02 on edge2
HASH = bytes(range(32))
BOOT = b"B" * 16
SHARE = 100 * MS  # what a miner is entitled to in a second


def reading(miner: str, at_s: float, usage_ns: int, epoch: int = 1) -> MinerReading:
    at = round(at_s * S)
    return MinerReading(miner, epoch, at, at + BRACKET, usage_ns, 0, 0, 0, 0, 0, -1, 0, True, 0)


def sample(
    sequence: int,
    *readings: MinerReading,
    device: str = "edge1",
    boot: bytes = BOOT,
    steal_ns: int = 0,
    session: int = 1,
) -> bytes:
    """A sample envelope of a device at this place in its stream."""
    signer = NET.signer(device, session)
    signer._sequence = sequence - 1
    topic = NET.sealed.topics().sample(device)
    return signer.stream(Sample(boot, 4, steal_ns, readings), topic, T0_MS)


FIRST = sample(10, reading("m01", 100, 50 * S), reading("m03", 100, 50 * S))
LAST = sample(13, reading("m01", 103, 50 * S + 6 * SHARE), reading("m03", 103, 50 * S + 3 * SHARE))


def ref(data: bytes) -> SampleRef:
    return SampleRef("edge1", 1, 10, leaf_hash(data))


def accusation(first: bytes = FIRST, last: bytes = LAST, **changes: Any) -> Accusation:
    made = Accusation("m01", 2, 20, "budget", 3 * SHARE, ref(first), ref(last))
    return msgspec.structs.replace(made, **changes)


def vote(detector: str, *accusations: Accusation, **changes: Any) -> bytes:
    made = Vote("fog1", 23, HASH, NET.sealed.hash, accusations or (accusation(),))
    return NET.signer(detector).object(msgspec.structs.replace(made, **changes))


def votes(*accusations: Accusation, **changes: Any) -> tuple[bytes, ...]:
    return tuple(vote(detector, *accusations, **changes) for detector in ("det1", "det2", "det4"))


def verdict(first: bytes = FIRST, last: bytes = LAST, **changes: Any) -> Verdict:
    made = Verdict(
        fog="fog1",
        charter=NET.sealed.hash,
        miner="m01",
        offence=2,
        frame=23,
        began=20,
        evidence="budget",
        excess_ns=3 * SHARE,
        votes=votes(accusation(first, last)),
        first=first,
        last=last,
    )
    return msgspec.structs.replace(made, **changes)


def verified(given: Verdict) -> Proven:
    return verify_verdict(given, {NET.sealed.hash: NET.sealed})


def refused(given: Verdict, reason: Reason, match: str) -> None:
    with pytest.raises(Rejected, match=match) as caught:
        verified(given)
    assert caught.value.reason is reason


def test_a_valid_verdict_proves_who_what_and_how_long() -> None:
    proven = verified(verdict())
    assert proven == Proven(
        miner=NET.charter.miners_by_name()["m01"],
        offence=2,
        began=20,
        frame=23,
        frame_hash=HASH,
        until=23 + 300,
        evidence="budget",
        excess_ns=3 * SHARE - BRACKET // 10,  # the window is as long as it can have been
        first=Reading(100 * S, 100 * S + BRACKET, 50 * S, 0),
        last=Reading(103 * S, 103 * S + BRACKET, 50 * S + 6 * SHARE, 0),
        boot=BOOT,
        epoch=1,
        charter=NET.sealed,
    )


def test_more_votes_than_a_quorum_and_other_accusations_beside_do_no_harm() -> None:
    other = accusation(miner="m02", began=1)
    every = tuple(vote(detector, other, accusation()) for detector in NET.detectors)
    assert verified(verdict(votes=every)).excess_ns == verified(verdict()).excess_ns


# --- the charter --------------------------------------------------------------------------------------


def test_an_unknown_charter() -> None:
    refused(verdict(charter=HASH), Reason.UNKNOWN_CHARTER, "under charter 000102")


def test_another_fog_or_a_stranger() -> None:
    refused(verdict(fog="fog2"), Reason.WRONG_NETWORK, "m01 of fog2")
    refused(verdict(miner="m99"), Reason.WRONG_NETWORK, "m99")


# --- the votes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2])
def test_short_of_a_quorum(count: int) -> None:
    refused(verdict(votes=votes()[:count]), Reason.NO_QUORUM, f"{count} detectors, 3 are needed|^no_quorum")


def test_one_detector_counts_once() -> None:
    twice = (vote("det1"), vote("det2"), vote("det2"))
    refused(verdict(votes=twice), Reason.NO_QUORUM, "2 detectors, 3 are needed")
    with_another_word = (vote("det1"), vote("det2"), vote("det2", accusation(), accusation(miner="m02")))
    refused(verdict(votes=with_another_word), Reason.NO_QUORUM, "2 detectors")


def test_more_votes_than_nodes_are_not_even_counted() -> None:
    refused(verdict(votes=(vote("det1"),) * 20), Reason.NO_QUORUM, "20 votes are more than there are nodes")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"frame": 24}, "on something else"),
        ({"fog": "fog2"}, "on something else"),
        ({"charter": HASH}, "on something else"),
        ({"frame_hash": bytes(32)}, "two different frames 23"),
    ],
)
def test_a_vote_on_something_else(changes: dict[str, Any], match: str) -> None:
    mixed = (vote("det1"), vote("det2"), vote("det3", **changes))
    refused(verdict(votes=mixed), Reason.NO_QUORUM, match)


@pytest.mark.parametrize("changes", [{"miner": "m03"}, {"offence": 3}])
def test_a_vote_that_accuses_of_something_else(changes: dict[str, Any]) -> None:
    mixed = (vote("det1"), vote("det2"), vote("det3", accusation(**changes)))
    refused(verdict(votes=mixed), Reason.NO_QUORUM, "vote of det3 does not accuse m01 of this")


def test_a_vote_of_someone_who_has_none() -> None:
    for name, reason in (("manager", Reason.WRONG_ROLE), ("mallory", Reason.UNKNOWN_SENDER)):
        mixed = (vote("det1"), vote("det2"), vote(name))
        refused(verdict(votes=mixed), reason, name)


def test_a_forged_vote() -> None:
    forged = bytearray(vote("det3"))
    forged[-1] ^= 1
    refused(
        verdict(votes=(vote("det1"), vote("det2"), bytes(forged))),
        Reason.BAD_SIGNATURE,
        "in the name of det3",
    )
    refused(verdict(votes=(vote("det1"), vote("det2"), FIRST)), Reason.WRONG_KIND, "sample")
    refused(verdict(votes=(vote("det1"), vote("det2"), b"")), Reason.MALFORMED, "truncated")


# --- what its votes say -------------------------------------------------------------------------------


def said_by(*accusations: Accusation) -> tuple[bytes, ...]:
    return tuple(vote(name, one) for name, one in zip(NET.detectors, accusations, strict=False))


@pytest.mark.parametrize(
    "changes", [{"began": 19}, {"began": 21}, {"evidence": "pob"}, {"excess_ns": 1}, {"evidence": "ssa"}]
)
def test_it_says_of_the_offence_what_its_votes_say(changes: dict[str, Any]) -> None:
    refused(verdict(**changes), Reason.NOT_PROVEN, "something else of the offence than its votes")


def test_of_three_words_the_middle_one_counts_and_the_evidence_that_most_name() -> None:
    three = said_by(
        accusation(began=1, excess_ns=5 * SHARE, evidence="pob"),
        accusation(began=22, excess_ns=0),
        accusation(began=20, excess_ns=3 * SHARE),
    )
    assert verified(verdict(votes=three)).began == 20
    assert verified(verdict(votes=three[::-1])) == verified(verdict(votes=three)), "whatever their order"


@given(
    st.integers(0, 2**63 - 1), st.sampled_from(["budget", "ssa", "pob", "work"]), st.integers(0, 2**63 - 1)
)
def test_a_liar_in_a_quorum_moves_nothing_beyond_what_the_honest_said(
    began: int, evidence: Any, excess_ns: int
) -> None:
    """f_detectors = 1 of three."""
    honest = (accusation(began=20, excess_ns=3 * SHARE), accusation(began=22, excess_ns=4 * SHARE))
    liar = accusation(began=began, evidence=evidence, excess_ns=excess_ns)
    for order in itertools.permutations([*honest, liar]):
        summed = summary(order)
        assert 20 <= summed.began <= 22
        assert 3 * SHARE <= summed.excess_ns <= 4 * SHARE
        assert summed.evidence == "budget"
        assert summed == summary([*honest, liar])


# --- the samples --------------------------------------------------------------------------------------


def test_other_samples_than_the_votes_name() -> None:
    between = sample(12, reading("m01", 102, 50 * S + 4 * SHARE))
    refused(verdict(votes=votes(), last=between, first=FIRST), Reason.NOT_PROVEN, "not those the votes name")
    refused(msgspec.structs.replace(verdict(), first=LAST, last=FIRST), Reason.NOT_PROVEN, "not those")


def test_one_pair_is_not_mixed_of_two_accusations() -> None:
    other_first, other_last = sample(1, reading("m01", 1, 0)), sample(2, reading("m01", 2, S))
    mixed = (*votes()[:2], vote("det4", accusation(other_first, other_last)))
    assert verified(verdict(votes=mixed)).excess_ns
    refused(msgspec.structs.replace(verdict(votes=mixed), first=other_first), Reason.NOT_PROVEN, "not those")


def breaking(first: bytes, last: bytes, reason: Reason, match: str) -> Any:
    return pytest.param(first, last, reason, match, id=match)


def elsewhere(sequence: int, at_s: float, usage: int) -> bytes:
    return sample(sequence, reading("m01", at_s, usage), device="edge2")


@pytest.mark.parametrize(
    ("first", "last", "reason", "match"),
    [
        breaking(elsewhere(10, 100, 0), elsewhere(13, 103, S), Reason.NOT_PROVEN, "not of edge1"),
        breaking(FIRST, elsewhere(13, 103, 60 * S), Reason.NOT_PROVEN, "samples are not of edge1"),
        breaking(LAST, FIRST, Reason.NOT_PROVEN, "samples are not in order"),
        breaking(FIRST, FIRST, Reason.NOT_PROVEN, "are not in order"),
        breaking(
            FIRST,
            sample(1, reading("m01", 103, 60 * S), session=2, boot=b"C" * 16),
            Reason.NOT_PROVEN,
            "two boots",
        ),
        breaking(FIRST, sample(13, reading("m03", 103, 60 * S)), Reason.NOT_PROVEN, "does not hold m01"),
        breaking(FIRST, sample(13, reading("m01", 99, 60 * S)), Reason.NOT_PROVEN, "times of the samples"),
        breaking(
            FIRST, sample(13, reading("m01", 103, 49 * S)), Reason.NOT_PROVEN, "more than the law allows"
        ),
        breaking(
            FIRST,
            sample(13, reading("m01", 103, 50 * S + 3 * SHARE)),
            Reason.NOT_PROVEN,
            "more than the law allows",
        ),
        breaking(FIRST, b"", Reason.MALFORMED, "malformed"),
    ],
)
def test_samples_that_prove_nothing(first: bytes, last: bytes, reason: Reason, match: str) -> None:
    refused(verdict(first, last), reason, match)


def at_excess(excess_ns: int, steal_ns: int = 0, evidence: str = "budget") -> Verdict:
    used = 3 * SHARE + BRACKET // 10 + excess_ns
    last = sample(13, reading("m01", 103, 50 * S + used), steal_ns=steal_ns)
    said = accusation(last=last, evidence=evidence)
    return verdict(last=last, evidence=evidence, votes=votes(said))


def test_the_law_is_exact_to_the_nanosecond() -> None:
    burst = NET.charter.rule(NET.charter.miners[0]).allowed_ns
    refused(at_excess(burst), Reason.NOT_PROVEN, "more than the law allows")
    assert verified(at_excess(burst + 1)).excess_ns == burst + 1


def test_steal_time_excuses_up_to_the_overrun_and_no_further() -> None:
    burst = NET.charter.rule(NET.charter.miners[0]).allowed_ns
    overrun = NET.charter.detection.overrun_ms * MS
    refused(at_excess(burst + 1, steal_ns=1), Reason.NOT_PROVEN, "more than the law allows")
    refused(at_excess(burst + overrun, steal_ns=60 * S), Reason.NOT_PROVEN, "more than the law allows")
    assert verified(at_excess(burst + overrun + 1, steal_ns=60 * S)).excess_ns == burst + overrun + 1


@pytest.mark.parametrize("evidence", ["budget", "pob"])
def test_where_the_evidence_is_of_use_the_samples_have_to_show_the_excess(evidence: str) -> None:
    """A quorum of liars calls it what it likes; the device's own samples decide."""
    burst = NET.charter.rule(NET.charter.miners[0]).allowed_ns
    assert verified(at_excess(burst + 1, evidence=evidence)).evidence == evidence
    for excess in (burst, 1, 0, -SHARE):
        refused(at_excess(excess, evidence=evidence), Reason.NOT_PROVEN, "more than the law allows")


def test_what_no_two_samples_can_show_rests_on_the_quorum_and_costs_a_minute() -> None:
    def first_rung(evidence: Any, excess_ns: int) -> Proven:
        last = at_excess(excess_ns).last
        named = accusation(last=last, evidence=evidence, offence=1)
        return verified(verdict(last=last, offence=1, evidence=evidence, votes=votes(named)))

    proven = first_rung("ssa", 0)
    assert (proven.evidence, proven.until) == ("ssa", proven.frame + LEAST_FRAMES)
    # Where counters say what was taken, that is given back, and no more.
    assert first_rung("budget", SHARE).until == proven.frame
    # f liars who call it so change nothing.
    last = at_excess(0).last
    mixed = tuple(
        vote(name, accusation(last=last, evidence=evidence))
        for name, evidence in (("det1", "ssa"), ("det2", "budget"), ("det4", "budget"))
    )
    refused(verdict(last=last, votes=mixed), Reason.NOT_PROVEN, "more than the law allows")


def test_of_a_counter_made_anew_only_what_it_counted_itself_is_proof() -> None:
    small = sample(13, reading("m01", 103, 3 * SHARE, epoch=2))
    refused(verdict(last=small), Reason.NOT_PROVEN, "more than the law allows")
    large = sample(13, reading("m01", 103, 5 * SHARE, epoch=2))
    proven = verified(verdict(last=large))
    assert (proven.excess_ns, proven.epoch, proven.first.usage_ns) == (2 * SHARE - BRACKET // 10, 2, 0)


@pytest.mark.parametrize(
    "put",
    [
        lambda good, bad: msgspec.structs.replace(good, first=bad(good.first)),
        lambda good, bad: msgspec.structs.replace(good, last=bad(good.last)),
        lambda good, bad: msgspec.structs.replace(good, votes=(*good.votes[:2], bad(good.votes[2]))),
    ],
    ids=["first", "last", "vote"],
)
def test_no_changed_byte_in_it_is_believed(
    put: Callable[[Verdict, Callable[[bytes], bytes]], Verdict],
) -> None:
    good = verdict()
    for number in range(len(good.votes[2])):

        def bad(data: bytes, at: int = number) -> bytes:
            at %= len(data)
            return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

        with pytest.raises(Rejected):
            verified(put(good, bad))
