"""Figure 4: a miner adds 20, 30, 40 or 50 % of its entitlement at t = 125, 175, 225 and 275 s.

W is each miner's own, so all four go in one run, on four miners.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from detectors.ssa.parameters import PAPER
from network.reproduce import plots
from network.reproduce.experiment import Experiment, Table
from network.reproduce.measures import Floats, W, use
from network.reproduce.script import Change, Script
from network.trace import Trace

STEPS = (20, 30, 40, 50)
AT_S = (125, 175, 225, 275)
APART_S = 50
SCRIPT = Script(
    "steps",
    AT_S[-1] + APART_S,
    tuple(
        Change(t, miner, 100 + step * number)
        for number, t in enumerate(AT_S, 1)
        for miner, step in enumerate(STEPS)
    ),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: use and W of the miner of each step, each (T, steps)."""

    use: Floats
    W: Floats


def measure(trace: Trace) -> Measured:
    """See Measured."""
    series = use(trace)[:, : len(STEPS)]
    return Measured(series, W(series))


def tables(runs: Sequence[Measured]) -> Mapping[str, Table]:
    """A row for every repetition, step and second."""
    T, rows = SCRIPT.seconds, len(runs) * len(STEPS) * SCRIPT.seconds
    return {
        "fig4.csv": {
            "repetition": np.repeat(np.arange(1, len(runs) + 1), len(STEPS) * T),
            "step_percent": np.tile(np.repeat(STEPS, T), len(runs)),
            "t_s": np.tile(np.arange(1, T + 1), rows // T),
            "use_percent": np.concatenate([run.use.T.ravel() for run in runs]),
            "W": np.concatenate([run.W.T.ravel() for run in runs]),
            "h": np.full(rows, PAPER.h),
        }
    }


def draw(runs: Sequence[Measured]) -> Figure:
    """A panel for each step."""
    figure, grid = plots.panels(2, 2, "A miner adds to its use at t = 125, 175, 225 and 275 s")
    t = np.arange(1, SCRIPT.seconds + 1, dtype=float)
    for number, axes in enumerate(grid):
        series = np.array([run.use[:, number] for run in runs])
        scores = np.array([run.W[:, number] for run in runs])
        right = plots.use_and_score(axes, t, series, scores, PAPER.h)
        for at in AT_S:
            axes.axvline(at, color="gray", linewidth=0.8, linestyle=":")
    plots.legend(figure, grid[-1], right)
    plots.name_panels(grid, [f"+{step} % each time" for step in STEPS])
    return figure


def peaks(run: Measured) -> Floats:
    """The highest W in the APART_S before the first step, and after each: (1 + steps in time, sizes)."""
    begins = (AT_S[0] - APART_S, *AT_S)
    return np.array([run.W[begin : begin + APART_S].max(axis=0) for begin in begins])


def summary(runs: Sequence[Measured]) -> list[str]:
    """For every size of step: the peaks of W after each, and how many stand out from honest running."""
    highest = np.array([peaks(run) for run in runs])
    lines = []
    for number, step in enumerate(STEPS):
        calm, after = highest[:, 0, number], highest[:, 1:, number]
        means = ", ".join(f"{value:.3g}" for value in after.mean(axis=0))
        seen = int((after > calm[:, None]).sum())
        lines.append(
            f"+{step} % each time: W peaks at {means} after the steps; in the {APART_S} s before them at "
            f"{plots.span(calm)}; {seen} of {after.size} steps stand above that of their run"
        )
    return lines


FIG4 = Experiment("fig4", "a miner adds 20 to 50 % four times", SCRIPT, measure, tables, draw, summary)
