"""The picture: what each miner is paid over the hour, and what the cheat, or the tests of honest hours, come to."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from network.fairness.attacks import CHEAT
from network.fairness.outcome import MINUTE_MS, PHASES
from network.fairness.report import heading, named
from network.fairness.summary import Summary

DPI = 110
# As in the figures of network/reproduce/.
HONEST, DISHONEST, FAIR = "tab:green", "tab:red", "tab:gray"
# What takes double has less than twice as much; intervals of few hours are cut off above.
MOST = 2.1


def png(summaries: Sequence[Summary]) -> bytes:
    """The picture as a PNG file: one column a setting."""
    honest = summaries[0].setting.attack == "none"
    figure = Figure(figsize=(1.2 + 4.4 * len(summaries), 6.4), dpi=DPI, layout="constrained")
    grid = figure.subplots(2, len(summaries), squeeze=False, sharey="row")
    for column, summary in enumerate(summaries):
        above, below = grid[:, column]
        _course(above, summary)
        above.set_title(named(summary), fontsize=11)
        if honest:
            _p_values(below, summary)
        else:
            _phases(below, summary)
        if not column:
            above.set_ylabel("rewards, times fair")
            below.set_ylabel("part of hours" if honest else "paid work, times fair")
    figure.suptitle(f"mean of {heading(summaries)}", fontsize=12)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _course(axes: Axes, summary: Summary) -> None:
    minutes = np.arange(len(summary.course)) + 0.5
    cheats = summary.setting.attack != "none"
    for row, name in enumerate(summary.names):
        cheat = cheats and name == CHEAT
        label = f"{name}, the cheat" if cheat else "honest miners" if row == len(summary.names) - 1 else None
        axes.plot(
            minutes,
            summary.course[:, row],
            color=DISHONEST if cheat else HONEST,
            linewidth=1.8 if cheat else 0.7,
            zorder=3 if cheat else 2,
            label=label,
        )
    axes.axhline(1, color=FAIR, linewidth=0.8, linestyle="--")
    if cheats:
        axes.axvline(
            summary.setting.begins_ms / MINUTE_MS,
            color="black",
            linewidth=0.8,
            linestyle=":",
            label="it begins",
        )
    axes.set_xlim(0, len(summary.course))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minute of the hour")
    axes.legend(fontsize=8, loc="lower right")


def _phases(axes: Axes, summary: Summary) -> None:
    """The cheat's share before it begins, until it is convicted, and after, with intervals."""
    for place, name in enumerate(PHASES):
        one = summary.phase(name)
        if one is None:
            axes.text(place, 0.05, "never convicted", ha="center", fontsize=9, color=FAIR)
            continue
        low, high = max(0.0, one.low), min(one.high, MOST)
        ends = [[one.value - low], [high - one.value]]
        axes.bar(place, one.value, 0.6, color=DISHONEST, alpha=0.8, yerr=ends, capsize=5)
        axes.text(place, high + 0.04, f"{one.value:.2f}", ha="center", fontsize=9)
    axes.axhline(1, color=FAIR, linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(PHASES)), ["before", "until convicted", "after"])
    axes.set_xlim(-0.5, len(PHASES) - 0.5)
    axes.set_ylim(0, MOST + 0.2)


def _p_values(axes: Axes, summary: Summary) -> None:
    """How many hours have a p-value below each; a straight line where they are uniform."""
    for label, tests in (("blocks", summary.blocks), ("shares paid", summary.paid)):
        p = np.sort([one.p for one in tests.each])
        axes.step(
            p, (np.arange(len(p)) + 1) / len(p), where="post", label=f"{label}: KS p = {tests.uniform:.2f}"
        )
    axes.plot([0, 1], [0, 1], color=FAIR, linewidth=0.8, linestyle="--", label="uniform")
    axes.set_xlabel("p-value of the chi-square test")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.legend(fontsize=8, loc="upper left")
