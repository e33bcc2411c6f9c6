"""Figure 3: one miner doubles its use at t = 200 s; at network level, alone, and with l and q - p varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from detectors.ssa.parameters import PAPER, SsaParameters
from network.reproduce import plots
from network.reproduce.experiment import Experiment, Table
from network.reproduce.measures import Floats, W, use
from network.reproduce.script import Change, Script
from network.trace import Trace

CHEAT = 0
AT_S = 200
# Long enough for W to come and go: some 80 s after a step S is back where it was.
SCRIPT = Script("doubling", 300, (Change(AT_S, CHEAT, 200),))


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: what is looked at (the network's mean, or the cheat), with which parameters."""

    key: str
    title: str
    network: bool
    parameters: SsaParameters


PANELS = (
    Panel("network", "mean of the network", True, PAPER),
    Panel("single", "the miner alone, l = 4, q - p = 12", False, PAPER),
    Panel("l8", "the miner alone, l = 8, q - p = 12", False, SsaParameters(l=8)),
    Panel("q36", "the miner alone, l = 4, q - p = 24", False, SsaParameters(q=36)),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: use and W of every panel, each (panels, T)."""

    use: Floats
    W: Floats


def measure(trace: Trace) -> Measured:
    """See Measured."""
    percent = use(trace)
    series = [percent.mean(axis=1) if panel.network else percent[:, CHEAT] for panel in PANELS]
    scores = [W(x[:, None], panel.parameters)[:, 0] for x, panel in zip(series, PANELS, strict=True)]
    return Measured(np.array(series), np.array(scores))


def tables(runs: Sequence[Measured]) -> Mapping[str, Table]:
    """A row for every repetition, panel and second."""
    repetitions, count, T = len(runs), len(PANELS), SCRIPT.seconds
    rows = repetitions * count * T
    return {
        "fig3.csv": {
            "repetition": np.repeat(np.arange(1, repetitions + 1), count * T),
            "panel": np.tile(np.repeat([panel.key for panel in PANELS], T), repetitions),
            "t_s": np.tile(np.arange(1, T + 1), rows // T),
            "use_percent": np.concatenate([run.use.ravel() for run in runs]),
            "W": np.concatenate([run.W.ravel() for run in runs]),
            "h": np.tile(np.repeat([panel.parameters.h for panel in PANELS], T), repetitions),
        }
    }


def draw(runs: Sequence[Measured]) -> Figure:
    """The four panels."""
    figure, grid = plots.panels(2, 2, "One of 16 miners doubles its use at t = 200 s")
    t = np.arange(1, SCRIPT.seconds + 1, dtype=float)
    for number, (axes, panel) in enumerate(zip(grid, PANELS, strict=True)):
        series = np.array([run.use[number] for run in runs])
        scores = np.array([run.W[number] for run in runs])
        right = plots.use_and_score(axes, t, series, scores, panel.parameters.h)
    plots.legend(figure, grid[-1], right)
    plots.name_panels(grid, [f"{panel.title}, h = {panel.parameters.h:.3f}" for panel in PANELS])
    return figure


def summary(runs: Sequence[Measured]) -> list[str]:
    """For every panel: how W stands to h before the change and how rough it is, and how it peaks after."""
    lines = []
    for number, panel in enumerate(PANELS):
        scores = np.array([run.W[number] for run in runs])
        calm, after = scores[:, panel.parameters.span - 1 : AT_S], scores[:, AT_S:]
        above, rough = np.mean(calm > panel.parameters.h), np.abs(np.diff(calm)).mean() / calm.mean()
        before, peaks = calm.max(axis=1), after.max(axis=1)
        seen = AT_S + 1 + (after > before[:, None]).argmax(axis=1)
        when = AT_S + 1 + after.argmax(axis=1)
        lines += [
            f"{panel.title}: W > h = {panel.parameters.h:.5f} in {above:.0%} of the seconds before t = {AT_S} s; its "
            f"mean {calm.mean():.3g}, its change a second {rough:.0%} of that, its highest {plots.span(before)}",
            f"  after: higher than ever before at t = {plots.span(seen)} s, peak {plots.span(peaks)} at t = "
            f"{plots.span(when)} s, {plots.span(peaks / before)} x the highest before",
        ]
    return lines


FIG3 = Experiment("fig3", "one miner doubles its use at t = 200 s", SCRIPT, measure, tables, draw, summary)
