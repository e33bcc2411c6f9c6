"""Proof-of-Behavior over W, the preset `paper`: everyone is scored, the same on every machine, and nobody accused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detectors.behaviour_paper import MOST_W, UNITS, PaperWindow
from detectors.judge import Judge, Terms
from mint.budget import Reading
from mint.charter.toml import setting
from tests.detection.books import BRACKET, SHARE, S, seen
from tests.detection.test_krum import reference

D = 3
NAMES = ["m0", "m1", "m2", "m3", "m4"]
QUIET = [0.25, 0.5, 0.75, 1.0, 1.25]


def window_of(*frames: list[float], first: int = 1) -> PaperWindow:
    window = PaperWindow(D, len(NAMES))
    for number, W in enumerate(frames, first):
        window.push(number, np.array(W))
    return window


def test_vectors_are_the_last_d_values_of_w_in_fixed_point() -> None:
    rng = np.random.default_rng(1)
    frames = rng.exponential(2, (7, len(NAMES)))
    round_ = window_of(*frames.tolist()).round(NAMES, 1)
    assert round_ is not None
    G = [[round(float(W) * UNITS) for W in frames[-D:, miner]] for miner in range(len(NAMES))]
    scores = reference(G, 1)
    assert list(round_.scores.values()) == scores
    assert round_.benchmark == NAMES[scores.index(min(scores))]
    assert (round_.began, round_.accused) == (5, ())


def test_a_miner_that_warms_up_waits_for_d_values_and_infinity_counts_as_the_most() -> None:
    nan, inf = float("nan"), float("inf")
    first, later = [nan, *QUIET[1:]], [*QUIET[:-1], inf]
    window = window_of(first, later, later)
    round_ = window.round(NAMES, 0)
    assert round_ is not None
    assert list(round_.scores) == NAMES[1:]
    assert round_.scores["m4"] > ((MOST_W - 2) * UNITS) ** 2
    window.push(4, np.array(later))
    assert list((window.round(NAMES, 0) or round_).scores) == NAMES
    assert window.round(NAMES, 2) is None


def test_frames_that_were_left_out_and_what_was_decided_on_end_a_vector() -> None:
    window = window_of(QUIET, QUIET, QUIET)
    window.forget(2)
    round_ = window.round(NAMES, 0)
    assert round_ is not None
    assert "m2" not in round_.scores
    window.push(5, np.array(QUIET))
    assert window.round(NAMES, 0) is None


def test_it_goes_on_where_it_was_whatever_becomes_of_its_rows() -> None:
    window, other = window_of(QUIET, QUIET, [0, 0, 3, 0, 9]), PaperWindow(D, len(NAMES))
    other.restore(json.loads(json.dumps(window.state())))
    straight = window.round(NAMES, 1)
    assert other.round(NAMES, 1) == straight
    other.arrange([4, 2, 3, -1, 1, 0])
    turned = other.round(["m4", "m2", "m3", "new", "m1", "m0"], 1)
    assert straight is not None
    assert turned is not None
    assert (turned.scores, turned.benchmark) == (straight.scores, straight.benchmark)


@pytest.mark.parametrize("preset", ["paper", "calibrated"])
def test_every_d_frames_everyone_is_scored_and_the_paper_accuses_nobody(preset: str) -> None:
    detection = setting({"preset": preset, "d": "5"}, "test").detection
    terms = [Terms(name, SHARE // 1000, "kernel") for name in NAMES]
    judge = Judge(terms, detection, period_ns=S, f_miners=1)
    rng, used, rounds, accused = np.random.default_rng(1), np.zeros(len(NAMES)), [], set()
    for second in range(80):
        used += (1 + rng.uniform(0, 0.05, len(NAMES))) * SHARE
        used[3] += SHARE * (second > 60)
        at, usage = second * S, used.astype(int).tolist()
        findings = judge.step(seen(second, [Reading(at, at + BRACKET, one) for one in usage]))
        if findings.round is not None:
            rounds.append((second, sorted(findings.round.scores)))
        accused |= {one.miner for one in findings.convictions}
        if second == 70:  # a detector that starts again goes on
            state, judge = judge.state(), Judge(terms, detection, period_ns=S, f_miners=1)
            judge.restore(json.loads(json.dumps(state)))
    # W needs 35 samples and d values after that; books need a round.
    first = 40 if preset == "paper" else 5
    assert rounds == [(number, NAMES) for number in range(first, 80, 5)]
    assert ("m3" in accused) is (preset == "calibrated")
