"""Proof-of-Behavior's window: who is far above the benchmark, and who is not to be accused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from detectors.behaviour import Round, Window
from detectors.budget import Ledger
from mint.budget import BudgetRule, Reading
from mint.wire import MOST
from tests.detection.books import BRACKET, OVERRUN, RULE, SHARE, S, seen

HONEST = {f"h{n}": [1.0, 1.0, 1.0, 1.0] for n in range(6)}


class Miners:
    """A window of d = 4 after seconds in which each miner used these shares of its entitlement."""

    def __init__(self, shares: Mapping[str, Sequence[float | None]], rule: BudgetRule = RULE) -> None:
        self.names = sorted(shares)
        self.ledger, self.window = Ledger([rule] * len(shares)), Window(4, len(shares))
        self.used = dict.fromkeys(self.names, 0.0)
        self.second = 0
        self.go_on({name: [0.0, *shares[name]] for name in self.names})

    def go_on(self, shares: Mapping[str, Sequence[float | None]]) -> None:
        """These seconds come next; None: no reading."""
        for share in zip(*(shares[name] for name in self.names), strict=True):
            readings: list[Reading | None] = []
            for name, part in zip(self.names, share, strict=True):
                self.used[name] += part or 0
                at, usage = self.second * S, min(round(self.used[name] * SHARE), MOST)
                readings.append(None if part is None else Reading(at, at + BRACKET, usage))
            self.ledger.push(seen(self.second + 1, readings))
            self.window.push(self.second + 1, self.ledger)
            self.second += 1

    def round(self, f_miners: int) -> Round | None:
        return self.window.round(self.names, self.ledger, f_miners)

    def accused(self, f_miners: int) -> list[str]:
        round_ = self.round(f_miners)
        assert round_ is not None
        return [self.names[row] for row in round_.accused]


def test_who_is_far_above_the_benchmark_is_accused_and_who_slows_down_is_not() -> None:
    miners = Miners({**HONEST, "cheat": [1.4, 1.4, 1.4, 1.4], "slow": [0, 0, 0, 0]})
    assert miners.accused(1) == ["cheat"]
    round_ = miners.round(1)
    assert round_ is not None
    assert round_.began == 1
    assert round_.benchmark.startswith("h")
    assert sorted(round_.scores) == miners.names


def test_colluders_are_accused_together_and_excess_that_falls_again_is_the_kernels() -> None:
    miners = Miners({**HONEST, "c1": [2] * 4, "c2": [2] * 4, "lump": [1, 3, 0.5, 0.5]})
    assert miners.accused(2) == ["c1", "c2"]


def test_no_round_without_a_whole_window_or_enough_miners() -> None:
    assert Miners({name: shares[:3] for name, shares in HONEST.items()}).round(0) is None
    assert Miners({name: HONEST[name] for name in ("h0", "h1", "h2", "h3")}).round(1) is None
    gone = Miners({**HONEST, "gone": [1.0, None, 1.0, 1.0]}).round(0)
    assert gone is not None
    assert "gone" not in gone.scores


def test_what_was_decided_on_is_forgotten_and_a_new_past_needs_a_whole_window() -> None:
    miners = Miners({**HONEST, "cheat": [2] * 4})
    miners.window.forget(miners.names.index("cheat"))
    for seconds, scored in ((4, False), (1, True)):
        miners.go_on({name: [1.0] * seconds for name in miners.names})
        round_ = miners.round(0)
        assert round_ is not None
        assert ("cheat" in round_.scores) is scored
        assert round_.accused == ()


def test_a_window_goes_on_where_it_was_whatever_becomes_of_its_rows() -> None:
    miners = Miners({**HONEST, "cheat": [2] * 4})
    other = Window(4, len(miners.names))
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
