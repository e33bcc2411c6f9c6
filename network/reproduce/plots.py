"""How the figures look: use in blue, W in red, h in green, as in the paper; several runs as mean and range.

W is drawn on a scale that is linear near zero and logarithmic above: h is 0.6, and W after a doubling some
hundreds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from network.reproduce.measures import Floats

Colour = Any  # whatever matplotlib takes for one

USE, SCORE, THRESHOLD = "tab:blue", "tab:red", "tab:green"
HONEST, DISHONEST = "tab:green", "tab:red"
# Below this W is drawn on a linear scale, so that its zeros show.
LINEAR_BELOW = 0.1
DPI = 110


def panels(rows: int, columns: int, title: str) -> tuple[Figure, list[Axes]]:
    """A figure of rows x columns panels, and these in reading order."""
    figure = Figure(figsize=(5.0 * columns, 3.2 * rows), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.suptitle(title, fontsize=12)
    return figure, list(grid.flat)


def name_panels(grid: Sequence[Axes], titles: Sequence[str]) -> None:
    """(a), (b), ... and a title over each panel."""
    for letter, axes, title in zip("abcdefgh", grid, titles, strict=False):
        axes.set_title(f"({letter}) {title}", fontsize=10)


def legend(figure: Figure, *sample: Axes) -> None:
    """One legend below all panels, of what is drawn in these axes."""
    entries = [entry for axes in sample for entry in zip(*axes.get_legend_handles_labels(), strict=True)]
    handles, labels = zip(*entries, strict=True)
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=9, markerscale=3)


def line(axes: Axes, t: Floats, runs: Floats, colour: Colour, label: str, *, style: str = "-") -> None:
    """The mean of several runs (runs, T) over t, where all of them have a value."""
    known = ~np.isnan(runs).any(axis=0)
    mean = runs[:, known].mean(axis=0)
    axes.plot(t[known], mean, color=colour, linewidth=1.1, linestyle=style, label=label)


def spread(axes: Axes, t: Floats, runs: Floats, colour: Colour) -> None:
    """From the lowest to the highest of several runs (runs, T)."""
    known = ~np.isnan(runs).any(axis=0)
    low, high = runs[:, known].min(axis=0), runs[:, known].max(axis=0)
    axes.fill_between(t[known], low, high, color=colour, alpha=0.25, linewidth=0)


def use_and_score(axes: Axes, t: Floats, use: Floats, score: Floats, h: float) -> Axes:
    """The paper's panel: use (runs, T) on the left, W (runs, T) and h on the right, whose axes are returned."""
    spread(axes, t, use, USE)
    line(axes, t, use, USE, "use")
    axes.set_xlabel("time (s)")
    axes.set_ylabel("use (% of entitlement)", color=USE)
    axes.set_ylim(0, None)
    axes.set_xlim(0, t[-1])
    right = axes.twinx()
    spread(right, t, score, SCORE)
    line(right, t, score, SCORE, "W")
    right.axhline(h, color=THRESHOLD, linewidth=1.3, label="h")
    score_scale(right)
    right.set_ylim(0, float(np.nanmax(score)) * 4)  # room above the peak
    right.set_ylabel("W", color=SCORE)
    return right


def score_scale(axes: Axes) -> None:
    """Linear to LINEAR_BELOW, logarithmic above, with plain numbers."""
    axes.set_yscale("symlog", linthresh=LINEAR_BELOW, linscale=0.4)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def span(values: Floats) -> str:
    """The mean of several runs' values, and the lowest and highest where they differ."""
    low, high = values.min(), values.max()
    return f"{values.mean():.3g}" if low == high else f"{values.mean():.3g} ({low:.3g} to {high:.3g})"
