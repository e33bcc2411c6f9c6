"""`mint verify`: what is whole is proven from the operator's key alone, and whatever is changed breaks a named link."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mint.fault_proofs import verdict_in
from mint.keys import SIGNATURE_SIZE
from mint.messages.frame import Frame
from network import commands
from network.verify.case import Case, read_case, write_case
from tests.builders import Net, key_of
from tests.verify.cases import CHEAT, NET, TICKS, broken, flipped, report, told, whole


def changed(**changes: tuple[bytes, ...]) -> Case:
    return msgspec.structs.replace(whole(), **changes)


def test_a_whole_log_is_proven_link_by_link_and_says_what_was_done() -> None:
    found = report(whole(), recompute=True)
    assert found.proven, found.lines()
    (verdict,) = found.verdicts
    assert (verdict["miner"], verdict["offence"], verdict["evidence"]) == (CHEAT, 1, "budget")
    assert verdict["noted_in_frame"] == verdict["frame"] + 1
    said = "\n".join(found.lines())
    for words in (
        f"frames 1 to {TICKS}: signed, chained by hash",
        f"{CHEAT} took 0.",
        "CPU-s above entitlement since frame",
        "3 detectors accuse",
        "two samples signed by edge1 itself",
        "no number of lying detectors can forge",
        " rest on its two samples",
        "recomputed: the frames accuse it from frame",
        "PROVEN: 1 verdict, from the operator's key down",
    ):
        assert words in said, words
    assert found.head is not None
    assert found.head[0] == TICKS


def test_a_verdict_alone_is_proven_with_its_charter(tmp_path: Path) -> None:
    file = tmp_path / "verdict"
    file.write_bytes(whole().verdicts[0])
    assert report(read_case(file, (NET.sealed.data,))).proven
    assert "unknown" in broken(read_case(file)) or "charter" in broken(read_case(file))


def test_another_operator_proves_nothing() -> None:
    found = report(whole(), operator=key_of("stranger").public)
    assert not found.proven
    assert found.links[0].about == "charter"
    assert not found.verdicts


def frame(number: int, **changes: object) -> bytes:
    """Frame `number`, changed and signed again: what a lying manager would show."""
    message = NET.message(whole().frames[number - 1], Frame)
    return NET.signer("manager").object(msgspec.structs.replace(message, **changes))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda c: changed(frames=c.frames[:20] + c.frames[21:]), None),
        (
            lambda c: changed(
                frames=(
                    *c.frames[:20],
                    frame(21, time_ms=NET.message(c.frames[20], Frame).time_ms + 1),
                    *c.frames[21:],
                )
            ),
            "does not follow frame 21",
        ),
        (
            lambda c: changed(frames=(*c.frames[:20], frame(21, root=bytes(32)), *c.frames[21:])),
            "its root is of other",
        ),
        (
            lambda c: changed(frames=(*c.frames[:20], c.frames[20][:-1] + b"\0", *c.frames[21:])),
            "bad_signature",
        ),
        (lambda c: changed(verdicts=(lying(c, miner="m01"),)), "does not accuse m01"),
        (lambda c: changed(verdicts=(lying(c, offence=2),)), "does not accuse"),
        (lambda c: changed(verdicts=(lying(c, began=1),)), "something else of the offence than its votes"),
        (
            lambda c: changed(verdicts=(lying(c, votes=verdict_in(c.verdicts[0]).votes[:2]),)),
            "2 detectors, 3 are needed",
        ),
        (lambda c: changed(verdicts=(lying(c, first=c.samples[0]),)), "not those the votes name"),
        (lambda c: changed(charters=(Net(miners=3).sealed.data,)), "unknown_charter"),
    ],
)
def test_what_was_changed_breaks_a_link_that_is_named(make: Callable[[Case], Case], says: str | None) -> None:
    if says is None:  # a gap breaks nothing: what is not here is said to be missing
        assert "in 2 stretches" in "\n".join(report(make(whole())).lines())
    else:
        assert says in broken(make(whole()))


def votes(case: Case) -> tuple[bytes, ...]:
    return verdict_in(case.verdicts[0]).votes


def lying(case: Case, **changes: object) -> bytes:
    """The verdict with something else in it, published by a detector."""
    return NET.signer("det1").object(msgspec.structs.replace(verdict_in(case.verdicts[0]), **changes))


def test_a_frame_that_says_something_else_than_its_sample_is_found() -> None:
    message = NET.message(whole().frames[-1], Frame)
    one, *rest = message.miners
    false = frame(TICKS, miners=(msgspec.structs.replace(one, usage_ns=one.usage_ns + 1), *rest))
    assert broken(changed(frames=(*whole().frames[:-1], false))).startswith("samples: frame 40 contradicts")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_changed_byte_of_a_log_is_proven(data: st.DataObject) -> None:
    """Of a frame or the charter; a changed sample is one that no frame names, so it is missing."""
    field = data.draw(st.sampled_from(["charters", "frames"]))
    envelopes = list(getattr(whole(), field))
    index = data.draw(st.integers(0, len(envelopes) - 1))
    at = data.draw(st.integers(0, len(envelopes[index]) - 1))
    envelopes[index] = flipped(envelopes[index], at, data.draw(st.integers(1, 255)))
    assert not report(changed(**{field: tuple(envelopes)})).proven


@pytest.mark.parametrize("bits", [1, 4, 255])
def test_a_verdict_with_any_byte_changed_proves_what_it_did_before_or_nothing(bits: int) -> None:
    """Who published it is no part of what it proves: with another name or signature it proves the same."""
    case = changed(frames=(), samples=())
    (verdict,) = case.verdicts
    still = set()
    for at in range(len(verdict)):
        other = flipped(verdict, at, bits)
        found = report(msgspec.structs.replace(case, verdicts=(other,)))
        if found.proven:
            assert verdict_in(other) == verdict_in(verdict), at
            assert told(found) == told(report(case)), at
            still.add(at)
    assert still >= set(range(len(verdict) - SIGNATURE_SIZE, len(verdict)))


def test_verify_as_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(whole(), tmp_path / "case.mint")
    (tmp_path / "operator.pub").write_text(NET.operator.public.hex())
    (tmp_path / "bad.mint").write_bytes((tmp_path / "case.mint").read_bytes()[:-100])

    def mint(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(
            "sys.argv", ["mint", "verify", *arguments, "--operator", str(tmp_path / "operator.pub")]
        )
        code = commands.main()
        said = capsys.readouterr()
        return code, said.out + said.err

    code, said = mint(str(tmp_path / "case.mint"), "--recompute")
    assert code == 0, said
    assert said.splitlines()[-2].startswith("PROVEN: 1 verdict")
    code, said = mint(str(tmp_path / "case.mint"), "--json")
    assert code == 0
    assert json.loads(said)["verdicts"][0]["miner"] == CHEAT
    code, said = mint(str(tmp_path / "bad.mint"))
    assert code == 2
    assert "is damaged" in said
    code, said = mint(str(tmp_path / "none"))
    assert code == 2
    code, said = mint()
    assert (code, "one of the two is needed" in said) == (2, True)
    write_case(changed(verdicts=(lying(whole(), began=1),)), tmp_path / "lie.mint")
    code, said = mint(str(tmp_path / "lie.mint"))
    assert code == 1
    assert said.splitlines()[-2].startswith("NOT PROVEN: 1 of the links break, the first at: verdict m03/1")
