"""Figure 5: two of sixteen miners gain 10 % in minutes 9 and 10 of 20: behaviour vectors and Krum's scores.

Two kinds of vectors side by side: the paper's, of d values of W, and of what a miner has used beyond its entitlement
since the round began, which MinT decides by, over four rounds (detectors/behaviour.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from detectors.krum import krum
from detectors.ssa.parameters import PAPER
from network.reproduce import plots
from network.reproduce.colluders import BYZANTINE, CHEATS, FIRST_PART_S, FROM_S, SCRIPT, TO_S
from network.reproduce.experiment import Experiment, Table
from network.reproduce.measures import Floats, Ints, W, excess, use
from network.reproduce.script import MINERS, NAMES
from network.trace import Trace

# Values in a behaviour vector: MinT's default (mint/charter/toml.py). The paper has d = 1 s in one place and
# calls d the window of detection in another.
D = 10
# The end of each round; the first is the first that has a W for each of its seconds.
ENDS = np.arange(-(-PAPER.span // D) + 1, FIRST_PART_S // D + 1) * D
ATTACKED = (ENDS > FROM_S) & (ENDS <= TO_S)
# Krum is told as many Byzantine miners as there are.
F = len(CHEATS)
# W is rounded to millionths, for Krum counts in integers.
MICRO = 1e-6
# One percent of one second's entitlement, in ppm of it.
PERCENT = 10_000


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One run by one kind of vector.

    `values`: what the vectors hold, second by second, (T, miners). `scores`: s(i) of every round (equation 10) in
    the square of the values' unit, (rounds, miners). `best`: the row of B* of every round, (rounds,).
    """

    values: Floats
    scores: Floats
    best: Ints


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: by W, and by cumulative use in percent of one second's entitlement."""

    by_W: Behaviour  # noqa: N815 - the paper's symbol
    by_use: Behaviour


def measure(trace: Trace) -> Measured:
    """See Measured."""
    begins = range(0, FIRST_PART_S, D)
    beyond = np.concatenate([excess(trace, begin, begin + D) for begin in begins])
    score = W(use(trace)[:FIRST_PART_S])
    micro = np.rint(np.nan_to_num(score) / MICRO).astype(np.int64)
    return Measured(_behaviour(score, micro, MICRO), _behaviour(beyond / PERCENT, beyond, 1 / PERCENT))


def _behaviour(values: Floats, whole: Ints, unit: float) -> Behaviour:
    """What Krum makes of the vectors `whole`, whose numbers stand for `unit` each."""
    rounds = [krum(np.ascontiguousarray(whole[end - D : end].T), F, NAMES) for end in ENDS]
    scores = np.array([each.scores for each in rounds], dtype=np.float64) * unit**2
    return Behaviour(values, scores, np.array([each.best for each in rounds]))


def tables(runs: Sequence[Measured]) -> Mapping[str, Table]:
    """The vectors' values for every repetition, second and miner; the scores for every round and miner."""
    kinds = {"W": [run.by_W for run in runs], "cumulative": [run.by_use for run in runs]}
    vectors = _keys(len(runs), np.arange(1, FIRST_PART_S + 1))
    scores = _keys(len(runs), ENDS)
    for name, behaviours in kinds.items():
        vectors[name] = np.concatenate([each.values.ravel() for each in behaviours])
        scores[f"score_{name}"] = np.concatenate([each.scores.ravel() for each in behaviours])
        best = [each.best[:, None] == np.arange(MINERS) for each in behaviours]
        scores[f"benchmark_{name}"] = np.concatenate([each.ravel() for each in best]).astype(np.int64)
    return {"fig5_vectors.csv": vectors, "fig5_scores.csv": scores}


def _keys(repetitions: int, times: Ints) -> dict[str, np.ndarray]:
    rows = repetitions * len(times)
    return {
        "repetition": np.repeat(np.arange(1, repetitions + 1), len(times) * MINERS),
        "t_s": np.tile(np.repeat(times, MINERS), repetitions),
        "miner": np.tile(NAMES, rows),
        "byzantine": np.tile(BYZANTINE.astype(np.int64), rows),
    }


