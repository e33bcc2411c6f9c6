"""Three years of honest miners, at the size of a test: what befalls them, and that a cheat among them would show."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bench import disturbances, honest_hours
from bench.disturbances import Disturbances, Seen
from bench.honest_hosts import KINDS, Kind, upper_bound
from bench.honest_hours import judge
from bench.law import DEFAULT
from network.telemetry import BLOCK, simulate, stream

MINERS, TICKS = 40, 4 * BLOCK


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything befall everyone every few minutes."""
    for name in ("PAUSES", "RESTARTS", "REBOOTS", "OUTAGES", "STALE", "STALLS", "LATE"):
        monkeypatch.setattr(disturbances, name, 20.0)


def befallen(seed: int = 1) -> Seen:
    befall = Disturbances(rng(seed), MINERS)
    telemetry = stream(rng(seed + 1), miners=MINERS, entitled_ppm=100_000, contended=True)
    blocks = [befall.apply(block) for _, block in zip(range(TICKS // BLOCK), telemetry, strict=False)]
    names = ("present", "before", "after", "usage", "steal", "boot", "epoch")
    return Seen(*(np.concatenate([getattr(block, name) for block in blocks]) for name in names))


def test_what_befalls_a_miner_contradicts_no_reading_before(monkeypatch: pytest.MonkeyPatch) -> None:
    often(monkeypatch)
    seen = befallen()
    for row in range(MINERS):
        here = seen.present[:, row]
        before, after, usage, steal, boot, epoch = (
            column[here, row]
            for column in (seen.before, seen.after, seen.usage, seen.steal, seen.boot, seen.epoch)
        )
        same = np.diff(boot) == 0
        assert (before <= after).all()
        assert (after[:-1] <= before[1:])[same].all()
        assert (np.diff(steal) >= 0)[same].all()
        assert (np.diff(usage) >= 0)[np.diff(epoch) == 0].all()
        assert (np.diff(epoch) >= np.diff(boot)).all()
        assert (usage >= 0).all()


def test_everything_befalls_someone(monkeypatch: pytest.MonkeyPatch) -> None:
    often(monkeypatch)
    seen = befallen()
    assert seen.boot[-1].any()
    assert (seen.epoch[-1] > seen.boot[-1]).any()
    still = np.diff(seen.usage, axis=0) == 0
    assert still.any()
    assert (seen.after - seen.before > 1_500_000_000).any()
    assert (np.diff(seen.before, axis=0)[seen.present[1:] & seen.present[:-1]] < 10_000_000).any()
    assert 0.5 < seen.present.mean() < 1 - disturbances.LOST


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_nobody_uses_more_than_without(seed: int) -> None:
    whole = simulate(rng(seed), miners=MINERS, ticks=BLOCK, entitled_ppm=50_000, contended=False)
    seen = Disturbances(rng(seed + 1), MINERS).apply(whole)
    used = np.where(np.diff(seen.epoch, axis=0) > 0, seen.usage[1:], np.diff(seen.usage, axis=0))
    assert (used.sum(axis=0) <= whole.usage[-1] - whole.usage[0]).all()


def test_an_hour_of_each_kind_convicts_nobody_and_is_the_same_again() -> None:
    for kind in KINDS:
        outcome = judge(kind, DEFAULT, seed=7, miners=24, ticks=600)
        assert outcome.convicted == 0
        assert outcome.hours == pytest.approx(24 * 5 * BLOCK / 3600)
        assert outcome == judge(kind, DEFAULT, seed=7, miners=24, ticks=600)


def test_a_law_too_strict_convicts_and_the_readings_say_whom_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mint.budget.LEAST_BURST_NS", 1_000_000)
    monkeypatch.setattr("mint.budget.SLACK_NS", 0)
    strict = replace(DEFAULT, burst_ms=1)
    outcome = judge(Kind("quiet", 1.0, contended=False, phase="random"), strict, seed=7, miners=24, ticks=600)
    assert outcome.convicted == sum(outcome.by_entitlement.values()) > 0
    trace = outcome.traces[0]
    assert trace["level_ns"] > trace["allowed_ns"]
    assert trace["readings"][-1]["number"] == trace["number"]
    assert len(outcome.traces) <= honest_hours.TRACES
    first, last = trace["readings"][0], trace["readings"][-1]
    assert first["usage_ns"] < last["usage_ns"]


def test_the_rule_of_three() -> None:
    assert upper_bound(0, 1000) == pytest.approx(3 / 1000, rel=0.01)
    assert upper_bound(1, 1000) > upper_bound(0, 1000) > upper_bound(0, 2000)


def test_the_shares_are_all_of_it_and_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sum(kind.share for kind in KINDS) == pytest.approx(1)
    honest_hours.main(["--hours", "1", "--json", str(tmp_path / "honest.json")])
    printed = capsys.readouterr().out
    assert "0 convicted" in printed
    told = json.loads((tmp_path / "honest.json").read_text())
    assert [one["kind"] for one in told["kinds"]] == [kind.name for kind in KINDS]
    assert told["kinds"][0]["bound_per_hour"] > 0
    assert "restart" in told["befalls"]


def test_a_wrong_setting_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        honest_hours.main(["--set", "burst=3"])
    assert ended.value.code == 2
    assert "burst=3" in capsys.readouterr().err
