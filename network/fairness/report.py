"""What `mint fairness` says of its hours: a table for people, one object for programs."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from typing import Any

from network.fairness.attacks import CHEAT
from network.fairness.measures import CONFIDENCE, Interval
from network.fairness.outcome import PHASES, Hour
from network.fairness.summary import Summary, Tests

WITH, WITHOUT = "with MinT", "without MinT"


def named(summary: Summary) -> str:
    """Whether MinT was there."""
    return WITH if summary.setting.minted else WITHOUT


def heading(summaries: Sequence[Summary]) -> str:
    """What these hours are of."""
    first = summaries[0]
    setting = first.setting
    return f"{len(first.hours)} hours of {len(first.names)} miners, attack {setting.attack}, classes {setting.classes}"


def text(summaries: Sequence[Summary], seed: int) -> str:
    """For people: one column a setting."""
    first = summaries[0]
    lines = [
        f"{heading(summaries)}, seed {seed}",
        "",
        f"{'':24}" + "".join(f"{named(one):>30}" for one in summaries),
        f"{'miner, fair share':24}" + f"{'share of rewards, times fair':>30}" * len(summaries),
    ]
    for name, fair in first.fair.items():
        cheats = " *" if name == CHEAT and first.setting.attack != "none" else ""
        cells = "".join(f"{interval(one.times_fair(name)):>30}" for one in summaries)
        lines.append(f"{f'{name}{cheats}, {fair:.2%}':24}{cells}")
    lines += ["", *_cheat(summaries), *_evenness(summaries), *_tests(summaries)]
    return "\n".join(lines) + "\n"


def interval(one: Interval | None) -> str:
    """An estimate with its 95 % interval, where there is one."""
    if one is None or math.isnan(one.value):
        return "-"
    known = math.isfinite(one.low) and math.isfinite(one.high)
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" if known else f"{one.value:.3f}"


def _row(label: str, cells: Sequence[str]) -> str:
    return f"{label:24}" + "".join(f"{cell:>30}" for cell in cells)


def _cheat(summaries: Sequence[Summary]) -> list[str]:
    """The cheat's course."""
    if summaries[0].setting.attack == "none":
        return []
    rows = [
        _row(f"* its work paid, {name}", [interval(one.phase(name)) for one in summaries]) for name in PHASES
    ]
    hours = [one.hours for one in summaries]
    rows += [
        _row("  convicted after", [_after([one.convicted_s for one in some]) for some in hours]),
        _row("  quota right after", [_after([one.put_back_s for one in some]) for some in hours]),
        _row("  heights void, an hour", [f"{_mean_void(some):.1f}" for some in hours]),
    ]
    return [*rows, ""]


def _after(seconds: Sequence[float | None]) -> str:
    known = [one for one in seconds if one is not None]
    if not known:
        return "never"
    said = f"{statistics.median(known):.1f} s (at most {max(known):.1f})"
    return said if len(known) == len(seconds) else f"{said}, {len(known)} times"


def _mean_void(hours: Sequence[Hour]) -> float:
    return statistics.fmean(one.void for one in hours)


def _evenness(summaries: Sequence[Summary]) -> list[str]:
    others = [
        {name: n for name, n in one.accused.items() if name != CHEAT or one.setting.attack == "none"}
        for one in summaries
    ]
    return [
        _row("Jain's index", [f"{one.jain:.4f}" for one in summaries]),
        _row("Gini's coefficient", [f"{one.gini:.4f}" for one in summaries]),
        _row("innocents convicted", [str(sum(one.values())) for one in others]),
    ]


def _tests(summaries: Sequence[Summary]) -> list[str]:
    rows = ["", "chi-square against entitled hashing, p:"]
    for label, tests in (
        ("blocks", [one.blocks for one in summaries]),
        ("shares", [one.paid for one in summaries]),
    ):
        rows += [
            _row(f"{label}: all hours as one", [tested(one.pooled.p) for one in tests]),
            _row("  hours below 0.05", [f"{_below(one):.0%}" for one in tests]),
            _row("  uniform over hours", [tested(one.uniform) for one in tests]),
        ]
    return rows


def _below(tests: Tests) -> float:
    return statistics.fmean(one.p < 1 - CONFIDENCE for one in tests.each)


def tested(value: float) -> str:
    """A p-value for people."""
    return "too few to tell" if math.isnan(value) else f"{value:.3g}"


def data(summaries: Sequence[Summary], seed: int) -> str:
    """For programs: one JSON object, on one line."""
    setting = summaries[0].setting
    said = {
        "type": "fairness",
        "hours": len(summaries[0].hours),
        "attack": setting.attack,
        "classes": setting.classes,
        "seed": seed,
        "confidence": CONFIDENCE,
        "fair": summaries[0].fair,
        "settings": [_plain(one) for one in summaries],
    }
    return json.dumps(said) + "\n"


def _plain(summary: Summary) -> dict[str, Any]:
    cheat: dict[str, Any] = {}
    if summary.setting.attack != "none":
        cheat = {
            "miner": CHEAT,
            "paid_work_times_fair": {name: ends(summary.phase(name)) for name in PHASES},
            "convicted_s": [one.convicted_s for one in summary.hours],
            "put_back_s": [one.put_back_s for one in summary.hours],
            "void_heights": [one.void for one in summary.hours],
        }
    return {
        "mint": summary.setting.minted,
        "rewards_times_fair": {name: ends(summary.times_fair(name)) for name in summary.names},
        "cheat": cheat or None,
        "jain": summary.jain,
        "gini": summary.gini,
        "convicted": summary.accused,
        "chi_square": {"blocks": _plain_tests(summary.blocks), "shares": _plain_tests(summary.paid)},
    }


def ends(one: Interval | None) -> list[float | None] | None:
    """An estimate and the ends of its interval for programs."""
    return None if one is None else [number(value) for value in (one.value, one.low, one.high)]


def _plain_tests(tests: Tests) -> dict[str, Any]:
    return {
        "p": [number(one.p) for one in tests.each],
        "pooled_p": number(tests.pooled.p),
        "uniform_p": number(tests.uniform),
    }


def number(value: float) -> float | None:
    """None for what is not known: JSON has no other word for it."""
    return value if math.isfinite(value) else None
