"""What docs/paper.md says of the figures, held on one simulated run each."""

from __future__ import annotations

import csv as csv_module
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from detectors.ssa.parameters import PAPER
from detectors.ssa.stream import SsaStream
from network.reproduce import colluders, fig3, fig4, fig5, fig6
from network.reproduce.experiment import csv
from network.reproduce.measures import W, use
from network.reproduce.running import EXPERIMENTS
from network.reproduce.script import MINERS
from network.trace import Trace

SINGLE, NETWORK, L8, Q36 = (
    [panel.key for panel in fig3.PANELS].index(key) for key in ("single", "network", "l8", "q36")
)


@pytest.fixture(scope="session")
def of3(doubling: list[Trace]) -> list[fig3.Measured]:
    return [fig3.measure(trace) for trace in doubling]


@pytest.fixture(scope="session")
def of4(steps: list[Trace]) -> list[fig4.Measured]:
    return [fig4.measure(trace) for trace in steps]


@pytest.fixture(scope="session")
def of5(colluding: Trace) -> fig5.Measured:
    return fig5.measure(colluding)


@pytest.fixture(scope="session")
def of6(colluding: Trace) -> fig6.Measured:
    return fig6.measure(colluding)


# --- figure 3 ---


@pytest.mark.parametrize("panel", range(len(fig3.PANELS)))
def test_w_peaks_soon_after_the_doubling_and_is_back_within_a_minute(
    of3: list[fig3.Measured], panel: int
) -> None:
    score = np.mean([run.W[panel] for run in of3], axis=0)
    peak = int(np.nanargmax(score))
    assert fig3.AT_S <= peak < fig3.AT_S + 30
    assert score[peak] > 2 * np.nanmax(score[: fig3.AT_S])
    assert score[peak] > 2 * score[fig3.AT_S + 60 :].max()


def test_the_networks_peak_is_the_lowest(of3: list[fig3.Measured]) -> None:
    peaks = np.mean([np.nanmax(run.W, axis=1) for run in of3], axis=0)
    assert peaks.argmin() == NETWORK
    assert peaks[NETWORK] < peaks[SINGLE] / 3


def test_a_larger_l_makes_w_higher_and_rougher_and_a_larger_q_smoother(doubling: list[Trace]) -> None:
    honest = np.delete(use(doubling[0]), fig3.CHEAT, axis=1)
    scores = [W(honest, panel.parameters)[60:] for panel in fig3.PANELS]
    rough = [np.abs(np.diff(score, axis=0)).mean() / score.mean() for score in scores]
    assert scores[L8].mean() > 2 * scores[SINGLE].mean()
    assert rough[L8] > rough[SINGLE] > rough[Q36]


def test_h_is_what_equation_9_gives_not_what_the_paper_prints() -> None:
    thresholds = [panel.parameters.h for panel in fig3.PANELS]
    assert thresholds == pytest.approx([0.60515, 0.60515, 0.60515, 0.42791], abs=5e-6)


def test_honest_running_is_above_h_most_of_the_time(of3: list[fig3.Measured], of5: fig5.Measured) -> None:
    for number, panel in enumerate(fig3.PANELS):
        calm = [run.W[number, panel.parameters.span - 1 : fig3.AT_S] for run in of3]
        assert np.mean(np.array(calm) > panel.parameters.h) > 0.7
    honest = of5.by_W.values[colluders.FROM_S :, ~colluders.BYZANTINE]
    assert 0.6 < np.mean(honest > PAPER.h) < 0.9


# --- figure 4 ---


def test_w_peaks_after_every_step(of4: list[fig4.Measured]) -> None:
    score = np.mean([run.W for run in of4], axis=0)
    for number in range(len(fig4.STEPS)):
        for at in fig4.AT_S:
            after = score[at : at + fig4.APART_S, number]
            assert after.argmax() < 30
            assert after.max() > 3 * after[-10:].mean()


def test_larger_steps_make_larger_peaks(of4: list[fig4.Measured]) -> None:
    highest = np.mean([fig4.peaks(run) for run in of4], axis=0)
    mean = highest[1:].mean(axis=0)
    assert mean[0] < mean[1] < mean[2:].min()
    assert (highest[1:, 1:] > highest[0, 1:]).all()


# --- figure 5 ---


def test_cumulative_use_names_the_colluders_in_every_round_of_the_attack(of5: fig5.Measured) -> None:
    assert fig5.top_two(of5.by_use) == 1
    assert fig5.byzantine_best(of5.by_use) == 0
    attacked = of5.by_use.scores[fig5.ATTACKED]
    assert attacked[:, colluders.BYZANTINE].min() > 10 * attacked[:, ~colluders.BYZANTINE].max()


def test_w_does_not_name_them(of5: fig5.Measured) -> None:
    assert fig5.top_two(of5.by_W) <= 0.5
    attacked = of5.by_W.scores[fig5.ATTACKED]
    ratio = np.median(attacked[:, colluders.BYZANTINE]) / np.median(attacked[:, ~colluders.BYZANTINE])
    assert 0.2 < ratio < 5


def test_rounds_begin_when_all_w_are_there(of5: fig5.Measured) -> None:
    rounds = len(fig5.ENDS)
    assert of5.by_W.scores.shape == of5.by_use.scores.shape == (rounds, MINERS)
    assert fig5.ATTACKED.sum() == 12
    first = fig5.ENDS[0]
    assert not np.isnan(of5.by_W.values[first - fig5.D : first]).any()
    assert np.isnan(of5.by_W.values[first - 2 * fig5.D : first - fig5.D]).any()


