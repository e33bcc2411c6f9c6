"""The comparison in words, numbers and a picture: docs/detection-comparison.md, a plot beside it, JSON and CSV.

The page's tables stand between two marks and are written by the command, never by hand; what stands around them is a
person's.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.detection import ours, tuning
from bench.detection.comparison import DETECTORS, UNDISTURBED, Judged
from bench.detection.peers import About
from bench.detection.scenarios import CHEATS, DISTURBANCES
from mint.errors import InputError

BEGIN, END = "<!-- bench-detection: from here on written by the command -->", "<!-- bench-detection: end -->"
DPI = 110
MARKERS = "os^vDPX*<>hpdH"


@dataclass(frozen=True)
class Comparison:
    """Everything that is told. `bare`, `counted`: the kinds of noise, and those of them that have counters.

    `costs`: microseconds a point by detector. `hours`: honest miner-hours of tuning and of judging.
    """

    judged: Sequence[Judged]
    bare: tuple[str, ...]
    counted: tuple[str, ...]
    costs: Mapping[str, float]
    hours: tuple[float, float]

    def of(self, *abouts: About) -> list[Judged]:
        """These detectors, in this order."""
        by_name = {one.about.name: one for one in self.judged}
        return [by_name[about.name] for about in abouts]

    @property
    def peers(self) -> list[Judged]:
        """What is not MinT's."""
        own = {about.name for about in ours.OURS}
        return [one for one in self.judged if one.about.name not in own]

    @property
    def alone(self) -> list[Judged]:
        """Who sees percentages alone."""
        return [*self.of(ours.PERCENT, ours.DIRECTION, ours.PAPER_W, ours.PAPER_H), *self.peers]

    @property
    def with_counters(self) -> list[Judged]:
        """Who is there where there are counters: peers see percentages there too."""
        return [*self.of(ours.WHOLE, ours.BUDGET, ours.BEHAVIOUR, ours.DIRECTION), *self.peers]


# --- the page ---------------------------------------------------------------------------------------


def page(comparison: Comparison, figure: str) -> str:
    """Everything between the marks, as Markdown."""
    bare, counted = comparison.bare, comparison.counted
    tune, judge = comparison.hours
    sections = [
        f"Thresholds were chosen on {tune:.0f} honest miner-hours and judged on {judge:.0f} others, for "
        f"{tuning.TOLERATED_AN_HOUR * 1000:g} false accusations in 1,000 miner-hours. Noise: {', '.join(bare)}.",
        f"![Median delay by detector and cheat]({figure})",
        "## With counters",
        f"On {', '.join(counted)}. MinT reads counters, the others the percentages that follow from them.",
        overall(comparison.with_counters, counted, comparison.costs),
        "Median delay and, behind it, that within which 95 % were found, in ticks; F1:",
        by_cheat(comparison.with_counters, counted),
        "## With percentages alone",
        f"On {', '.join(bare)}. Nobody sees counters.",
        overall(comparison.alone, bare, comparison.costs),
        "Median delay and, behind it, that within which 95 % were found, in ticks; F1:",
        by_cheat(comparison.alone, bare),
        "## Where MinT is not first",
        behind(comparison),
        "## False accusations of honest miners",
        "Accusations, and in how many miner-hours:",
        disturbed(comparison),
    ]
    return "\n\n".join(sections)


def overall(judged: Sequence[Judged], noises: Sequence[str], costs: Mapping[str, float]) -> str:
    """F1, delays, false accusations and cost of each detector."""
    rows = []
    for one in judged:
        delays = one.pick(noises)
        count, hours = one.accused(noises)
        low, high = (1000 * bound / hours for bound in tuning.interval(count))
        rows.append(
            (
                one.about.name,
                _setting(one),
                f"{one.f1(noises):.3f}",
                _ticks(tuning.quantile(delays, 0.5)),
                _ticks(tuning.quantile(delays, 0.95)),
                f"{1000 * count / hours:.1f} ({low:.1f} to {high:.0f})",
                f"{costs[one.about.name]:.2g}",
            )
        )
    header = (
        "detector", "set to", "F1", "median delay", "95 % delay", "false accusations in 1,000 h (95 % interval)",
        "us a point",
    )  # fmt: skip
    return _table(header, rows)


def by_cheat(judged: Sequence[Judged], noises: Sequence[str]) -> str:
    """One row a cheat, one column a detector."""
    rows = []
    for cheat in CHEATS:
        cells = [cheat.name]
        for one in judged:
            delays = one.pick(noises, cheat.name)
            median, most = (_ticks(tuning.quantile(delays, share)) for share in (0.5, 0.95))
            cells.append(f"{median} / {most}; {one.f1(noises, cheat.name):.2f}")
        rows.append(tuple(cells))
    return _table(("cheat", *(one.about.name for one in judged)), rows)


def behind(comparison: Comparison) -> str:
    """Every cheat at which an online peer has a better F1 or median delay than MinT."""
    lines = []
    for title, own, noises in (
        ("With counters", ours.WHOLE, comparison.counted),
        ("With percentages alone", ours.DIRECTION, comparison.bare),
    ):
        (mint,) = comparison.of(own)
        for cheat in CHEATS:
            score = mint.f1(noises, cheat.name)
            median = tuning.quantile(mint.pick(noises, cheat.name), 0.5)
            for peer in comparison.peers:
                if peer.about.early:
                    continue  # in hindsight
                theirs = peer.f1(noises, cheat.name)
                delay = tuning.quantile(peer.pick(noises, cheat.name), 0.5)
                # As the tables tell it: in the third decimal is one false accusation more or less.
                better = [f"F1 {theirs:.2f} against {score:.2f}"] * (round(theirs, 2) > round(score, 2))
                better += [f"median {_ticks(delay)} against {_ticks(median)} ticks"] * (delay < median)
                if better:
                    lines.append(f"- {title}, {cheat.name}: {peer.about.name} ({'; '.join(better)})")
    return (
        "\n".join(lines)
        or "Nowhere: first in F1 and in median delay at every cheat, against every online peer."
    )


