"""The picture: false alarms a miner-hour against threshold, a curve for each kind of telemetry and the pooled one."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from network.calibrate.rates import THRESHOLDS, Curve
from network.calibrate.report import Calibration

DPI = 110
# Of the pooled curve, which decides.
DECIDES = "black"
# Room right of the chosen threshold, of its value.
ROOM = 1.25


def png(found: Calibration) -> bytes:
    """The picture as a PNG file."""
    figure = Figure(figsize=(8.5, 5.5), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    rows = found.rows
    for number, curve in enumerate(rows):
        decides = curve is found.all
        _draw(axes, curve, DECIDES if decides else f"C{number % 10}", thick=decides)
    axes.axhline(found.rate, color="tab:gray", linestyle="--", linewidth=1, label="tolerated")
    if found.choice is not None:
        how = "extrapolated" if found.choice.extrapolated else "chosen"
        label = f"{how}: {found.choice.threshold:.2f}"
        axes.plot([found.choice.threshold], [found.rate], "o", color=DECIDES, markersize=8, label=label)
    axes.set_yscale("log")
    axes.set_xlim(1, _right(found))
    axes.set_ylim(bottom=min(found.rate, *(1 / max(curve.hours, 1) for curve in rows)) / 3)
    axes.set_xlabel("threshold h of W")
    axes.set_ylabel("false alarms a miner-hour")
    axes.set_title(f"False alarms against threshold, preset {found.preset}; bands: 95 %")
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(fontsize=8)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _right(found: Calibration) -> float:
    last = max(float(THRESHOLDS[int(np.count_nonzero(curve.alarms > 0)) - 1]) for curve in found.rows)
    return ROOM * max(2.0, last if found.choice is None else found.choice.threshold)


def _draw(axes: Axes, curve: Curve, colour: str, *, thick: bool) -> None:
    """Rate and band; where nothing alarmed, the band's upper end alone."""
    seen = curve.alarms > 0
    label = f"{curve.name} ({curve.hours:,.0f} h)"
    axes.plot(THRESHOLDS[seen], curve.rate[seen], color=colour, linewidth=2.2 if thick else 1.1, label=label)
    axes.fill_between(
        THRESHOLDS,
        np.maximum(curve.low, 1e-12),
        curve.high,
        where=seen,
        color=colour,
        alpha=0.15,
        linewidth=0,
    )
    axes.plot(THRESHOLDS[~seen], curve.high[~seen], color=colour, linewidth=0.8, linestyle=":")
