"""The picture of a replay: for each miner that was accused or alarmed, what it used, and what detection made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec, SubplotSpec
from matplotlib.ticker import FuncFormatter

from network.outputs import whole_file
from network.replay import Step
from network.trace import Floats, Ints, Trace

# Miners drawn: what one can look at on a screen.
MOST_PANELS = 16
# Points of a line: more than a screen has columns for; and cells kept for all miners together, some 160 MiB.
MOST_POINTS, MOST_CELLS = 4000, 16_000_000
USE, LEVEL, SCORE, ACCUSED, ALARMED = "tab:blue", "tab:purple", "tab:red", "black", "tab:orange"
# Below this share of its threshold a statistic is drawn on a linear scale, so that its zeros show.
LINEAR_BELOW = 0.1
DPI = 110


class Drawing:
    """Takes in a replay as it goes; ticks in a row that share a point of the picture keep their largest values."""

    def __init__(self, trace: Trace, preset: str) -> None:
        self._trace, self._preset = trace, preset
        ticks, n = trace.present.shape
        points = max(1, min(ticks, MOST_POINTS, MOST_CELLS // n))
        self._at_once = -(-ticks // points)
        points = -(-ticks // self._at_once)
        # Both as multiples of what decides: the burst, and h.
        self._level, self._score = np.full((2, points, n), np.nan, np.float32)
        self._accused, self._alarmed = np.zeros((2, points, n), bool)
        self._rows = {name: row for row, name in enumerate(trace.miners)}
        self._point = 0

    def add(self, step: Step) -> None:
        """Take in one tick; what a lost one led to is drawn at the tick before it."""
        if step.row is not None:
            self._point = step.row // self._at_once
            level, score = self._level[self._point], self._score[self._point]
            statistics = step.findings.statistics
            np.fmax(level, step.findings.levels_ns / step.burst_ns, out=level, casting="same_kind")
            np.fmax(score, statistics.W / statistics.h, out=score, casting="same_kind")
        for one in step.findings.found:
            marks = self._accused if one.decides else self._alarmed
            marks[self._point, self._rows[one.miner]] = True

    def save(self, path: Path) -> str:
        """Write the picture as PNG; what it leaves out, for people.

        Raises:
            InputError: the file cannot be made.
        """
        accused, alarmed = self._accused.any(axis=0), self._alarmed.any(axis=0)
        # Accused first; sorted is stable, so that they stay in the order of their names.
        chosen = sorted(np.flatnonzero(accused | alarmed).tolist(), key=lambda row: not accused[row])
        shown = chosen[:MOST_PANELS]
        with whole_file(path) as file:
            self._figure(shown).savefig(file, format="png", metadata={"Software": None})
        if not chosen:
            return f"{path}: nobody was accused or alarmed\n"
        left = f"; {len(chosen) - len(shown)} more are left out" if len(chosen) > len(shown) else ""
        return f"{path}: {len(shown)} of {len(self._trace.miners)} miners{left}\n"

    def _figure(self, shown: list[int]) -> Figure:
        columns = max(1, min(4, int(np.ceil(np.sqrt(len(shown))))))
        lines = max(1, -(-len(shown) // columns))
        figure = Figure(figsize=(2.0 + 4.6 * columns, 1.0 + 3.2 * lines), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        if not shown:
            figure.suptitle(f"preset {self._preset}: nobody was accused or alarmed")
            return figure
        figure.suptitle(f"preset {self._preset}: what was used, and what detection made of it")
        use = self._trace.use(shown)
        grid = figure.add_gridspec(lines, columns)
        for at, row in enumerate(shown):
            self._panel(figure, grid[at // columns, at % columns], row, use[:, at])
        # Every panel has the same lines: those of the first one explain them all.
        lines_of = [line for axes in figure.axes[:2] for line in axes.get_legend_handles_labels()[0]]
        figure.legend(handles=lines_of, loc="outside lower center", ncols=len(lines_of), frameon=False)
        return figure

    def _panel(self, figure: Figure, place: SubplotSpec, row: int, use: Floats) -> None:
        both = GridSpecFromSubplotSpec(2, 1, place, height_ratios=(3, 2), hspace=0)
        above = figure.add_subplot(both[0])
        below = figure.add_subplot(both[1], sharex=above)
        t = self._trace.ticks[:: self._at_once]
        self._draw_use(above, t, use)
        if self._trace.percent is None:
            below.plot(t, self._level[:, row], color=LEVEL, linewidth=1, label="level / burst")
        below.plot(t, self._score[:, row], color=SCORE, linewidth=1, label="W / h")
        below.axhline(1, color="tab:green", linewidth=1, label="threshold")
        accused, alarmed = t[self._accused[:, row]], t[self._alarmed[:, row]]
        for axes in (above, below):
            whole = axes.get_xaxis_transform()
            axes.vlines(accused, 0, 1, color=ACCUSED, linewidth=0.8, linestyle="--", transform=whole)
        top = above.get_xaxis_transform()
        above.plot(
            accused, np.full(len(accused), 0.95), "v", color=ACCUSED, transform=top, label="accusation"
        )
        above.plot(alarmed, np.full(len(alarmed), 0.95), "|", color=ALARMED, transform=top, label="alarm")
        below.set_yscale("symlog", linthresh=LINEAR_BELOW)
        most = np.nanmax(np.concatenate([[1.0], self._level[:, row], self._score[:, row]]))
        below.set_ylim(0, 2 * most)
        below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        above.set_title(_title(self._trace.miners[row], accused, alarmed), fontsize=9)
        above.set_ylabel("use, %")
        below.set_ylabel("x threshold")
        below.set_xlabel("tick")
        above.tick_params(labelbottom=False)
        above.set_xlim(t[0], max(t[-1], t[0] + 1))

    def _draw_use(self, axes: Axes, t: Ints, use: Floats) -> None:
        """The mean of each point, and from the least to the most in it."""
        padded = np.full(len(t) * self._at_once, np.nan)
        padded[: len(use)] = use
        parts = np.ma.masked_invalid(padded.reshape(len(t), self._at_once))
        mean = parts.mean(axis=1).filled(np.nan)
        if self._at_once > 1:
            low, high = parts.min(axis=1).filled(np.nan), parts.max(axis=1).filled(np.nan)
            axes.fill_between(t, low, high, color=USE, alpha=0.25, linewidth=0)
        axes.plot(t, mean, color=USE, linewidth=1, label="use")
        axes.axhline(100, color="tab:gray", linewidth=0.8, label="entitlement")
        least, most = np.nanmin(np.append(use, 100.0)), np.nanmax(np.append(use, 100.0))
        # Room above for the marks; and none for what nobody used, so that a small gain shows.
        axes.set_ylim(max(0.0, least - 0.1 * (most - least)), most + 0.25 * (most - least) + 1)


def _title(miner: str, accused: Ints, alarmed: Ints) -> str:
    said = []
    if len(accused):
        said.append(f"accused at {', '.join(str(tick) for tick in accused[:3])}")
        said[0] += ", ..." if len(accused) > 3 else ""
    if len(alarmed):
        said.append(f"{len(alarmed)} alarms" if len(alarmed) > 1 else "1 alarm")
    return f"{miner}: {'; '.join(said)}"
