"""Proof-of-Behavior's window: who is far above the benchmark, and who is not to be accused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from detectors.account import Account
from detectors.behaviour import Window
from mint.messages.frame import MinerEntry
from mint.wire import MOST
from tests.builders import BRACKET, MS, Net, S

NET = Net(miners=5, devices=2)
BOOT = b"B" * 16
RULE = NET.charter.rule(NET.charter.miners[0])
SHARE = 100 * MS


def entry(second: float, usage_ns: int, epoch: int = 1, miner: str = "m01") -> MinerEntry:
    at = round(second * S)
    return MinerEntry(miner, True, epoch, at, at + BRACKET, usage_ns, 0, 0, 0, -1, 100_000)


def windows(shares: Mapping[str, Sequence[float]], d: int = 4) -> tuple[Window, dict[str, Account]]:
    accounts = {name: Account(RULE) for name in shares}
    window = Window(d)
    for frame in range(len(next(iter(shares.values()))) + 1):
        for name, made in accounts.items():
            made.read(entry(frame, round(sum(shares[name][:frame]) * SHARE), miner=name), BOOT, 0, frame + 1)
        window.push(frame + 1, accounts)
    return window, accounts


HONEST = {f"h{n}": [1.0, 1.0, 1.0, 1.0] for n in range(6)}


def test_who_is_far_above_the_benchmark_is_accused_and_who_slows_down_is_not() -> None:
    window, accounts = windows({**HONEST, "cheat": [1.4, 1.4, 1.4, 1.4], "slow": [0, 0, 0, 0]})
    round_ = window.round(accounts, 1)
    assert round_ is not None
    assert round_.accused == ("cheat",)
    assert round_.began == 1
    assert round_.benchmark.startswith("h")
    assert set(round_.scores) == set(accounts)


def test_colluders_are_accused_together_and_excess_that_falls_again_is_the_kernels() -> None:
    window, accounts = windows({**HONEST, "c1": [2] * 4, "c2": [2] * 4, "lump": [1, 3, 0.5, 0.5]})
    round_ = window.round(accounts, 2)
    assert round_ is not None
    assert round_.accused == ("c1", "c2")


def test_no_round_without_a_whole_window_or_enough_miners() -> None:
    window, accounts = windows({name: shares[:3] for name, shares in HONEST.items()})
    assert window.round(accounts, 0) is None
    window, accounts = windows({name: HONEST[name] for name in ("h0", "h1", "h2", "h3")})
    assert window.round(accounts, 1) is None
    window, accounts = windows({**HONEST, "cheat": [2] * 4})
    window.forget("cheat")
    round_ = window.round(accounts, 0)
    assert round_ is not None
    assert "cheat" not in round_.scores
    other = Window(4)
    other.restore(json.loads(json.dumps(window.state())))
    assert other.round(accounts, 0) == round_


def test_a_forged_counter_fits_into_the_matrix() -> None:
    net = Net(miners=5, devices=2, cpu_ppm=1_000, period_ms=100)
    rule = net.charter.rule(net.charter.miners[0])
    accounts = {name: Account(rule) for name in (*HONEST, "forged")}
    window = Window(4)
    for frame in range(5):
        for name, made in accounts.items():
            used = MOST if name == "forged" and frame else 0
            made.read(entry(frame / 10, used, miner=name), BOOT, 0, frame + 1)
        window.push(frame + 1, accounts)
    round_ = window.round(accounts, 1)
    assert round_ is not None
    assert round_.accused == ("forged",)
