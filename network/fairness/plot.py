"""The pictures: what each miner is paid over time, and what the cheat, or the tests of honest hours, come to."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from network.fairness.attacks import CHEAT
from network.fairness.hashing import Floats
from network.fairness.outcome import MINUTE_MS, PHASES
from network.fairness.report import heading, named
from network.fairness.stored import Record
from network.fairness.summary import Summary

DPI = 110
# As in the figures of network/reproduce/.
HONEST, DISHONEST, FAIR = "tab:green", "tab:red", "tab:gray"
# What takes double has less than twice as much; intervals of few hours are cut off above.
MOST = 2.1
# Points of a ledger's lines: what one can tell apart, and none of so few blocks that it is chance alone.
MOST_BINS, BLOCKS_A_BIN = 60, 6


def png(summaries: Sequence[Summary]) -> bytes:
    """The picture as a PNG file: one column a setting."""
    honest = summaries[0].setting.attack == "none"
    figure = Figure(figsize=(1.2 + 4.4 * len(summaries), 6.4), dpi=DPI, layout="constrained")
    grid = figure.subplots(2, len(summaries), squeeze=False, sharey="row")
    for column, summary in enumerate(summaries):
        above, below = grid[:, column]
        cheats = {CHEAT} if summary.setting.attack != "none" else set[str]()
        minutes = np.arange(len(summary.course), dtype=np.float64) + 0.5
        begins = [summary.setting.begins_ms / MINUTE_MS] if cheats else []
        _course(above, minutes, summary.course, summary.names, cheats=cheats, begins=begins)
        above.set_title(named(summary), fontsize=11)
        if honest:
            _p_values(below, summary)
        else:
            _phases(below, summary)
        if not column:
            above.set_ylabel("rewards, times fair")
            below.set_ylabel("part of hours" if honest else "paid work, times fair")
    figure.suptitle(f"mean of {heading(summaries)}", fontsize=12)
    return _drawn(figure)


def ledger_png(record: Record) -> bytes:
    """The picture of an agent's ledger as a PNG file."""
    figure = Figure(figsize=(7, 6.4), dpi=DPI, layout="constrained")
    above, below = figure.subplots(2, 1)
    bins = max(1, min(MOST_BINS, len(record.time_ms) // BLOCKS_A_BIN))
    minutes, course = record.course(bins)
    accused = {one.miner for one in record.verdicts}
    begins = [(one.began_ms - int(record.time_ms.min())) / MINUTE_MS for one in record.verdicts]
    _course(above, minutes, course, record.names, cheats=accused, begins=begins)
    above.set_ylabel("rewards, times fair")
    for row, name in enumerate(record.names):
        one = record.shares_times_fair(row)
        ends = [[one.value - one.low], [one.high - one.value]]
        colour = DISHONEST if name in accused else HONEST
        below.bar(row, one.value, 0.7, color=colour, alpha=0.8, yerr=ends, capsize=2)
    below.axhline(1, color=FAIR, linewidth=0.8, linestyle="--")
    below.set_xticks(range(len(record.names)), record.names, rotation=60, fontsize=8)
    below.set_ylabel("shares paid, times fair")
    figure.suptitle(f"{len(record.time_ms)} blocks of {len(record.names)} miners", fontsize=12)
    return _drawn(figure)


def _drawn(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _course(
    axes: Axes,
    minutes: Floats,
    course: Floats,
    names: Sequence[str],
    *,
    cheats: set[str],
    begins: Sequence[float],
) -> None:
    """Rewards over time of every miner, (T, n)."""
    honest = [name for name in names if name not in cheats]
    for row, name in enumerate(names):
        cheat = name in cheats
        label = f"{name}, the cheat" if cheat else "honest miners" if name == honest[-1] else None
        axes.plot(
            minutes,
            course[:, row],
            color=DISHONEST if cheat else HONEST,
            linewidth=1.8 if cheat else 0.7,
            zorder=3 if cheat else 2,
            label=label,
        )
    axes.axhline(1, color=FAIR, linewidth=0.8, linestyle="--")
    for number, minute in enumerate(begins):
        label = None if number else "it begins"
        axes.axvline(minute, color="black", linewidth=0.8, linestyle=":", label=label)
    axes.set_xlim(0, minutes[-1] + minutes[0])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes")
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
