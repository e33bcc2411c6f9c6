"""All parts together: what each finding decides, under which law, and that it is said once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.judge import LASTING, Conviction, Finding, Judge, Terms
from detectors.observation import Law, Observation
from mint.charter.toml import setting
from mint.messages.judgement import Evidence
from mint.work import WorkRule
from tests.detection.books import S

Floats = NDArray[np.float64]
DETECTION = setting({}, "test").detection
PAPER = setting({"preset": "paper"}, "test").detection
ENTITLED = 100_000  # 0.1 CPU
SHARE = 100_000_000  # ns a second
MINERS = 7


def judge_of(laws: Sequence[Law], detection: object = DETECTION) -> Judge:
    terms = [Terms(f"m{row}", ENTITLED, law) for row, law in enumerate(laws)]
    assert isinstance(detection, type(DETECTION))
    return Judge(terms, detection, period_ns=S, f_miners=0)


def noisy(ticks: int, seed: int = 1) -> Floats:
    """Use a tick in percent of entitlement of miners that a quota holds, (ticks, MINERS)."""
    jitter = np.random.default_rng(seed).uniform(0, 8, (ticks + 1, MINERS))
    return np.asarray(100 + np.diff(jitter, axis=0))


def counted(percent: Floats) -> list[Observation]:
    """The counters of miners that used this much in each tick."""
    ticks, n = percent.shape
    used = np.rint(np.vstack([np.zeros(n), percent * (SHARE / 100)])).astype(np.int64)
    usage = np.cumsum(used, axis=0)
    zeros, here = np.zeros(n, np.int64), np.ones(n, bool)
    at = [np.full(n, tick * S, np.int64) for tick in range(ticks + 1)]
    return [
        Observation(tick, here, at[tick], at[tick] + 30_000, usage[tick], zeros, zeros, zeros)
        for tick in range(ticks + 1)
    ]


def bare(percent: Floats) -> list[Observation]:
    here = np.ones(percent.shape[1], bool)
    return [Observation.of_percent(tick, here, values) for tick, values in enumerate(percent)]


def found(judge: Judge, seen: Sequence[Observation]) -> list[tuple[int, Finding]]:
    return [(one.number, finding) for one in seen for finding in judge.step(one).found]


def cheating(percent: Floats, miner: int, factor: float, since: int, until: int | None = None) -> Floats:
    changed = percent.copy()
    changed[since:until, miner] *= factor
    return changed


@pytest.mark.parametrize(
    ("law", "series", "detectors"),
    [
        ("kernel", counted, {"budget"}),
        ("soft", counted, {"budget", "ssa"}),
        ("none", bare, {"ssa"}),
    ],
)
def test_a_doubling_is_an_accusation_under_every_law_and_said_once(
    law: Law, series: Callable[[Floats], list[Observation]], detectors: set[str]
) -> None:
    seen = series(cheating(noisy(160), 3, 2.0, 120))
    said = [(tick, one) for tick, one in found(judge_of([law] * MINERS), seen) if one.decides]
    assert said[0][0] <= 123
    assert {one.miner for _, one in said} == {"m3"}
    assert {one.detector for _, one in said} - {"pob"} == detectors
    assert len({one.detector for _, one in said}) == len(said)


def test_where_the_kernel_enforces_growth_is_an_alarm_and_the_law_convicts() -> None:
    said = found(judge_of(["kernel"] * MINERS), counted(cheating(noisy(160), 3, 1.5, 120)))
    assert {(one.detector, one.decides) for _, one in said} >= {("ssa", False), ("budget", True)}
    assert ("ssa", True) not in {(one.detector, one.decides) for _, one in said}


def test_a_second_offence_is_a_second_accusation() -> None:
    percent = cheating(noisy(300), 3, 2.0, 100, 110)
    percent[110:140, 3] = 50  # gives it back
    said = found(judge_of(["kernel"] * MINERS), counted(cheating(percent, 3, 2.0, 200)))
    assert len([tick for tick, one in said if (one.detector, one.decides) == ("budget", True)]) == 2


def test_under_percentages_too_one_gain_that_ended_is_one_accusation() -> None:
    percent = cheating(noisy(1500), 3, 2.0, 700, 760)
    said = [tick for tick, one in found(judge_of(["none"] * MINERS), bare(percent)) if one.decides]
    assert len(said) == 1
    assert 700 < said[0] < 704


@pytest.mark.parametrize("law", ["kernel", "soft", "none"])
def test_who_slows_down_pauses_resumes_or_stalls_is_never_accused(law: Law) -> None:
    percent = noisy(400)
    percent[50:, 0] *= 0.5
    percent[100:200, 1] = 0
    percent[60:90, 2] = np.linspace(100, 5, 30)
    percent[300, 4], percent[301, 4] = 0, 200  # a late reading
    percent[250:254, 5] = 30
    seen = (bare if law == "none" else counted)(percent)
    assert [one for _, one in found(judge_of([law] * MINERS), seen) if one.decides] == []


def test_the_paper_raises_its_alarm_and_accuses_nobody() -> None:
    judge = judge_of(["kernel"] * MINERS, PAPER)
    findings = [judge.step(seen) for seen in counted(cheating(noisy(160), 3, 2.0, 120))]
    assert not [one for step in findings for one in step.found if one.decides or one.detector != "ssa"]
    # It shows within the window of the test matrix, and stays above h for as long.
    assert all(step.statistics.h[3] < step.statistics.W[3] for step in findings[124:130])
    last = findings[-1].statistics
    assert last.h == pytest.approx(np.full(MINERS, 0.60515), abs=1e-5)


def test_frozen_telemetry_is_accused_where_counters_cannot_stand_still() -> None:
    percent = noisy(260)
    percent[200:, 2] = 97.3123457
    judge = judge_of(["kernel"] * MINERS)
    convictions = [(one.number, c) for one in map(judge.step, counted(percent)) for c in one.convictions]
    assert {(c.miner, c.evidence) for _, c in convictions} == {("m2", "ssa")}
    first = convictions[0][0]
    # It stands for a while: a vote may have to wait for a sample.
    assert [number for number, _ in convictions] == list(range(first, first + LASTING))[: 260 - first + 1]


def test_silence_is_an_alarm_once() -> None:
    judge = judge_of(["kernel"] * MINERS)
    seen = counted(noisy(90))
    away = np.arange(MINERS) != 5
    said = found(judge, [*seen[:20], *(replace(one, present=away) for one in seen[20:])])
    assert [(one.miner, one.detector, one.decides) for _, one in said] == [("m5", "dark", False)]
    assert said[0][0] == 19 + DETECTION.dark_frames


def test_nobody_is_dark_whom_no_law_holds() -> None:
    laws: list[Law] = ["kernel"] * MINERS
    laws[0] = "none"
    judge = judge_of(laws)
    for seen in counted(noisy(DETECTION.dark_frames + 5)):
        judge.step(replace(seen, present=np.arange(MINERS) > 1))
    assert judge.dark() == ["m1"]


def test_who_is_spared_is_not_judged_and_starts_afresh() -> None:
    judge = judge_of(["kernel"] * MINERS)
    evidence: list[Evidence] = []
    for seen in counted(cheating(noisy(80), 3, 2.0, 40)):
        spared = ["m3", "stranger"] if 40 <= seen.number < 60 else []
        step = judge.step(seen, spared)
        assert not spared or step.convictions == ()
        evidence += [one.evidence for one in step.convictions]
    assert evidence[0] == "budget"
    began = judge.ledger.began(3)
    assert began is not None
    assert began >= 59


def test_miners_whose_terms_stay_keep_their_past_under_a_new_charter() -> None:
    straight, other = judge_of(["kernel"] * MINERS), judge_of(["kernel"] * MINERS)
    percent = np.hstack([noisy(160), noisy(160, 2)[:, :1]])
    seen = counted(percent)
    for one in seen:
        if one.number == 100:
            terms = [Terms(f"m{row}", ENTITLED, "kernel") for row in range(MINERS)]
            terms[2] = replace(terms[2], entitled_ppm=2 * ENTITLED)
            kept = other.adopt([*terms, Terms("m7", ENTITLED, "kernel")], DETECTION, period_ns=S, f_miners=0)
            assert set(kept) == {f"m{row}" for row in range(MINERS)} - {"m2"}
        first = _first(one, MINERS)
        mine, theirs = straight.step(first), other.step(one if one.number >= 100 else first)
        stay = [row for row in range(MINERS) if row != 2]
        assert mine.levels_ns[stay].tolist() == theirs.levels_ns[stay].tolist()
        assert np.array_equal(mine.statistics.D[stay], theirs.statistics.D[stay], equal_nan=True)
        assert np.array_equal(mine.statistics.W[stay], theirs.statistics.W[stay], equal_nan=True)


def _first(one: Observation, rows: int) -> Observation:
    columns = {
        name: getattr(one, name)[:rows]
        for name in ("present", "before_ns", "after_ns", "usage_ns", "steal_ns", "boot", "epoch")
    }
    return replace(one, **columns)


@pytest.mark.parametrize("cut", [0, 7, 130, 145])
def test_a_restored_judge_goes_on_as_if_nothing_happened(cut: int) -> None:
    percent = cheating(noisy(170), 3, 2.0, 120)
    percent[140:, 2] = percent[139, 2]
    straight, other = judge_of(["kernel"] * MINERS), judge_of(["kernel"] * MINERS)
    for seen in counted(percent):
        if seen.number == cut:
            state, other = json.loads(json.dumps(other.state())), judge_of(["kernel"] * MINERS)
            other.restore(state)
        mine, theirs = straight.step(seen), other.step(seen)
        assert (mine.found, mine.convictions, mine.round) == (theirs.found, theirs.convictions, theirs.round)
        assert mine.levels_ns.tolist() == theirs.levels_ns.tolist()
    assert json.dumps(straight.state()) == json.dumps(other.state())


# --- work -----------------------------------------------------------------------------------------------

WORK = WorkRule(2_000_000, 2_000_000 * ENTITLED * 334 // 10**9, ENTITLED)


def mined(percent: Floats, shares: Floats) -> list[Observation]:
    """The counters of miners that showed so many shares in each tick."""
    total = np.cumsum(np.vstack([np.zeros(MINERS), shares]), axis=0).astype(np.int64)
    return [replace(one, shares=total[tick]) for tick, one in enumerate(counted(percent))]


def poisson(ticks: int, seed: int = 2) -> Floats:
    return np.random.default_rng(seed).poisson(3.0, (ticks, MINERS)).astype(float)


def miners_of_a_ledger(law: Law = "kernel", **changes: str) -> Judge:
    terms = [Terms(f"m{row}", ENTITLED, law, work=WORK) for row in range(MINERS)]
    return Judge(terms, setting(changes, "test").detection, period_ns=S, f_miners=0)


@pytest.mark.parametrize("law", ["kernel", "soft"])
def test_work_that_use_does_not_explain_is_an_accusation_said_once(law: Law) -> None:
    shares = poisson(200)
    shares[120:, 3] *= 2
    said = [
        (tick, one) for tick, one in found(miners_of_a_ledger(law), mined(noisy(200), shares)) if one.decides
    ]
    ((tick, one),) = said
    assert 120 < tick <= 180
    assert (one.miner, one.detector) == ("m3", "work")
    assert "it reports too little, or its code is faster than the image" in one.reason


def test_an_honest_hour_of_a_ledger_accuses_nobody() -> None:
    assert [
        one for _, one in found(miners_of_a_ledger(), mined(noisy(3600), poisson(3600))) if one.decides
    ] == []


def test_without_a_rule_and_in_the_papers_preset_shares_say_nothing() -> None:
    seen = mined(noisy(160), poisson(160) * 3)
    assert [one for _, one in found(judge_of(["kernel"] * MINERS), seen) if one.decides] == []
    assert [one for _, one in found(miners_of_a_ledger(preset="paper"), seen) if one.decides] == []


def test_a_conviction_says_since_when_and_how_much_and_what_was_decided_on_is_past() -> None:
    shares = poisson(260)
    shares[120:, 3] *= 2
    judge, at = miners_of_a_ledger(), list[tuple[int, Conviction]]()
    for one in mined(noisy(260), shares):
        spared = ["m3"] if at and one.number <= at[0][0] + 5 else []
        at += [(one.number, found) for found in judge.step(one, spared).convictions]
    assert {conviction.evidence for _, conviction in at} == {"work"}
    number, first = at[0]
    assert 100 <= first.since <= 130
    assert first.excess_ns == pytest.approx((number - first.since) * SHARE, rel=0.3)
    assert at[1][1].since >= number
    assert at[-1][1].since in judge.origins(3)


def test_books_of_work_go_on_after_they_were_put_away_and_begin_anew_under_another_rate() -> None:
    shares = poisson(160)
    shares[120:, 3] *= 2
    seen = mined(noisy(160), shares)
    judge, again = miners_of_a_ledger(), miners_of_a_ledger()
    for one in seen[:125]:
        judge.step(one)
    again.restore(json.loads(json.dumps(judge.state())))
    for one in seen[125:]:
        assert judge.step(one).convictions == again.step(one).convictions
    assert judge.work.above(3)
    faster = replace(WORK, hashes=4_000_000)
    terms = [replace(one, work=faster) if row == 3 else one for row, one in enumerate(judge.terms)]
    kept = judge.adopt(terms, judge.detection, period_ns=S, f_miners=0)
    assert "m3" not in kept
    assert not judge.work.above(3)
