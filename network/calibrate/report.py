"""What `mint calibrate` tells: a table for people, an object for programs, the curves as CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from network.calibrate import charter_edit
from network.calibrate.rates import CONFIDENCE, THRESHOLDS, Choice, Curve, choose, pooled
from network.calibrate.scores import LEARNS

# What a rate means is said for so many miners: the paper's network.
NETWORK = 16


@dataclass(frozen=True)
class Calibration:
    """What came of one run: a curve for each kind of telemetry, the pooled one, and the threshold chosen on that."""

    preset: str
    rate: float
    seed: int
    curves: tuple[Curve, ...]
    all: Curve
    choice: Choice | None

    @classmethod
    def of(cls, preset: str, rate: float, seed: int, curves: Sequence[Curve]) -> Calibration:
        """Choose the threshold for `rate` on all curves together; none where all of them end before W is settled."""
        whole = pooled(curves) if len(curves) > 1 else curves[0]
        found = cls(preset, rate, seed, tuple(curves), whole, choose(whole, rate))
        return replace(found, choice=None) if len(found.short) == len(curves) else found

    @property
    def rows(self) -> tuple[Curve, ...]:
        """The curves and, where there are several, the pooled one."""
        return (*self.curves, self.all) if len(self.curves) > 1 else self.curves

    @property
    def short(self) -> list[Curve]:
        """The telemetry that ends before W has learned its noise."""
        return [curve for curve in self.curves if self.preset != "paper" and curve.life < LEARNS]

    @property
    def above(self) -> list[Curve]:
        """The kinds that alarm more often than `rate` at the chosen threshold, with confidence."""
        if self.choice is None or len(self.curves) == 1:
            return []
        at = self.all.at(self.choice.threshold)
        return [curve for curve in self.curves if curve.low[at] > self.rate]


def text(found: Calibration) -> str:
    """For people."""
    width = max(len("telemetry"), *(len(curve.name) for curve in found.rows))
    lines = [
        f"preset {found.preset}; tolerated: {_number(found.rate)} false alarms a miner-hour, "
        f"with {NETWORK} miners one in {_days(found.rate)}",
        "",
        f"{'telemetry':{width}} {'miner-hours':>12} {'threshold':>10}  alarms a miner-hour there (95 % interval)",
    ]
    lines += [_row(curve, choose(curve, found.rate), width) for curve in found.rows]
    lines += ["", *_verdict(found)]
    return "\n".join(lines) + "\n"


def _row(curve: Curve, choice: Choice | None, width: int) -> str:
    begin = f"{curve.name:{width}} {curve.hours:12,.1f} "
    if choice is None:
        return begin + f"{'-':>10}  too few alarms to extrapolate from"
    if choice.extrapolated:
        said = f"extrapolated: {choice.estimate:.2f} ({choice.low:.2f} to {choice.high:.2f})"
        return begin + f"{'~' + format(choice.threshold, '.2f'):>10}  {said}"
    return begin + f"{choice.threshold:10.2f}  {_seen(curve, choice.threshold)}"


def _seen(curve: Curve, threshold: float) -> str:
    at = curve.at(threshold)
    low, high = _number(curve.low[at]), _number(curve.high[at])
    return f"{_number(curve.rate[at])} ({low} to {high}), {curve.alarms[at]:.0f} in all"


def _verdict(found: Calibration) -> list[str]:
    choice, whole = found.choice, found.all
    needed = f"{whole.hours_needed(found.rate):,.0f} miner-hours without an alarm vouch for this rate"
    if choice is None and whole.alarms[-1]:
        return [
            f"no threshold: W goes beyond {THRESHOLDS[-1]:,.0f}, {whole.alarms[-1]:.0f} times: is this telemetry clean?"
        ]
    if len(found.short) == len(found.curves):
        return [
            f"no threshold: all of this ends while W still learns the miners' noise, for {LEARNS:.2g} hours, and",
            "alarms the less for it. Record for longer, or simulate more (--simulate HOURS).",
        ]
    if choice is None:
        return [f"no threshold: there are {whole.hours:,.1f} miner-hours, and {needed}."]
    lines = []
    if choice.extrapolated:
        lines += [
            "~ EXTRAPOLATED by an exponential tail: the upper end of its 95 % interval, or the highest W seen.",
            f"  {needed[0].upper()}{needed[1:]}; here are {whole.hours:,.1f}.",
        ]
    lines += [
        f"{curve.name} ends after {curve.life:.2g} hours, and W learns a miner's noise for {LEARNS:.2g}: later on its "
        "rate may be another."
        for curve in found.short
    ]
    lines += [
        f"{curve.name} alarms more often than that at {choice.threshold:.2f}: {_seen(curve, choice.threshold)}."
        for curve in found.above
    ]
    return [
        *lines,
        f"W above {choice.threshold:.2f} is an alarm. In charter.toml:",
        "",
        charter_edit.lines(choice.threshold),
    ]


def data(found: Calibration, written: str | None) -> str:
    """For programs: one JSON object, on one line."""
    said = {
        "type": "calibration",
        "preset": found.preset,
        "tolerated_rate": found.rate,
        "confidence": CONFIDENCE,
        "seed": found.seed,
        "written": written,
        **_chosen(found.all, found.choice, found.rate),
        "telemetry": [
            {
                "name": curve.name,
                **_chosen(curve, choose(curve, found.rate), found.rate),
                **_there(curve, found.choice),
            }
            for curve in found.curves
        ],
    }
    return json.dumps(said) + "\n"


def _chosen(curve: Curve, choice: Choice | None, rate: float) -> dict[str, Any]:
    said: dict[str, Any] = {
        "hours_each": round(curve.life, 4),
        "miner_hours": round(curve.hours, 4),
        "miner_hours_needed": round(curve.hours_needed(rate), 1),
        "threshold": choice.threshold if choice else None,
        "extrapolated": choice.extrapolated if choice else None,
    }
    if choice and choice.extrapolated:
        said["extrapolation"] = {"estimate": choice.estimate, "low": choice.low, "high": choice.high}
    elif choice:
        said["seen"] = _rates(curve, choice.threshold)
    return said


def _there(curve: Curve, choice: Choice | None) -> dict[str, Any]:
    """What this kind does at the threshold chosen for all."""
    return {"seen_at_chosen": _rates(curve, choice.threshold)} if choice else {}


def _rates(curve: Curve, threshold: float) -> dict[str, float]:
    at = curve.at(threshold)
    return {
        "alarms": int(curve.alarms[at]),
        "rate": float(curve.rate[at]),
        "low": float(curve.low[at]),
        "high": float(curve.high[at]),
    }


def csv(found: Calibration) -> str:
    """The curves: one row for each kind and threshold, to the first at which nothing alarmed."""
    rows = ["telemetry,miner_hours,threshold,alarms,rate,low,high,dispersion"]
    for curve in found.rows:
        columns = (THRESHOLDS, curve.alarms, curve.rate, curve.low, curve.high, curve.dispersion)
        name = f'"{curve.name.replace(chr(34), chr(34) * 2)}"'
        for h, alarms, *rest in zip(*(column.tolist() for column in columns), strict=True):
            rows.append(
                ",".join([name, f"{curve.hours:.6g}", f"{h:g}", f"{alarms:.0f}", *(f"{x:.6g}" for x in rest)])
            )
            if not alarms and h > 1:
                break
    return "\n".join(rows) + "\n"


def _days(rate: float) -> str:
    hours = 1 / (rate * NETWORK)
    return f"{hours / 24:,.1f} days" if hours >= 48 else f"{hours:,.1f} hours"


def _number(rate: float) -> str:
    return f"{rate:.2g}" if rate < 1 else f"{rate:,.4g}"
