"""Rewards are a split of what there is by what was worked for: no more, no less, nothing twice, nothing for hiding."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from mint.chain.rewards import REWARD, Window, rewards, split

NAMES = st.sampled_from([f"m{n:02}" for n in range(1, 9)])
WORKS = st.dictionaries(NAMES, st.integers(1, 2**50), max_size=8)
BLOCKS = st.lists(WORKS, max_size=30)


@given(WORKS, st.integers(0, 10**12))
def test_a_split_gives_it_all_and_each_its_part_within_one(works: dict[str, int], amount: int) -> None:
    paid = split(works, amount)
    assert sum(paid.values()) == (amount if works else 0)
    for name, work in works.items():
        exact = Fraction(amount * work, sum(works.values()))
        assert abs(paid.get(name, 0) - exact) < 1
    assert paid == split(dict(reversed(works.items())), amount)


def test_equal_remainders_go_to_the_smaller_names() -> None:
    assert split({"b": 1, "c": 1, "a": 1}, 8) == {"a": 3, "b": 3, "c": 2}
    assert split({"a": 1, "b": 2}, 0) == {}
    assert split({}, 8) == {}


@given(BLOCKS, st.integers(1, 10))
def test_each_block_pays_one_reward_over_its_window(blocks: list[dict[str, int]], window: int) -> None:
    for height, paid in enumerate(rewards(blocks, window)):
        held = blocks[max(0, height + 1 - window) : height + 1]
        works: dict[str, int] = {}
        for block in held:
            for name, work in block.items():
                works[name] = works.get(name, 0) + work
        assert paid == split(works)
        assert sum(paid.values()) == (REWARD if works else 0)


@given(BLOCKS, st.integers(1, 10), st.integers(0, 29), NAMES, st.integers(1, 2**40))
def test_a_share_that_is_shown_earns_its_miner_and_never_costs_it(
    blocks: list[dict[str, int]], window: int, at: int, name: str, work: int
) -> None:
    """So hiding shares never pays, alone or together with whatever was shown: the rest is split among others."""
    if at >= len(blocks):
        return
    more = [dict(block) for block in blocks]
    more[at][name] = more[at].get(name, 0) + work

    def earned(of: list[dict[str, int]]) -> list[int]:
        return [paid.get(name, 0) for paid in rewards(of, window)]

    before, after = earned(blocks), earned(more)
    # A unit of 10^-9 rewards may go to another by its remainder.
    assert all(a >= b - 1 for a, b in zip(after, before, strict=True))
    assert after[:at] == before[:at]


def test_a_share_is_paid_in_as_many_blocks_as_the_window_has() -> None:
    window = Window(3)
    earned = [window.block({"m01": 5} if n == 2 else {}).get("m01", 0) for n in range(8)]
    assert earned == [0, 0, REWARD, REWARD, REWARD, 0, 0, 0]