def test_w_rises_as_high_when_a_gain_ends_as_when_it_begins(colluding: Trace) -> None:
    score = W(use(colluding)[:, colluders.BYZANTINE])
    begins = colluders.STARTS[-4:-1]
    begun = np.array([score[t : t + 30].max() for t in begins])
    ended = np.array([score[t + 60 : t + 90].max() for t in begins])
    calm = np.median(score[colluders.STARTS[0] : colluders.STARTS[0] + 60])
    assert begun.min() > 5 * calm
    assert ended.min() > 5 * calm
    assert 0.2 < ended.mean() / begun.mean() < 5


def test_w_sinks_from_its_beginning_for_minutes(colluding: Trace) -> None:
    stream, honest = SsaStream(14), use(colluding)[: colluders.FROM_S, ~colluders.BYZANTINE]
    ticks = [stream.push(values) for values in honest][PAPER.span - 1 :]
    S, score = np.array([tick.S for tick in ticks]), np.array([tick.W for tick in ticks])
    before_zero = np.cumsum(score <= 0, axis=0) == 0
    sunk = S - PAPER.drift * np.arange(len(S))[:, None]
    assert np.allclose(score[before_zero], sunk[before_zero], rtol=1e-9)
    first = PAPER.span + before_zero.sum(axis=0)
    assert 200 < np.median(first) < 450


# --- figure 6 ---


def test_the_mean_of_w_is_above_the_papers_thresholds_whoever_gains_or_nobody(of6: fig6.Measured) -> None:
    assert (of6.rates(fig6.PAPERS)[0] > 0.9).all()


def test_the_networks_own_w_tells_no_gain_from_none_there(of6: fig6.Measured) -> None:
    rates = of6.rates(fig6.PAPERS[:1])[1, :, 0]
    assert rates[0] > 0.4
    assert rates[1:].mean() < rates[0] + 0.3


def test_rates_rise_as_h_falls(of6: fig6.Measured) -> None:
    for thresholds in (fig6.PAPERS, fig6.WIDE):
        assert (np.diff(thresholds) < 0).all()
        assert (np.diff(of6.rates(thresholds)) >= 0).all()


def test_far_above_the_papers_thresholds_gains_part(of6: fig6.Measured) -> None:
    rates = of6.rates(np.array([8.0]))[0, :, 0]
    assert rates[0] == 0
    assert rates[-1] > 0.1
    assert rates[-3:].mean() > rates[1:4].mean()


# --- all ---

COLUMNS = {
    "fig3.csv": "repetition,panel,t_s,use_percent,W,h",
    "fig4.csv": "repetition,step_percent,t_s,use_percent,W,h",
    "fig5_vectors.csv": "repetition,t_s,miner,byzantine,W,cumulative",
    "fig5_scores.csv": "repetition,t_s,miner,byzantine,score_W,benchmark_W,score_cumulative,benchmark_cumulative",
    "fig6.csv": "repetition,gain_percent,h,rate_mean_of_W,rate_W_of_mean",
}


def test_tables_hold_what_was_measured(
    of3: list[fig3.Measured], of4: list[fig4.Measured], of5: fig5.Measured, of6: fig6.Measured
) -> None:
    written = {}
    measured: list[Sequence[Any]] = [of3[:2], of4[:2], [of5, of5], [of6, of6]]
    for experiment, runs in zip(EXPERIMENTS, measured, strict=True):
        for name, table in experiment.tables(runs).items():
            written[name] = list(csv_module.DictReader(io.StringIO(csv(table).decode())))
            assert ",".join(written[name][0]) == COLUMNS[name]
            assert {row["repetition"] for row in written[name]} == {"1", "2"}
    assert written.keys() == COLUMNS.keys()

    def value(name: str, column: str, **key: object) -> float:
        rows = [row for row in written[name] if all(row[k] == str(v) for k, v in key.items())]
        assert len(rows) == 2
        return float(rows[1][column])

    some = pytest.approx
    assert value("fig3.csv", "W", panel="l8", t_s=210) == some(of3[1].W[L8, 209], rel=1e-5)
    assert value("fig3.csv", "use_percent", panel="network", t_s=1) == some(of3[1].use[NETWORK, 0], rel=1e-5)
    assert value("fig4.csv", "W", step_percent=40, t_s=130) == some(of4[1].W[129, 2], rel=1e-5)
    vectors = of5.by_use.values
    assert value("fig5_vectors.csv", "cumulative", t_s=600, miner="m02") == some(vectors[599, 1], rel=1e-5)
    end = int(fig5.ENDS[50])
    assert value("fig5_scores.csv", "score_W", t_s=end, miner="m03") == some(of5.by_W.scores[50, 2], rel=1e-5)
    best = f"m{of5.by_use.best[50] + 1:02}"
    assert value("fig5_scores.csv", "benchmark_cumulative", t_s=end, miner=best) == 1
    rates = of6.rates(fig6.PAPERS)
    assert value("fig6.csv", "rate_W_of_mean", gain_percent=20, h=f"{fig6.PAPERS[7]:.6g}") == some(
        rates[1, 2, 7]
    )


def test_a_table_is_written_with_six_digits_and_nothing_where_there_is_none() -> None:
    table = {"a": np.array([1, 20]), "b": np.array(["x", "y"]), "c": np.array([1 / 3, np.nan])}
    assert csv(table) == b"a,b,c\n1,x,0.333333\n20,y,\n"
