"""Figure 6: how often the network-level W stands above a threshold, while two of sixteen gain 0 to 80 %.

The paper calls this the false alarm rate, though someone does cheat; the line of 0 % is one. It compares "the
averaged W" with h: read here as the mean of the miners' W, and beside it as the W of the network's mean use, which
is what it shows in its figure 3a.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from detectors.ssa.parameters import PAPER
from network.reproduce import plots
from network.reproduce.colluders import GAIN_S, GAINS, SCRIPT, STARTS
from network.reproduce.experiment import Experiment, Table
from network.reproduce.measures import Floats, W, use
from network.trace import Trace

# The paper's range, in even steps, highest first; and beyond, to where rates fall.
PAPERS = np.linspace(0.6, 0.03, 20)
WIDE = np.logspace(np.log10(100), np.log10(0.03), 60)
LEVELS = ("mean of W", "W of mean")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: the network-level statistics of LEVELS while each gain lasts, (LEVELS, gains, GAIN_S)."""

    W: Floats

    def rates(self, thresholds: Floats) -> Floats:
        """The share of seconds in which each is above h: (LEVELS, gains, thresholds)."""
        return np.asarray((self.W[..., None] > thresholds).mean(axis=2))


def measure(trace: Trace) -> Measured:
    """See Measured."""
    percent = use(trace)
    levels = (W(percent).mean(axis=1), W(percent.mean(axis=1, keepdims=True))[:, 0])
    return Measured(np.array([[level[start : start + GAIN_S] for start in STARTS] for level in levels]))


def tables(runs: Sequence[Measured]) -> Mapping[str, Table]:
    """A row for every repetition, gain and threshold."""
    thresholds = np.concatenate([PAPERS, WIDE])
    rates = np.array([run.rates(thresholds) for run in runs])
    repetitions, _, gains, count = rates.shape
    return {
        "fig6.csv": {
            "repetition": np.repeat(np.arange(1, repetitions + 1), gains * count),
            "gain_percent": np.tile(np.repeat(GAINS, count), repetitions),
            "h": np.tile(thresholds, repetitions * gains),
            "rate_mean_of_W": rates[:, 0].ravel(),
            "rate_W_of_mean": rates[:, 1].ravel(),
        }
    }


def draw(runs: Sequence[Measured]) -> Figure:
    """(a), (b) over the paper's range of h; (c), (d) over a wider one. Spread is drawn of the first and last gain."""
    title = "Share of seconds with W > h at network level, while two of 16 gain 0 to 80 %"
    figure, grid = plots.panels(2, 2, title)
    for axes, thresholds, level in zip(grid, (PAPERS, PAPERS, WIDE, WIDE), (0, 1, 0, 1), strict=True):
        _draw_rates(axes, thresholds, np.array([run.rates(thresholds)[level] for run in runs]))
    for axes in grid[2:]:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.axvline(PAPER.h, color=plots.THRESHOLD, linewidth=1.3, label=f"h = {PAPER.h:.3f}")
    titles = ("mean of the 16 W", "W of the mean use", "as (a), more thresholds", "as (b), more thresholds")
    plots.name_panels(grid, titles)
    plots.legend(figure, grid[-1])
    return figure


def _draw_rates(axes: Axes, thresholds: Floats, rates: Floats) -> None:
    """(runs, gains, thresholds)."""
    colours = ["black", *mpl.colormaps["plasma_r"](np.linspace(0.1, 0.9, len(GAINS) - 1))]
    for number in (0, len(GAINS) - 1):
        plots.spread(axes, thresholds, rates[:, number], colours[number])
    for number, (gain, colour) in enumerate(zip(GAINS, colours, strict=True)):
        plots.line(axes, thresholds, rates[:, number], colour, f"{gain} %", style="-" if gain else "--")
    axes.set_xlim(thresholds[0], thresholds[-1])  # falling, as the paper tells it
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("threshold h")
    axes.set_ylabel("share of seconds above h")


def summary(runs: Sequence[Measured]) -> list[str]:
    """For both readings: the rates at the ends of the paper's range, and those above all honest running."""
    lines = []
    for number, level in enumerate(LEVELS):
        highest = np.array([max(run.W[number, 0].max() for run in runs)])
        rates = np.array([run.rates(np.append(PAPERS[[0, -1]], highest))[number] for run in runs]).mean(
            axis=0
        )
        gains = ", ".join(f"{rate:.0%}" for rate in rates[1:, 2])
        lines += [
            f"{level}: above h = {PAPERS[0]:.2g} in {rates[:, 0].min():.0%} to {rates[:, 0].max():.0%} of the seconds "
            f"over all gains ({rates[0, 0]:.0%} when nobody gains), above {PAPERS[-1]:.2g} in "
            f"{rates[:, 1].min():.0%} to {rates[:, 1].max():.0%}",
            f"  with nobody gaining never above {highest[0]:.3g}; above that in {gains} of the seconds of a gain of "
            f"{GAINS[1]} to {GAINS[-1]} %",
        ]
    return lines


FIG6 = Experiment("fig6", "two miners gain 0 to 80 %", SCRIPT, measure, tables, draw, summary)
