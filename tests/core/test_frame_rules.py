"""The rules of the log: what an honest manager signs keeps them all, and each change in turn breaks one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mint.envelope import Opened, open_envelope
from mint.errors import Reason, Rejected
from mint.frame_rules import check_against, check_frame, check_step
from mint.merkle import leaf_hash, root
from mint.messages.frame import NOTHING, Decision, DeviceEntry, Frame, MinerEntry
from mint.messages.sample import MinerReading, Sample
from tests.builders import Net
from tests.twin_broker.fog import Fog

NET = Net(miners=4, devices=2)  # m01 and m03 on edge1, m02 and m04 on edge2
LAW = NET.charter
FOG = Fog(NET)
FOG.run(5)
BEFORE, FRAME = (told.frame for told in FOG.told[-2:])
SAMPLE = next(data for data in FOG.storage.samples(5) if NET.opened(data).sender == "edge1")

Change = Callable[[Frame], Frame]


def changed(frame: Frame, **fields: Any) -> Frame:
    return msgspec.structs.replace(frame, **fields)


def device(name: str = "edge1", **fields: Any) -> Change:
    """The frame with one device's entry changed, and the root that goes with it."""

    def change(frame: Frame) -> Frame:
        entries = tuple(
            msgspec.structs.replace(one, **fields) if one.device == name else one for one in frame.devices
        )
        return changed(frame, devices=entries, root=root([one.leaf for one in entries if one.leaf]))

    return change


def miner(name: str = "m01", **fields: Any) -> Change:
    def change(frame: Frame) -> Frame:
        entries = tuple(
            msgspec.structs.replace(one, **fields) if one.miner == name else one for one in frame.miners
        )
        return changed(frame, miners=entries)

    return change


def noted(*decisions: Decision, **offences: int) -> Change:
    def change(frame: Frame) -> Frame:
        for name, count in offences.items():
            frame = miner(name, offences=count, decided=frame.number)(frame)
        return changed(frame, decisions=decisions)

    return change


def decision(miner_: str = "m01", offence: int = 1, mark: bytes = b"v") -> Decision:
    return Decision(mark * 32, miner_, offence)


def entry(frame: Frame, name: str) -> MinerEntry:
    return next(one for one in frame.miners if one.miner == name)


def place(frame: Frame, name: str) -> DeviceEntry:
    return next(one for one in frame.devices if one.device == name)


def test_what_an_honest_manager_signs_keeps_every_rule() -> None:
    for told in FOG.told:
        check_frame(told.frame, LAW)
    for before, after in zip(FOG.told, FOG.told[1:], strict=False):
        check_step(before.frame, after.frame, LAW)
    for told in FOG.told:
        for data in FOG.proofs[told.hash]:
            opened = NET.opened(data)
            check_against(told.frame, place(told.frame, opened.sender), data, opened, LAW)


# --- by itself ----------------------------------------------------------------------------------------

