"""A verdict by evidence of work: the device's own two samples show it, or there is none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mint.charter.model import Chain, DeviceClass
from mint.errors import Reason, Rejected
from mint.merkle import leaf_hash
from mint.messages.judgement import Accusation, SampleRef, Verdict, Vote
from mint.messages.sample import MinerReading, Sample
from mint.verdict import LEAST_FRAMES, Proven, verify_verdict
from mint.work import Count, WorkRule, work_rule
from tests.builders import BRACKET, MS, T0_MS, Net, S

CHAIN = Chain(10_000, 334, 120, 10**9)
NET = Net(miners=3, devices=2, chain=CHAIN, classes=(DeviceClass("pi", 2_000_000),))  # m01 and m03 on edge1
MINER = NET.charter.miners_by_name()["m01"]
HASH = bytes(range(32))
SHARE = 100 * MS  # what a miner is entitled to in a second
TWICE = 6  # shares a second of a miner that works for two


def rule() -> WorkRule:
    found = work_rule(NET.charter, MINER)
    assert found is not None
    return found


def sample(
    sequence: int,
    shares: int,
    *,
    usage_ns: int | None = None,
    epoch: int = 1,
    boot: bytes = b"B" * 16,
    device: str = "edge1",
) -> bytes:
    """What m01's device signed at second `sequence`: by default use as it is entitled to."""
    at, used_ns = sequence * S, sequence * SHARE if usage_ns is None else usage_ns
    reading = MinerReading("m01", epoch, at, at + BRACKET, used_ns, 0, 0, 0, 0, 0, -1, 0, True, shares)
    signer = NET.signer(device)
    signer._sequence = sequence - 1
    return signer.stream(Sample(boot, 4, 0, (reading,)), NET.sealed.topics().sample(device), T0_MS)


def verdict(first: bytes, last: bytes, net: Net = NET, **changes: Any) -> Verdict:
    refs = [SampleRef("edge1", 1, 10, leaf_hash(data)) for data in (first, last)]
    accused = Accusation("m01", 1, 20, "work", SHARE, *refs)
    vote = Vote("fog1", 90, HASH, net.sealed.hash, (accused,))
    votes = tuple(net.signer(name).object(vote) for name in ("det1", "det2", "det4"))
    made = Verdict("fog1", net.sealed.hash, "m01", 1, 90, 20, "work", SHARE, votes, first, last)
    return msgspec.structs.replace(made, **changes)


def verified(made: Verdict, net: Net = NET) -> Proven:
    return verify_verdict(made, {net.sealed.hash: net.sealed})


def refused(made: Verdict, text: str, net: Net = NET) -> None:
    with pytest.raises(Rejected, match=text) as caught:
        verified(made, net)
    assert caught.value.reason is Reason.NOT_PROVEN


FIRST, LAST = sample(20, 1000), sample(80, 1000 + 60 * TWICE)


def test_work_for_two_in_the_cpu_time_of_one_proves_itself() -> None:
    proven = verified(verdict(FIRST, LAST))
    assert (proven.miner.name, proven.evidence, proven.epoch) == ("m01", "work", 1)
    assert proven.excess_ns == rule().excess_ns(Count(0, 0), Count(60 * SHARE, 60 * TWICE))
    assert proven.excess_ns == pytest.approx(60 * SHARE, rel=0.05)
    # The counters say nothing of what was taken, so the quota stays low for a while.
    assert proven.until == proven.frame + LEAST_FRAMES


def test_the_law_is_exact_to_the_share() -> None:
    proves = [n for n in range(400) if rule().proves(Count(0, 0), Count(60 * SHARE, n))]
    enough = proves[0]
    assert proves == list(range(enough, 400))
    assert verified(verdict(FIRST, sample(80, 1000 + enough)))
    refused(verdict(FIRST, sample(80, 1000 + enough - 1)), "more work than its CPU time explains")


@pytest.mark.parametrize(
    ("last", "text"),
    [
        (sample(80, 1180), "more work than its CPU time explains"),  # an honest miner's
        (sample(80, 1000), "more work than its CPU time explains"),
        (sample(80, 0), "more work than its CPU time explains"),
        (sample(80, 1360, epoch=2), "two epochs"),
        (sample(80, 1360, boot=b"C" * 16), "two boots"),
        (sample(80, 1360, usage_ns=0), "more work than its CPU time explains"),
        (sample(80, 1360, device="edge2"), "not of edge1"),
        (sample(19, 1360), "not in order"),
    ],
)
def test_no_quorum_of_liars_makes_a_verdict_of_samples_that_do_not_show_it(last: bytes, text: str) -> None:
    refused(verdict(FIRST, last), text)


def test_use_above_entitlement_is_no_evidence_of_work() -> None:
    refused(verdict(FIRST, sample(80, 1360, usage_ns=200 * SHARE)), "more work than its CPU time explains")


def test_where_no_ledger_is_mined_there_is_no_such_evidence() -> None:
    net = Net(miners=3, devices=2)
    refused(verdict(FIRST, LAST, net), "nothing says how many shares", net)