def draw(runs: Sequence[Measured]) -> Figure:
    """(a), (b) vectors of W and their scores; (c), (d) the same of cumulative use."""
    figure, grid = plots.panels(2, 2, "Two of 16 miners gain 10 % in minutes 9 and 10")
    for row, (unit, behaviours) in enumerate(
        (("W", [run.by_W for run in runs]), ("excess (% of 1 s)", [run.by_use for run in runs]))
    ):
        vectors, scores = grid[2 * row : 2 * row + 2]
        _draw_vectors(vectors, np.array([each.values for each in behaviours]), unit)
        _draw_scores(scores, np.array([each.scores for each in behaviours]))
    plots.score_scale(grid[0])
    grid[0].set_ylim(0, None)
    plots.legend(figure, grid[1])
    titles = (
        "B of W, as the paper has it",
        "s(i) of (a)",
        "B of cumulative use, MinT's default",
        "s(i) of (c)",
    )
    plots.name_panels(grid, titles)
    return figure


def _draw_vectors(axes: Axes, values: Floats, unit: str) -> None:
    """(runs, T, miners): the median over miners and runs, and from the lowest to the highest of them."""
    t = np.arange(1, values.shape[1] + 1) / 60
    known = ~np.isnan(values).any(axis=(0, 2))
    for rows, colour, label in _groups():
        group = values[:, known][:, :, rows].transpose(0, 2, 1).reshape(-1, int(known.sum()))
        axes.fill_between(
            t[known], group.min(axis=0), group.max(axis=0), color=colour, alpha=0.25, linewidth=0
        )
        axes.plot(t[known], np.median(group, axis=0), color=colour, linewidth=0.8, label=label)
    axes.set_ylabel(f"b, {unit}")
    _finish(axes)


def _draw_scores(axes: Axes, scores: Floats) -> None:
    """(runs, rounds, miners): a dot for every miner and run."""
    minutes = np.broadcast_to((ENDS / 60)[:, None], scores.shape)
    for rows, colour, label in _groups():
        axes.plot(
            minutes[..., rows].ravel(),
            scores[..., rows].ravel(),
            linestyle="none",
            marker=".",
            markersize=2.5,
            color=colour,
            label=label,
        )
    axes.set_yscale("log")
    axes.set_ylabel("consensus score s(i)")
    _finish(axes)


def _groups() -> tuple[tuple[np.ndarray, str, str], ...]:
    return (~BYZANTINE, plots.HONEST, "honest"), (BYZANTINE, plots.DISHONEST, "Byzantine")


def _finish(axes: Axes) -> None:
    axes.axvspan(FROM_S / 60, TO_S / 60, color="gray", alpha=0.15, linewidth=0)
    axes.set_xlim(0, FIRST_PART_S / 60)
    axes.set_xticks(range(0, FIRST_PART_S // 60 + 1, 2))
    axes.set_xlabel("time (min)")


def top_two(behaviour: Behaviour) -> float:
    """The share of the attack's rounds in which the highest scores are the Byzantine miners'."""
    order = np.argsort(behaviour.scores[ATTACKED], axis=1)[:, -len(CHEATS) :]
    return float(np.mean(BYZANTINE[order].all(axis=1)))


def byzantine_best(behaviour: Behaviour) -> float:
    """The share of the attack's rounds in which B* is a Byzantine miner's."""
    return float(np.mean(BYZANTINE[behaviour.best[ATTACKED]]))


def summary(runs: Sequence[Measured]) -> list[str]:
    """For both kinds of vectors: how often the scores name the Byzantine miners. And how W stands to h without them."""
    lines = []
    kinds = {"W": [run.by_W for run in runs], "cumulative use": [run.by_use for run in runs]}
    for name, behaviours in kinds.items():
        scores = np.concatenate([each.scores[ATTACKED] for each in behaviours])
        ratio = np.median(scores[:, BYZANTINE]) / np.median(scores[:, ~BYZANTINE])
        two = np.array([100 * top_two(each) for each in behaviours])
        best = np.array([100 * byzantine_best(each) for each in behaviours])
        lines.append(
            f"vectors of {name}: the two have the highest scores in {plots.span(two)} % of the attack's "
            f"{int(ATTACKED.sum())} rounds, median score {ratio:.3g} x that of honest miners; B* is theirs in "
            f"{plots.span(best)} %"
        )
    honest = np.array([run.by_W.values[FROM_S:, ~BYZANTINE] > PAPER.h for run in runs])
    lines.append(f"honest miners: W > h in {honest.mean():.0%} of the seconds from t = {FROM_S} s on")
    return lines


FIG5 = Experiment("fig5", "two miners gain 10 % for two minutes", SCRIPT, measure, tables, draw, summary)
