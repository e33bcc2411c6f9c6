"""The search for the best cheat, at the size of a test, and the bound that docs/theft-bound.md proves."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench import adversary
from bench.adversary import CORES, ENTITLED_PPM, best, report
from bench.cheats import FAMILIES, STEPS, Family, Stage, once
from bench.law import DEFAULT, FIRST_RUNG_PPM, rule_for
from bench.theft import BOOT_TICKS, Play, S, after_penalty, bound_ns, judge, proven_ns
from detectors.budget import DIP, RESTARTS
from detectors.observation import Bools, Floats
from detectors.offences import GRACE
from mint.budget import PPM

BY_NAME = {family.name: family for family in FAMILIES}
TICKS = 60
UNIT = st.floats(0, 1, exclude_max=True)


def stage(ppm: int = 50_000, ticks: int = TICKS) -> Stage:
    return Stage(rule_for(ppm), CORES, ticks)


def used(*ticks: float, ppm: int = 50_000) -> Play:
    """A play of one cheat by its gains, in shares."""
    share = rule_for(ppm).share_ns
    return Play.of(share + np.array(ticks)[:, None] * share)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([family for family in FAMILIES if family.lawful]),
    st.sampled_from(ENTITLED_PPM),
    st.data(),
)
def test_no_play_within_the_law_takes_more_than_is_proven(
    family: Family, ppm: int, data: st.DataObject
) -> None:
    turned = data.draw(arrays(float, (family.turns, 4), elements=UNIT))
    result = judge(family.plays(stage(ppm), turned), rule_for(ppm))
    assert (result.taken <= proven_ns(rule_for(ppm), CORES)).all()


@settings(max_examples=25, deadline=None)
@given(arrays(float, (TICKS, 4), elements=UNIT), st.sampled_from(ENTITLED_PPM), st.data())
def test_nor_does_any_other_pattern(turned: Floats, ppm: int, data: st.DataObject) -> None:
    where = stage(ppm)
    steal = data.draw(arrays(float, (TICKS, 4), elements=st.sampled_from([0.0, 1e7, 1e9])))
    result = judge(Play.of(where.used(where.step(turned)), steal=steal), where.rule)
    assert (result.taken <= proven_ns(where.rule, CORES)).all()


@settings(max_examples=20, deadline=None)
@given(
    arrays(float, (TICKS, 4), elements=UNIT),
    arrays(bool, (TICKS, 4)),
    arrays(float, (TICKS, 4), elements=st.sampled_from([0.0, 0.3, 1.0])),
)
def test_what_is_not_seen_counts_a_tick_at_full_tilt_each(turned: Floats, lost: Bools, wide: Floats) -> None:
    where = stage()
    result = judge(Play.of(where.used(where.step(turned)), silent=lost, wide=wide), where.rule)
    for row in range(4):
        run = max(
            (len(part) for part in "".join("x" if gone else " " for gone in lost[:, row]).split()), default=0
        )
        assert result.taken[row] <= proven_ns(where.rule, CORES, run + 1)


def test_the_proven_bound_is_below_the_one_asked_for() -> None:
    for ppm in ENTITLED_PPM:
        assert proven_ns(rule_for(ppm), CORES) < bound_ns(rule_for(ppm), CORES)


def test_the_bound_is_two_periods_at_full_tilt_or_a_hundredth_of_an_hour() -> None:
    assert bound_ns(rule_for(50_000), 4) == 2 * 3.95 * S
    assert bound_ns(rule_for(PPM), 4) == 36 * S


def test_an_honest_play_keeps_nothing_and_a_full_tilt_is_convicted_at_once() -> None:
    honest = judge(used(*[0.0] * 50), rule_for(50_000))
    assert honest.ended[0] == -1
    assert honest.taken[0] == 0
    tilt = judge(used(0, 0, 0, 79, 79), rule_for(50_000))
    assert tilt.ended[0] == 4
    assert tilt.taken[0] == pytest.approx(3.95 * S)


def test_idling_gives_credit_for_as_long_as_a_dip_is_excused() -> None:
    rule = rule_for(PPM)
    gained = [judge(used(*[-1.0] * idle, *[3.0] * 20, ppm=PPM), rule).taken[0] / S for idle in (0, DIP, 60)]
    assert gained[1] > gained[0]
    assert gained[2] == pytest.approx(gained[1], abs=1)
    assert gained[2] <= proven_ns(rule, CORES) / S


def test_after_the_penalty_nothing_is_left() -> None:
    for ppm in ENTITLED_PPM:
        rule = rule_for(ppm)
        play = once(stage(ppm), np.full((STEPS + 1, 1), 0.9))
        result = judge(play, rule)
        assert result.ended[0] > 0
        assert after_penalty(play, 0, result, rule, FIRST_RUNG_PPM) <= 0


def test_what_is_taken_until_the_verdict_is_a_quota_is_given_back_too() -> None:
    rule = rule_for(50_000)
    play = used(*[79.0] * 10)
    result = judge(play, rule)
    left = after_penalty(play, 0, result, rule, FIRST_RUNG_PPM)
    assert -rule.share_ns < left <= 0
    assert GRACE > 0


def test_a_renewed_counter_and_a_reboot_hide_what_was_used_in_their_tick() -> None:
    anew = np.zeros((5, 1), bool)
    anew[3] = True
    gains = used(0, 0, 0, 79, 0)
    for play in (Play.of(gains.used, renewed=anew), Play.of(gains.used, rebooted=anew)):
        seen = list(play.observations())
        assert seen[4].usage_ns[0] == 0
        assert seen[5].usage_ns[0] == rule_for(50_000).share_ns
        assert seen[4].epoch[0] == 1
    assert seen[4].boot[0] == 1
    assert seen[5].before_ns[0] - seen[4].before_ns[0] == S
    assert BOOT_TICKS > 1


def test_a_wide_bracket_hides_what_is_used_within_it_until_the_next_reading() -> None:
    wide = np.zeros((4, 1))
    wide[2] = 0.5
    seen = list(Play.of(used(0, 0, 2, 0).used, wide=wide).observations())
    share = rule_for(50_000).share_ns
    assert seen[3].after_ns[0] - seen[3].before_ns[0] == S // 2
    assert seen[3].usage_ns[0] == share * 3.5
    assert seen[4].usage_ns[0] == share * 6


def test_a_search_finds_the_best_again_and_tells_of_it(tmp_path: Path) -> None:
    family, rule = BY_NAME["below"], rule_for(50_000)
    found = best(family, rule, generations=4, ticks=60)
    assert found == best(family, rule, generations=4, ticks=60)
    # Just below the burst for good, and the last tick at full tilt.
    assert 3.95 < found.taken < 3.95 + rule.allowed_ns / 1e9 + 1e-3
    told = report([found])
    assert "below" in told
    assert f"{found.ratio:.3f}" in told
    adversary.plot([found], tmp_path / "theft.png")
    assert (tmp_path / "theft.png").stat().st_size > 1000


def test_the_program_writes_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(adversary, "FAMILIES", (BY_NAME["steady"], BY_NAME["counter made anew"]))
    monkeypatch.setattr(adversary, "HOUR", 40)
    monkeypatch.setattr(adversary, "SEARCH_TICKS", 40)
    adversary.main(["--generations", "1", "--json", str(tmp_path / "theft.json"), "--set", "burst_ms=150"])
    told = json.loads((tmp_path / "theft.json").read_text())
    assert {one["family"] for one in told} == {"steady", "counter made anew"}
    assert len(told[0]["gains"]) == 40
    assert "not covered by the proof" in capsys.readouterr().out


def test_whoever_is_silent_or_begins_again_too_often_is_dark() -> None:
    where = stage(ticks=200)
    for name, turned, limit in (
        ("counter made anew", (0.999, 0.0), RESTARTS + 1),
        ("lost samples", (0.999, 0.5), DEFAULT.dark_frames),
    ):
        result = judge(BY_NAME[name].plays(where, np.array(turned)[:, None]), where.rule)
        assert result.dark[0]
        assert result.ended[0] > 0
        assert result.taken[0] <= limit * (where.most + where.share)
