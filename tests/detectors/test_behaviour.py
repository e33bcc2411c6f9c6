"""Proof-of-Behavior's window: who is far above the benchmark, and who is not to be accused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.behaviour import WINDOW, Round, Window, behaviour
from detectors.budget import Ledger
from mint.budget import BudgetRule, Reading
from mint.wire import MOST
from tests.detection.books import BRACKET, OVERRUN, RULE, SHARE, S, seen

D = 4
HONEST = {f"h{n}": [1.0, 1.0, 1.0, 1.0] for n in range(6)}
Shares = Mapping[str, Sequence[float | None]]


class Miners:
    """A window of rounds of D after frame 0 and seconds in which each miner used these shares of its entitlement."""

    def __init__(
        self, shares: Shares, rule: BudgetRule = RULE, names: Sequence[str] | None = None, first: int = 0
    ) -> None:
        self.names = sorted(shares) if names is None else list(names)
        self.ledger, self.window = Ledger([rule] * len(shares)), Window(D, len(shares))
        self.used = dict.fromkeys(self.names, 0.0)
        self.second = first
        self.go_on({name: [0.0, *shares[name]] for name in self.names})

    def go_on(self, shares: Shares) -> None:
        """These seconds come next; None: no reading, and no use."""
        for share in zip(*(shares[name] for name in self.names), strict=True):
            readings: list[Reading | None] = []
            for name, part in zip(self.names, share, strict=True):
                self.used[name] += part or 0
                at, usage = self.second * S, min(round(self.used[name] * SHARE), MOST)
                readings.append(None if part is None else Reading(at, at + BRACKET, usage))
            self.ledger.push(seen(self.second, readings))
            self.window.push(self.second, self.ledger)
            self.second += 1

    def round(self, f_miners: int) -> Round | None:
        return self.window.round(self.names, self.ledger, f_miners)

    def scored(self, f_miners: int = 0) -> Round:
        round_ = self.round(f_miners)
        assert round_ is not None
        return round_

    def accused(self, f_miners: int) -> list[str]:
        return [self.names[row] for row in self.scored(f_miners).accused]


def test_who_is_far_above_the_benchmark_is_accused_and_who_slows_down_is_not() -> None:
    miners = Miners({**HONEST, "cheat": [1.4, 1.4, 1.4, 1.4], "slow": [0, 0, 0, 0]})
    assert miners.accused(1) == ["cheat"]
    round_ = miners.scored(1)
    assert round_.began == 0
    assert round_.benchmark.startswith("h")
    assert sorted(round_.scores) == miners.names


def test_who_does_what_all_others_do_is_not_unlike_them() -> None:
    assert Miners({name: [1.4] * 4 for name in HONEST}).accused(1) == []  # the budget law's to find


def test_colluders_are_accused_together_and_excess_that_falls_again_is_the_kernels() -> None:
    miners = Miners({**HONEST, "c1": [2] * 4, "c2": [2] * 4, "lump": [1, 3, 0.5, 0.5]})
    assert miners.accused(2) == ["c1", "c2"]


def test_a_gain_that_one_round_hides_shows_over_the_rounds_of_the_window() -> None:
    shares = {**{name: [1.0] * 4 for name in HONEST}, "cheat": [1.1] * 4}
    miners = Miners(shares)
    assert miners.accused(1) == []
    for _ in range(WINDOW):
        miners.go_on(shares)
        assert miners.scored(1).began == max(0, miners.second - 1 - WINDOW * D)
        assert miners.accused(1) == ["cheat"]


@pytest.mark.parametrize("lump", [1.0, 2.5])
def test_a_window_that_begins_in_a_dip_accuses_nobody(lump: float) -> None:
    late = [1.0, 1.0, 0.0, 0.0, 3.0, *[1.0] * 14, lump]  # a counter that stood still when the window began
    miners = Miners({**{name: [1.0] * 20 for name in HONEST}, "late": late})
    assert miners.scored(1).began == 4
    assert miners.accused(1) == []


def test_no_round_without_a_whole_window_or_enough_miners() -> None:
    assert Miners({name: shares[:3] for name, shares in HONEST.items()}, first=1).round(0) is None
    assert Miners({name: HONEST[name] for name in ("h0", "h1", "h2", "h3")}).round(1) is None


def test_a_lost_sample_loses_nothing_and_who_was_not_read_in_a_round_is_not_in_it() -> None:
    shares: Shares = {
        **HONEST,
        "lossy": [1.0, None, 2.0, 1.0],  # what it used is seen with the next reading
        "cheat": [1.8, None, 3.6, 1.8],
        "stale": [3.0, None, None, None],  # whether that was kept, nobody saw
        "away": [None] * 4,
    }
    miners = Miners(shares)
    assert "away" not in miners.scored().scores
    assert {"lossy", "cheat", "stale"} <= set(miners.scored().scores)
    assert miners.accused(1) == []  # of its last three frames the cheat shows two
    miners.go_on({**shares, "cheat": [1.0] * 4})
    assert miners.accused(1) == ["cheat"]


def test_what_was_decided_on_is_forgotten_and_a_new_past_needs_a_whole_window() -> None:
    miners = Miners({**HONEST, "cheat": [2] * 4})
    miners.window.forget(miners.names.index("cheat"))
    for rounds, scored in ((1, False), (1, False), (WINDOW - 1, True)):
        miners.go_on({name: [1.0] * D * rounds for name in miners.names})
        round_ = miners.scored()
        assert ("cheat" in round_.scores) is scored
        assert round_.accused == ()


def test_frames_that_were_left_out_end_everyones_past() -> None:
    miners = Miners(HONEST)
    miners.second += D
    miners.go_on({name: [1.0] * (D - 1) for name in miners.names})
    assert miners.round(0) is None


def test_a_window_goes_on_where_it_was_whatever_becomes_of_its_rows() -> None:
    miners = Miners({**HONEST, "cheat": [2] * 4})
    other = Window(D, len(miners.names))
    other.restore(json.loads(json.dumps(miners.window.state())))
    assert other.round(miners.names, miners.ledger, 0) == miners.round(0)
    turned = list(range(len(miners.names)))[::-1]
    other.arrange([*turned, -1])
    miners.ledger.arrange([*turned, -1], [RULE] * (len(turned) + 1))
    names = [miners.names[row] for row in turned]
    round_ = other.round([*names, "new"], miners.ledger, 0)
    assert round_ is not None
    assert [names[row] for row in round_.accused] == ["cheat"]
    assert "new" not in round_.scores


def test_a_forged_counter_fits_into_the_matrix() -> None:
    miners = Miners({**HONEST, "forged": [1e9] * 4}, BudgetRule(1_000, 100_000, OVERRUN, S // 10))
    assert "forged" in miners.accused(1)


@pytest.mark.parametrize("d", [2, 10, 60, 3600])
def test_no_vector_costs_krum_more_than_64_bits(d: int) -> None:
    excess = np.array([[2**62, -(2**62)]] * d, np.int64)
    G = behaviour(excess, np.array([1, 1]))
    width = int(G.max()) - int(G.min())
    assert d * (width + 1) ** 2 < 2**63
    assert width > 30_000_000  # fifteen periods' entitlement to either side


@st.composite
def shares(draw: st.DrawFn, most: float) -> list[float | None]:
    share = st.one_of(st.floats(0, most), st.just(most), st.none())
    return draw(st.lists(share, min_size=2 * D, max_size=2 * D))


def fog(draw: st.DrawFn) -> Shares:
    wild = {f"w{n}": draw(shares(3)) for n in range(5)}
    return {**wild, **{f"u{n}": draw(shares(1)) for n in range(3)}}


@given(st.data())
def test_who_is_below_its_entitlement_is_never_accused_whatever_the_others_do(data: st.DataObject) -> None:
    miners = Miners(data.draw(st.composite(fog)()))
    round_ = miners.round(1)
    for row in round_.accused if round_ else ():
        assert miners.names[row].startswith("w")
        assert miners.ledger.above[row]


@given(st.data(), st.randoms(use_true_random=False))
def test_the_order_of_miners_changes_neither_benchmark_nor_scores_nor_accused(
    data: st.DataObject, random: Random
) -> None:
    used = data.draw(st.composite(fog)())
    names = sorted(used)
    random.shuffle(names)
    straight, turned = Miners(used), Miners(used, names=names)
    one, other = straight.round(1), turned.round(1)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert (one.began, one.benchmark, one.scores) == (other.began, other.benchmark, other.scores)
        assert sorted(straight.accused(1)) == sorted(turned.accused(1))


def test_of_vectors_that_are_the_same_the_smallest_id_is_the_benchmark() -> None:
    names = ["h3", "h5", "h1", "h4", "h0", "h2"]
    assert Miners(HONEST, names=names).scored(1).benchmark == "h0"