ALONE: dict[str, tuple[Change, str]] = {
    "fog": (lambda f: changed(f, fog="fog2"), "another fog"),
    "number": (lambda f: changed(f, number=0), "of no number"),
    "device missing": (lambda f: changed(f, devices=f.devices[:1]), "devices are not the charter's"),
    "device twice": (
        lambda f: changed(f, devices=(*f.devices, f.devices[1])),
        "devices are not the charter's",
    ),
    "devices unsorted": (lambda f: changed(f, devices=f.devices[::-1]), "devices are not the charter's"),
    "strange miner": (miner("m04", miner="m99"), "miners are not the charter's"),
    "miner twice": (lambda f: changed(f, miners=(*f.miners, f.miners[-1])), "miners are not the charter's"),
    "miners unsorted": (lambda f: changed(f, miners=f.miners[::-1]), "miners are not the charter's"),
    "short leaf": (device(leaf=b"short"), "a leaf is no hash"),
    "root": (lambda f: changed(f, root=bytes(32)), "root is of other leaves"),
    "entitlement": (miner(entitled_ppm=100_001), "m01 is entitled to something else"),
    "present without a sample": (device(leaf=NOTHING), "m01 is present without a sample"),
    "decides twice": (noted(decision(), decision(mark=b"w"), m01=1), "decides twice"),
    "decides on a stranger": (noted(decision("m99")), "or on nobody"),
    "decides what it does not count": (noted(decision(offence=2), m01=1), "another offence than the last"),
    "decides offence nought": (noted(decision(offence=0)), "another offence than the last"),
    "decided in no frame": (miner(offences=1), "m01 was not decided on in frame 0"),
    "decided on no offence": (miner(decided=1), "m01 was not decided on in frame 1"),
    "decided later": (miner(offences=1, decided=99), "m01 was not decided on in frame 99"),
    "decided in this one, and names nothing": (
        lambda f: miner(offences=1, decided=f.number)(f),
        "was not decided on",
    ),
    "decides in another": (
        lambda f: miner(decided=1)(noted(decision(), m01=1)(f)),
        "m01 was not decided on in frame 1",
    ),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_frame_that_is_impossible_by_itself(name: str) -> None:
    change, what = ALONE[name]
    with pytest.raises(Rejected, match=what) as caught:
        check_frame(change(FRAME), LAW)
    assert caught.value.reason is Reason.IMPOSSIBLE


@pytest.mark.parametrize(
    "change",
    [
        noted(decision(), decision("m02"), m01=1, m02=1),
        lambda f: changed(f, miners=f.miners[1:]),
        lambda f: changed(f, time_ms=0, previous=bytes(32), receipts=(bytes(32),)),
        lambda f: device(leaf=NOTHING)(miner(present=False)(miner("m03", present=False)(f))),
    ],
)
def test_what_is_possible_by_itself(change: Change) -> None:
    check_frame(change(FRAME), LAW)


# --- after the one before -----------------------------------------------------------------------------

AFTER: dict[str, tuple[Change, str]] = {
    "skips": (lambda f: changed(f, number=f.number + 1), "follows frame 4"),
    "stays": (device(sequence=4), "edge1 is where it was, with something new"),
    "goes back": (device(session=0, sequence=99), "edge1 is where it was, with something new"),
    "moves with nothing": (device(leaf=NOTHING), "edge1 is elsewhere, with nothing new"),
    "too soon": (lambda f: changed(f, time_ms=BEFORE.time_ms + 499), f"frame {BEFORE.number} of"),
    "time of the frame backwards": (lambda f: changed(f, time_ms=0), "it is of 0 ms"),
    "miner gone": (lambda f: changed(f, miners=f.miners[1:]), "m01 has gone from it"),
    "counts more": (miner(offences=1), "counts 1 offences of m01 after 0"),
    "counts two": (noted(decision(offence=2), m01=2), "counts 2 offences of m01 after 0"),
    "decides and does not count": (noted(decision(offence=0)), "counts 0 offences of m01 after 0"),
    "decided elsewhere": (miner(decided=FRAME.number), f"puts a decision on m01 into frame {FRAME.number}"),
    "time backwards": (miner(before_ns=entry(BEFORE, "m01").after_ns - 1), "time of m01 runs backwards"),
    "use backwards": (miner(usage_ns=0), "use of m01 runs backwards"),
}


@pytest.mark.parametrize("name", AFTER)
def test_a_frame_that_is_impossible_after_the_one_before(name: str) -> None:
    change, what = AFTER[name]
    with pytest.raises(Rejected, match=what) as caught:
        check_step(BEFORE, change(FRAME), LAW)
    assert caught.value.reason is Reason.IMPOSSIBLE


def test_steal_time_runs_forward_within_a_boot() -> None:
    before = device(steal_ns=5)(BEFORE)
    check_step(before, device(steal_ns=5)(FRAME), LAW)
    with pytest.raises(Rejected, match="steal of edge1 runs backwards"):
        check_step(before, device(steal_ns=4)(FRAME), LAW)
    check_step(before, device(steal_ns=4, boot=b"C" * 16)(FRAME), LAW)


def test_shares_are_told_once_and_for_all_within_an_epoch() -> None:
    before = miner(shares=5)(BEFORE)
    check_step(before, miner(shares=5)(FRAME), LAW)
    with pytest.raises(Rejected, match="m01 has fewer shares than before"):
        check_step(before, miner(shares=4)(FRAME), LAW)
    check_step(before, miner(shares=0, epoch=2)(FRAME), LAW)


def test_who_has_nothing_new_is_as_the_frame_before_has_it() -> None:
    was = place(BEFORE, "edge1")
    silent = device(sequence=was.sequence, leaf=NOTHING)
    absent = silent(miner(present=False)(miner("m03", present=False)(FRAME)))
    check_step(BEFORE, absent, LAW)
    for change in (device(steal_ns=1), device(boot=b"C" * 16), device(session=2)):
        with pytest.raises(Rejected, match="edge1 is elsewhere, with nothing new"):
            check_step(BEFORE, change(absent), LAW)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BEFORE, device(boot=b"C" * 16)(miner(usage_ns=0, before_ns=0)(FRAME))),
        (BEFORE, miner(epoch=2, usage_ns=0)(FRAME)),
        (miner(present=False)(BEFORE), miner(usage_ns=0, before_ns=0)(FRAME)),
        (BEFORE, miner(present=False, usage_ns=0)(FRAME)),
        (changed(BEFORE, charter=bytes(32)), miner(usage_ns=0, before_ns=0)(FRAME)),
        (changed(BEFORE, miners=BEFORE.miners[1:]), FRAME),
        (changed(BEFORE, devices=BEFORE.devices[1:]), device(session=0, sequence=0)(FRAME)),
    ],
    ids=["boot", "epoch", "was away", "is away", "charter", "new miner", "new device"],
)
def test_what_does_not_compare_is_not_compared(before: Frame, after: Frame) -> None:
    check_step(before, after, LAW)


