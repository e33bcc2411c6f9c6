"""The books: what was taken is given back, whatever begins anew in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from enforcer.ledger import MOST_SHARE_PPM, PPM, Books, Case, Count
from tests.enforcer.offences import CPU_PPM, Keys, proven

S = 1_000_000_000
KEYS = Keys()
BOOT, NEXT_BOOT = b"b" * 16, b"c" * 16


def books() -> Books:
    """Twice the entitlement for two seconds: two seconds of entitlement too much."""
    return Books.opened(proven(KEYS.sealed, (10 * S, 5 * S), (12 * S, 5 * S + 2 * 2 * CPU_PPM * 1000)))


def entitled_ns(seconds: float) -> int:
    return int(seconds * CPU_PPM * 1000)


def test_the_account_holds_what_the_samples_prove() -> None:
    assert books().excess_ns == entitled_ns(2)
    assert not books().balanced


def test_half_use_gives_it_back_in_twice_the_time() -> None:
    used = 5 * S + entitled_ns(4)
    assert not books().at(Count(BOOT, 1, 15 * S, used + entitled_ns(1.5)), CPU_PPM).balanced
    assert books().at(Count(BOOT, 1, 16 * S, used + entitled_ns(2)), CPU_PPM).balanced


def test_a_cgroup_made_anew_counts_from_zero_while_time_goes_on() -> None:
    later = books().at(Count(BOOT, 2, 13 * S, entitled_ns(0.5)), CPU_PPM)
    assert later.excess_ns == entitled_ns(2 + 0.5 - 1)
    assert later.at(Count(BOOT, 2, 14 * S, entitled_ns(0.5)), CPU_PPM).excess_ns == entitled_ns(0.5)


def test_a_counter_that_runs_backwards_began_again() -> None:
    assert books().at(Count(BOOT, 1, 13 * S, entitled_ns(1)), CPU_PPM).excess_ns == entitled_ns(2)


def test_the_time_a_device_was_off_earns_nothing() -> None:
    later = books().at(Count(NEXT_BOOT, 9, 4 * S, entitled_ns(5)), CPU_PPM)
    assert later.excess_ns == entitled_ns(2 + 5 - 4)
    assert later.at(Count(NEXT_BOOT, 9, 7 * S, entitled_ns(5)), CPU_PPM).balanced


def test_a_new_entitlement_judges_only_what_comes() -> None:
    changed = books().at(Count(BOOT, 1, 12 * S, 5 * S + entitled_ns(4)), 2 * CPU_PPM)
    assert changed.excess_ns == entitled_ns(2)
    assert changed.at(Count(BOOT, 1, 13 * S, 5 * S + entitled_ns(4)), 2 * CPU_PPM).balanced


def test_a_look_older_than_the_books_says_nothing() -> None:
    assert books().at(Count(BOOT, 1, 11 * S, 5 * S), CPU_PPM) == books()


def test_a_penalty_lasts_until_the_books_balance_and_its_frame_is_reached() -> None:
    case = Case.opened(bytes(32), proven(KEYS.sealed, (10 * S, 0), (12 * S, entitled_ns(4)), frame=10))
    even = case.at(Count(BOOT, 1, 14 * S, entitled_ns(4)), CPU_PPM)
    assert not case.over(10**9)
    assert not even.over(case.until - 1)
    assert even.over(case.until)


def test_no_rung_is_so_mild_that_it_never_ends() -> None:
    mild = KEYS.charter(ladder=(type(KEYS.sealed.charter.ladder[0])(1_000_000, 0),))
    case = Case.opened(bytes(32), proven(mild, (0, 0), (S, entitled_ns(2))))
    assert case.share_ppm == MOST_SHARE_PPM


looks = st.lists(
    st.tuples(
        st.integers(0, 3 * S),  # time since the last look
        st.integers(0, 3 * S),  # use since
        st.sampled_from(["goes on"] * 4 + ["cgroup made anew", "boot"]),
    ),
    max_size=12,
)


@given(looks)
def test_nothing_used_is_ever_forgotten_and_no_time_is_counted_twice(
    history: list[tuple[int, int, str]],
) -> None:
    account, boot, epoch, mono, counter = books(), 0, 1, 12 * S, 5 * S + entitled_ns(4)
    used, time = account.seen_usage_ns - account.base_usage_ns, 2 * S
    for waited, use, what in history:
        if what == "boot":
            boot, epoch, mono, counter = boot + 1, epoch + 1, 0, 0
        time += waited
        mono += waited
        if what == "boot":
            counter = use
        else:
            epoch += what != "goes on"
            counter = use if what != "goes on" else counter + use
        used += use
        account = account.at(Count(BOOT if not boot else bytes([boot]) * 16, epoch, mono, counter), CPU_PPM)
        # A part of a ns is rounded up at every carry.
        exact = used - CPU_PPM * time / PPM
        assert -1 <= account.excess_ns - exact <= len(history) + 1
