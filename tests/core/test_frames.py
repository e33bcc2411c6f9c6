"""Frames of the past: signed by the manager of the charter that they name, whoever is the manager now."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mint.charter.model import Node, Resume
from mint.charter.seal import SealedCharter
from mint.envelope import Signer, object_hash
from mint.errors import Reason, Rejected
from mint.frames import frame_in, is_void, open_frame, resumes
from mint.merkle import root
from mint.messages.frame import Frame
from mint.messages.judgement import Alarm
from mint.names import Role
from tests.builders import Net, key_of

NET = Net(miners=1, devices=1)


def nodes(name: str, key: str) -> tuple[Node, ...]:
    return tuple(
        msgspec.structs.replace(node, name=name, key=key_of(key).public)
        if node.role is Role.MANAGER
        else node
        for node in NET.charter.nodes
    )


FIRST = NET.sealed
REKEYED = NET.next_version(nodes=nodes("manager", "another key"))
RENAMED = NET.next_version(version=3, nodes=nodes("manager2", "a third key"))
KNOWN = {sealed.hash: sealed for sealed in (FIRST, REKEYED, RENAMED)}


def frame(sealed: SealedCharter, number: int = 5) -> Frame:
    return Frame("fog1", number, bytes(32), sealed.hash, 0, root([]), (), (), (), ())


def signed(sealed: SealedCharter, name: str = "manager", key: str = "manager", number: int = 5) -> bytes:
    return Signer(name, key_of(key), NET.network).object(frame(sealed, number))


@pytest.mark.parametrize(
    ("sealed", "name", "key"),
    [
        (FIRST, "manager", "manager"),
        (REKEYED, "manager", "another key"),
        (RENAMED, "manager2", "a third key"),
    ],
)
def test_a_frame_of_each_manager_there_was_opens_under_its_own_charter(
    sealed: SealedCharter, name: str, key: str
) -> None:
    data = signed(sealed, name, key)
    opened = open_frame(data, KNOWN, topic=NET.sealed.topics().frame())
    assert (opened.frame, opened.number, opened.sender, opened.charter) == (frame(sealed), 5, name, sealed)
    assert (opened.hash, opened.data) == (object_hash(data), data)
    assert frame_in(data) == frame(sealed)


@pytest.mark.parametrize(
    ("sealed", "name", "key", "reason"),
    [
        (REKEYED, "manager", "manager", Reason.WRONG_ROLE),  # the old key may not go on under the new charter
        (FIRST, "manager", "another key", Reason.WRONG_ROLE),
        (RENAMED, "manager", "manager", Reason.WRONG_ROLE),
        (RENAMED, "manager2", "nobody's", Reason.BAD_SIGNATURE),
        (FIRST, "manager3", "manager", Reason.UNKNOWN_SENDER),
        (FIRST, "det1", "det1", Reason.WRONG_ROLE),
    ],
)
def test_no_other_key_signs_a_frame(sealed: SealedCharter, name: str, key: str, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        open_frame(signed(sealed, name, key), KNOWN)
    assert caught.value.reason is reason


def test_a_frame_under_a_charter_that_has_not_come_is_told_apart() -> None:
    known = {FIRST.hash: FIRST}
    later = NET.next_version(title="by the same manager")
    with pytest.raises(Rejected) as caught:
        open_frame(signed(later), known)
    assert caught.value.reason is Reason.UNKNOWN_CHARTER
    with pytest.raises(Rejected) as caught:
        open_frame(signed(FIRST), {})
    assert caught.value.reason is Reason.UNKNOWN_CHARTER
    with pytest.raises(Rejected) as caught:
        open_frame(signed(REKEYED, key="another key"), known)
    assert caught.value.reason is Reason.BAD_SIGNATURE


def test_what_is_no_frame_or_on_another_topic() -> None:
    alarm = NET.signer("manager").object(Alarm(1, "m01", "budget", ""))
    for data, topic, reason in (
        (alarm, None, Reason.WRONG_KIND),
        (b"nonsense", None, Reason.MALFORMED),
        (signed(FIRST), NET.sealed.topics().charter(), Reason.WRONG_TOPIC),
    ):
        with pytest.raises(Rejected) as caught:
            open_frame(data, KNOWN, topic=topic)
        assert caught.value.reason is reason
    with pytest.raises(Rejected):
        frame_in(alarm)


def resuming(number: int, **changes: Any) -> SealedCharter:
    return NET.next_version(resume=Resume(number, bytes(32)), **changes)


def test_a_charter_has_the_log_go_on_once_and_later_ones_may_say_so_still() -> None:
    first = FIRST.charter
    second, third = resuming(4, version=2).charter, resuming(4, version=3, title="three").charter
    fourth = resuming(9, version=4).charter
    assert not resumes(first, REKEYED.charter)
    assert resumes(first, second)
    assert not resumes(second, third)
    assert resumes(first, third)
    assert resumes(third, fourth)
    assert not resumes(second, REKEYED.charter)


def test_void_is_what_comes_after_the_operators_frame_under_a_charter_before_his() -> None:
    sealed = resuming(4, version=2)
    known = {FIRST.hash: FIRST, sealed.hash: sealed}
    void = [
        (charter, number, is_void(open_frame(signed(charter, number=number), known), sealed.charter))
        for charter in (FIRST, sealed)
        for number in (4, 5)
    ]
    assert [one for *_, one in void] == [False, True, False, False]
    assert not is_void(open_frame(signed(FIRST, number=9), known), FIRST.charter)
