"""Simulated minutes: what a cheat is paid without MinT, and with the components themselves around it."""

from __future__ import annotations

import numpy as np
import pytest

from network.fairness.attacks import ATTACKS, CHEAT
from network.fairness.charter import CLASSES, SIZE, charter_of, entitled, fair_counts, fair_shares
from network.fairness.hours import Setting, mine
from network.fairness.ledger import ledger_of
from network.fairness.outcome import PHASES, Hour, hour
from network.fairness.running import run, seeds
from network.fairness.summary import Summary
from network.simulate.faults import Size

MINUTE_MS = 60_000


def short(attack: str, *, minted: bool, classes: str = "one", size: Size = SIZE) -> Setting:
    """Four minutes, of which the cheat takes double from the second on."""
    return Setting(attack, minted, classes, MINUTE_MS, 4 * MINUTE_MS, size)


def paid(hours: list[Hour], setting: Setting) -> dict[str, float]:
    """The cheat's part of the paid work of each phase, times fair."""
    summary = Summary(setting, hours)
    found = {name: summary.phase(name) for name in PHASES}
    return {name: one.value for name, one in found.items() if one is not None}


def test_without_mint_a_cheat_is_paid_double_until_the_end() -> None:
    setting = short("double", minted=False)
    hours = [hour(setting, seed) for seed in range(8)]
    found = paid(hours, setting)
    assert found == {"before": pytest.approx(1, abs=0.07), "during": pytest.approx(2 * 16 / 17, abs=0.07)}
    assert all(one.convicted_s is None and not one.accused for one in hours)


@pytest.mark.parametrize("attack", ["double", "stubborn", "liar", "rogue-host"])
def test_with_mint_it_is_convicted_and_paid_no_more_than_its_share(attack: str) -> None:
    setting = short(attack, minted=True)
    one = hour(setting, 5)
    assert one.accused == (CHEAT,)
    assert one.convicted_s is not None
    # Telemetry that is honest convicts at once; shares alone take a while.
    assert one.convicted_s < (90 if attack == "liar" else 10)
    # 0.9 to 1.1 is what chance does in three minutes.
    assert paid([one], setting)["after"] < 1.15
    if attack == "double":
        assert one.put_back_s is not None
        assert one.convicted_s < one.put_back_s < 20
    elif attack == "liar":
        assert one.void >= 6
    else:  # its quota stays high, and the chain pays nothing for it
        assert one.void > 10
        assert paid([one], setting)["after"] < 0.4


def test_where_all_are_honest_nobody_is_convicted_and_everyone_is_paid() -> None:
    one = hour(short("none", minted=True), 6)
    assert (one.accused, one.void) == ((), 0)
    assert one.shares.min() > 450
    assert abs(one.shares / one.shares.mean() - 1).max() < 0.15


def test_p_values_of_honest_hours_are_uniform() -> None:
    # Eighteen minutes are 108 blocks, and so more than five of each miner.
    setting = Setting("none", False, "one", ends_ms=18 * MINUTE_MS)
    summary = Summary(setting, [hour(setting, seed) for seed in seeds(2021, 30)])
    assert summary.blocks.uniform > 0.01
    assert summary.paid.uniform > 0.01


@pytest.mark.parametrize("classes", CLASSES)
def test_unlike_devices_are_paid_as_they_hash(classes: str) -> None:
    setting = short("none", minted=False, classes=classes)
    summary = Summary(setting, [hour(setting, seed) for seed in range(12)])
    assert [summary.times_fair(name).value for name in summary.names] == pytest.approx([1] * 16, abs=0.05)
    # Equal in hashing is equally paid; equal in CPU is not.
    assert summary.jain == pytest.approx(25 / 34 if classes == "two-same-cpu" else 1, abs=0.01)


def test_what_is_fair_follows_from_rates_and_entitlements() -> None:
    two, same_cpu = (charter_of(CLASSES[name]).charter for name in ("two", "two-same-cpu"))
    assert set(entitled(two).values()) == {2_160_000}
    assert set(fair_shares(two).values()) == {1 / 16}
    assert sorted(set(fair_shares(same_cpu).values())) == pytest.approx([1 / 40, 4 / 40])
    # Shares of every miner are as frequent, for those of slower ones take fewer hashes.
    for charter in (two, same_cpu):
        assert list(fair_counts(charter).values()) == pytest.approx([1 / 16] * 16)


def test_the_chain_holds_its_interval() -> None:
    ledger = ledger_of(mine(Setting("none", False, "two", ends_ms=30 * MINUTE_MS), 3))
    assert np.diff(ledger.at_ns).mean() / 1e9 == pytest.approx(10, rel=0.2)


def test_one_seed_is_one_hour_in_any_process() -> None:
    setting = short("double", minted=True)
    here = [hour(setting, seed) for seed in seeds(1, 2)]
    there = run(setting, 1, 2, 2, lambda _: None)
    for one, other in zip(here, there, strict=True):
        assert (one.rewards == other.rewards).all()
        assert (one.blocks == other.blocks).all()
        assert (one.convicted_s, one.put_back_s) == (other.convicted_s, other.put_back_s)
    assert (here[0].rewards != here[1].rewards).any()


def test_four_detectors_convict_when_one_does() -> None:
    alone, four = (hour(short("double", minted=True, size=Size(16, 4, detectors)), 4) for detectors in (1, 4))
    assert alone.convicted_s == pytest.approx(four.convicted_s, abs=0.1)
    assert alone.put_back_s == pytest.approx(four.put_back_s, abs=1)
    assert alone.rewards.sum(axis=0) == pytest.approx(four.rewards.sum(axis=0), rel=0.1)


def test_more_hours_have_the_first_ones_in_common() -> None:
    assert seeds(1, 5)[:3] == seeds(1, 3)
    assert len(set(seeds(1, 100)) | set(seeds(2, 100))) == 200


def test_every_attack_is_one_that_the_command_names() -> None:
    from network.fairness import command  # noqa: PLC0415

    assert command.ATTACKS == ATTACKS
    assert tuple(CLASSES) == command.CLASSES