def test_an_offence_more_is_a_decision_more() -> None:
    once = noted(decision(), m01=1)(BEFORE)
    check_step(once, noted(decision(offence=2, mark=b"w"), m01=2)(FRAME), LAW)
    check_step(once, miner(offences=1, decided=BEFORE.number)(FRAME), LAW)
    for number in (0, BEFORE.number - 1, FRAME.number):
        with pytest.raises(Rejected, match=f"puts a decision on m01 into frame {number}"):
            check_step(once, miner(offences=1, decided=number)(FRAME), LAW)
    with pytest.raises(Rejected, match="counts 0 offences of m01 after 1"):
        check_step(once, FRAME, LAW)


def test_a_miner_that_the_charter_gives_up_goes_and_its_offences_with_it() -> None:
    fewer = NET.next_version(miners=LAW.miners[1:]).charter
    without = changed(FRAME, miners=FRAME.miners[1:], charter=bytes(32))
    check_step(miner(offences=3, decided=2)(BEFORE), without, fewer)
    again = changed(FRAME, number=6, time_ms=FRAME.time_ms + LAW.period_ms)
    check_step(changed(without, number=5), device(sequence=6)(device("edge2", sequence=6)(again)), LAW)


# --- beside the samples -------------------------------------------------------------------------------


def against(frame: Frame, data: bytes = SAMPLE, opened: Opened | None = None) -> None:
    check_against(frame, place(frame, "edge1"), data, opened or NET.opened(data), LAW)


COUNTERS = (
    "epoch",
    "before_ns",
    "after_ns",
    "usage_ns",
    "nr_periods",
    "nr_throttled",
    "throttled_ns",
    "gpu_ppm",
    "shares",
)


@pytest.mark.parametrize("field", COUNTERS)
def test_a_frame_that_says_something_else_than_the_sample_it_names(field: str) -> None:
    value = getattr(entry(FRAME, "m03"), field)
    with pytest.raises(Rejected, match="edge1 read m03 otherwise") as caught:
        against(miner("m03", **{field: value + 1})(FRAME))
    assert caught.value.reason is Reason.NOT_PROVEN


@pytest.mark.parametrize("fields", [{"session": 2}, {"sequence": 6}, {"boot": b"C" * 16}, {"steal_ns": 1}])
def test_a_frame_that_says_something_else_of_the_device(fields: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="edge1 said something else of itself"):
        against(device(**fields)(FRAME))


def test_a_frame_that_hides_a_reading_or_invents_one() -> None:
    for hidden in (miner(present=False)(FRAME), changed(FRAME, miners=FRAME.miners[1:])):
        with pytest.raises(Rejected, match="edge1 read m01 otherwise"):
            against(hidden)
    sample = NET.message(SAMPLE, Sample)
    fewer = signed(msgspec.structs.replace(sample, miners=sample.miners[1:]))
    with pytest.raises(Rejected, match="edge1 did not read m01"):
        against(device(leaf=leaf_hash(fewer))(FRAME), fewer)
    against(device(leaf=leaf_hash(fewer))(miner(present=False)(FRAME)), fewer)


def signed(sample: Sample) -> bytes:
    """A sample at the place that the frame names."""
    signer = NET.signer("edge1")
    signer._sequence = place(FRAME, "edge1").sequence - 1
    return signer.stream(sample, NET.sealed.topics().sample("edge1"), 0)


def test_a_sample_that_no_manager_may_take_in() -> None:
    sample = NET.message(SAMPLE, Sample)
    stranger = msgspec.structs.replace(sample.miners[0], miner="m02")
    backwards = msgspec.structs.replace(sample.miners[0], before_ns=sample.miners[0].after_ns + 1)

    def with_first(reading: MinerReading) -> bytes:
        return signed(msgspec.structs.replace(sample, miners=(reading, *sample.miners[1:])))

    for data, what in (
        (with_first(stranger), "not its miner"),
        (with_first(backwards), "ends before it begins"),
    ):
        with pytest.raises(Rejected, match=what):
            against(device(leaf=leaf_hash(data))(FRAME), data)


def test_another_sample_than_the_frame_names_shows_nothing() -> None:
    other = signed(NET.message(SAMPLE, Sample))
    for data, opened in (
        (other, NET.opened(other)),
        (SAMPLE, open_envelope(FOG.told[0].data, NET.sealed.trust())),
    ):
        with pytest.raises(Rejected) as caught:
            against(FRAME, data, opened)
        assert caught.value.reason is Reason.WRONG_KIND
