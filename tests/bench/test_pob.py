"""Proof-of-Behavior's promises, in small: colluders have the top scores, and honest miners are not accused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.honest_hosts import KINDS
from bench.pob import hits, main
from bench.pob_fogs import GAIN, MINERS, MOST_F, NOISE, Colluders, Noise, cumulative, frame_by_frame
from bench.pob_gains import course
from bench.pob_honest import D, judge
from bench.pob_rules import Choice, by_bulyan, by_krum, by_multi_krum
from detectors.behaviour import PPM, WINDOW, Window
from detectors.budget import Ledger
from detectors.krum import krum
from mint.budget import Reading
from tests.detection.books import RULE, SHARE, S, seen


@pytest.mark.parametrize("noise", ["quota", "independent"])
@pytest.mark.parametrize("same", [True, False], ids=["identical", "their own"])
@pytest.mark.parametrize("f", range(1, MOST_F + 1))
def test_colluders_have_the_top_scores_and_none_is_the_benchmark(noise: Noise, same: bool, f: int) -> None:
    use = Colluders(noise, f, same).use(np.random.default_rng([1, f, same]), 150, WINDOW * D)
    top, best = hits(cumulative(use, D), f, MOST_F)
    assert top == 1.0
    assert best == 0.0


def test_the_vectors_are_those_that_detectors_make_of_counters() -> None:
    use = Colluders("quota", 2, same=False).use(np.random.default_rng(1), 1, WINDOW * D)
    ledger, window = Ledger([RULE] * MINERS), Window(D, MINERS)
    counter = np.zeros(MINERS, np.int64)
    for frame, share in enumerate([np.zeros(MINERS, np.int64), *(use[0] + PPM)]):
        counter += share * SHARE // PPM
        at = frame * S
        ledger.push(seen(frame, [Reading(at, at, used) for used in counter.tolist()]))
        window.push(frame, ledger)
    vectors = window.vectors(ledger, MINERS)
    assert vectors is not None
    assert (cumulative(use, D)[0] == vectors.G).all()


def test_frame_by_frame_they_do_not() -> None:
    use = Colluders("quota", MOST_F, same=True).use(np.random.default_rng(1), 150, D)
    assert hits(frame_by_frame(use, D), MOST_F, MOST_F)[0] < 0.1


@pytest.mark.parametrize("noise", ["quota", "independent"])
def test_noise_is_what_it_says(noise: Noise) -> None:
    use = Colluders(noise, 2, same=True).use(np.random.default_rng(1), 2_000, 10) / PPM
    honest, cheats = use[..., : MINERS - 2], use[..., MINERS - 2 :]
    assert honest.std() == pytest.approx(NOISE, rel=0.02)
    assert cheats.mean() == pytest.approx(GAIN, abs=0.002)
    assert (cheats[..., 0] == cheats[..., 1]).all()
    total = honest.sum(axis=1).std()  # a quota's does not grow with time
    assert total == pytest.approx(NOISE * (1 if noise == "quota" else np.sqrt(10)), rel=0.05)


@pytest.mark.parametrize("befalls", [False, True])
def test_honest_miners_are_far_from_the_benchmark_at_times_and_not_accused(befalls: bool) -> None:
    outcome = judge(KINDS[2], rounds=500, seed=1, befalls=befalls)
    assert outcome.rounds >= 500
    assert outcome.far[0.25] > outcome.far[1.0] > outcome.far[2.0] > 0
    assert outcome.accused[1.0] == 0
    assert outcome.bound(0) == pytest.approx(3.0 * WINDOW / outcome.rounds, rel=0.01)  # the rule of three


def test_larger_gains_are_accused_sooner() -> None:
    small, large = (course(gain, 1, contended=False, rounds=2) for gain in (0.02, 0.2))
    assert 0 < small.accused[0] < small.accused[1] < 1
    assert large.accused.tolist() == [1, 1]
    assert large.top == 1
    assert small.wronged == large.wronged == 0


@pytest.mark.parametrize(("rule", "picked"), [(by_krum, 1), (by_multi_krum, 14), (by_bulyan, 12)])
def test_rules_leave_out_outliers_that_are_not_alike(
    rule: Callable[[np.ndarray, int], Choice], picked: int
) -> None:
    rng = np.random.default_rng(1)
    G = rng.integers(-1000, 1000, (16, 5))
    G[[3, 7]] = [[10**6] * 5, [-(10**6)] * 5]
    choice = rule(G, 2)
    assert sorted(choice.picked + choice.left) == list(range(16))
    assert set(choice.left[-2:]) == {3, 7}
    assert np.abs(choice.benchmark).max() <= 1000
    assert len(choice.picked) == picked


def test_a_single_pick_of_each_is_krums() -> None:
    G = np.random.default_rng(2).integers(-1000, 1000, (11, 3))
    assert (
        by_krum(G, 2).picked[0]
        == by_multi_krum(G, 2).picked[0]
        == by_bulyan(G, 2).picked[0]
        == krum(G, 2).best
    )
    with pytest.raises(ValueError, match="4f"):
        by_bulyan(G, 3)


def test_the_tables_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("bench.pob.QUICK_HONEST", 100)
    monkeypatch.setattr("bench.pob.QUICK_COLLUDING", 2)
    main(["--quick"])
    said = capsys.readouterr().out
    assert said.count("==") == 4
    assert "bulyan" in said