def disturbed(comparison: Comparison) -> str:
    """One row a disturbance: what MinT and each peer made of it."""
    judged = [
        *comparison.of(ours.WHOLE, ours.BUDGET, ours.BEHAVIOUR, ours.PERCENT, ours.DIRECTION),
        *comparison.peers,
    ]
    rows = []
    for scenario in (UNDISTURBED, *(each.name for each in DISTURBANCES)):
        cells = [scenario]
        for one in judged:
            count, hours = one.accused(comparison.bare, scenario)
            cells.append(f"{count} in {hours:.0f} h" if hours else "")
        rows.append(tuple(cells))
    return _table(("honest", *(one.about.name for one in judged)), rows)


def written(path: Path, text: str) -> None:
    """Put `text` between the marks of a page.

    Raises:
        InputError: the page has no marks.
    """
    page = path.read_text(encoding="utf-8")
    if BEGIN not in page or END not in page:
        raise InputError(str(path), "has no marks to write between", f"add the lines {BEGIN} and {END}")
    before, rest = page.split(BEGIN, 1)
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


def _setting(one: Judged) -> str:
    if not one.about.tuned:
        return "as shipped"
    if not np.isfinite(one.choice.threshold):
        return "no setting keeps the rate"
    variant = one.about.variants[one.choice.variant]
    # Those that alarm by themselves score 1: the variant is all their setting.
    above = "" if one.about.settled else f"above {one.choice.threshold:.3g}"
    return ", ".join(part for part in (variant, above) if part)


def _ticks(delay: float) -> str:
    return f"{delay:.0f}" if np.isfinite(delay) else "never"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- the picture ------------------------------------------------------------------------------------


def draw(comparison: Comparison, path: Path) -> None:
    """Median delays by cheat, with counters and with percentages alone, as PNG."""
    figure = Figure(figsize=(11, 10), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    _delays(upper, comparison.with_counters, comparison.counted, "With counters")
    _delays(lower, comparison.alone, comparison.bare, "With percentages alone")
    lower.set_xticks(range(len(CHEATS)), [cheat.name for cheat in CHEATS], rotation=30, ha="right")
    figure.savefig(path)


def _delays(axes: Axes, judged: Sequence[Judged], noises: Sequence[str], title: str) -> None:
    never = 2.0 * max(cheat.horizon for cheat in CHEATS)
    own = {about.name for about in ours.OURS}
    order = [about.name for about in DETECTORS]
    for one in judged:
        number = order.index(one.about.name)
        delays = [tuning.quantile(one.pick(noises, cheat.name), 0.5) for cheat in CHEATS]
        at = np.arange(len(CHEATS)) + (number - len(order) / 2) * 0.8 / len(order)
        heights = np.minimum(delays, never)
        label = one.about.name
        size = 60 if label in own else 30
        marker, colour = MARKERS[number % len(MARKERS)], f"C{number % 10}"
        axes.scatter(at, heights, size, color=colour, marker=marker, label=label, alpha=0.9)
    axes.axhline(never, color="gray", linewidth=0.8, linestyle=":")
    axes.text(-0.5, never * 0.93, "never", fontsize=8, color="gray", va="top")
    axes.set_yscale("log")
    axes.set_ylabel("median delay (ticks)")
    axes.set_title(title, fontsize=11)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, ncols=2, loc="center left", bbox_to_anchor=(1.0, 0.5))


# --- for programs -----------------------------------------------------------------------------------


def dumped(comparison: Comparison, folder: Path) -> None:
    """comparison.json: what each detector is worth; cases.csv: the delay of every case."""
    summary = [
        {
            "detector": one.about.name,
            "setting": _setting(one),
            "microseconds": comparison.costs[one.about.name],
            "f1": {kind: one.f1(noises) for kind, noises in _kinds(comparison).items()},
            "cheats": {
                kind: {cheat.name: _numbers(one, noises, cheat.name) for cheat in CHEATS}
                for kind, noises in _kinds(comparison).items()
            },
            "false": [
                {"noise": noise, "scenario": scenario, "accusations": count, "hours": hours}
                for (noise, scenario), (count, hours) in one.false.items()
            ],
        }
        for one in comparison.judged
    ]
    (folder / "comparison.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("detector", "noise", "cheat", "case", "delay_ticks"))
        for one in comparison.judged:
            for (noise, cheat), delays in one.delays.items():
                for case, delay in enumerate(delays.tolist()):
                    found = int(delay) if np.isfinite(delay) else ""
                    writer.writerow((one.about.name, noise, cheat, case, found))


def _kinds(comparison: Comparison) -> dict[str, tuple[str, ...]]:
    return {"counters": comparison.counted, "percentages": comparison.bare}


def _numbers(one: Judged, noises: Sequence[str], cheat: str) -> dict[str, float | None]:
    delays = one.pick(noises, cheat)
    if not len(delays):
        return {}
    median, most = (tuning.quantile(delays, share) for share in (0.5, 0.95))
    return {
        "f1": one.f1(noises, cheat),
        "median": median if np.isfinite(median) else None,
        "delay_95": most if np.isfinite(most) else None,
    }
