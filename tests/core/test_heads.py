"""How far the log has come by the word of others: who is asked, when enough have answered, and how far that is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mint.heads import ASK_AGAIN_NS, Heads
from tests.builders import MS, S

DETECTORS = ("det1", "det2", "det3", "det4")


def of_manager() -> Heads:
    return Heads((), DETECTORS, 3)


def test_a_manager_waits_for_as_many_detectors_as_make_a_verdict() -> None:
    heads = of_manager()
    for name, known in (("det4", False), ("det1", False), ("det1", False), ("det2", True), ("det3", True)):
        heads.heard(name, 7)
        assert heads.known is known


def test_a_detector_waits_for_the_manager_whatever_the_others_say() -> None:
    heads = Heads(("manager",), DETECTORS[1:], 2)
    for name in DETECTORS[1:]:
        heads.heard(name, 7)
    assert not heads.known
    assert heads.ask(0) == ("manager",)
    heads.heard("manager", 3)
    assert (heads.known, heads.head) == (True, 7)


def test_who_is_nobody_does_not_count() -> None:
    heads = of_manager()
    for name in ("enforcer", "manager", "det9", "det1"):
        heads.heard(name, 1)
    assert not heads.known


def test_who_has_not_answered_is_asked_once_a_second_until_enough_have() -> None:
    heads = of_manager()
    assert heads.due_ns() == 0
    assert heads.ask(10 * S) == DETECTORS
    assert heads.ask(10 * S + 999 * MS) == ()
    assert heads.due_ns() == 10 * S + ASK_AGAIN_NS
    heads.heard("det2", 5)
    assert heads.ask(11 * S) == ("det1", "det3", "det4")
    for name in ("det1", "det3"):
        heads.heard(name, 0)
    assert (heads.ask(99 * S), heads.due_ns(), heads.head) == ((), None, 5)


def test_alone_there_is_nobody_to_wait_for() -> None:
    assert Heads((), (), 0).known


@given(st.permutations(DETECTORS), st.lists(st.integers(0, 99), min_size=4, max_size=4))
def test_it_is_as_far_as_the_newest_that_anybody_showed(order: list[str], shown: list[int]) -> None:
    heads = of_manager()
    for count, (name, number) in enumerate(zip(order, shown, strict=True), start=1):
        heads.heard(name, number)
        assert heads.head == max(shown[:count])
        assert heads.known == (count >= 3)
