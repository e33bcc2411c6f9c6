"""What a cheat can steal that knows the whole budget law: `python -m bench.adversary`.

For miners of 0.05, 0.25 and 1 CPU on four cores, differential evolution turns the numbers of every family of
cheats (bench/cheats.py) for what it has above entitlement when it is convicted, or after an hour. The law is
deterministic and the cheat sure of itself, so what is found is found again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress
from scipy.optimize import differential_evolution

from bench.cheats import FAMILIES, Family, Stage
from bench.law import FIRST_RUNG_PPM, add_settings, rule_for, said
from bench.theft import HOUR, after_penalty, bound_ns, judge, proven_ns
from detectors.observation import Floats
from mint.budget import PPM, BudgetRule

CORES = 4
ENTITLED_PPM = (50_000, 250_000, 1_000_000)
SEED = 2021
# A search tries plays of ten minutes, the best is judged over an hour; so many generations of so many plays a number.
SEARCH_TICKS, GENERATIONS, POPULATION = 600, 40, 12


@dataclass(frozen=True)
class Best:
    """The best play that was found of a family. Amounts are CPU seconds.

    `taken`: above entitlement over the worst window that ends with it (bench/theft.py: Result); `after_penalty`: all
    in all when the first penalty has ended, None where there is no conviction.
    """

    family: str
    lawful: bool
    entitled_ppm: int
    numbers: tuple[float, ...]
    ended: int
    dark: bool
    taken: float
    bound: float
    proven: float
    after_penalty: float | None
    gains: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """What was taken, in bounds."""
        return self.taken / self.bound


def search(family: Family, stage: Stage, generations: int) -> Floats:
    """The numbers of the play that has most when convicted."""

    def loss(u: Floats) -> Floats:
        numbers = u.reshape(family.turns, -1)
        return -judge(family.plays(stage, numbers), stage.rule).taken

    found = differential_evolution(
        loss,
        [(0.0, 1.0)] * family.turns,
        maxiter=generations,
        popsize=POPULATION,
        rng=SEED,
        polish=False,
        vectorized=True,
        updating="deferred",
    )
    numbers: Floats = found.x
    return numbers


def best(family: Family, rule: BudgetRule, generations: int, ticks: int) -> Best:
    """Search a family and judge what was found over `ticks`."""
    numbers = search(family, Stage(rule, CORES, min(SEARCH_TICKS, ticks)), generations)
    play = family.plays(Stage(rule, CORES, ticks), numbers[:, None])
    result = judge(play, rule)
    ended, dark = int(result.ended[0]), bool(result.dark[0])
    left = None if ended < 0 or dark else after_penalty(play, 0, result, rule, FIRST_RUNG_PPM) / 1e9
    return Best(
        family=family.name,
        lawful=family.lawful,
        entitled_ppm=rule.entitled_ppm,
        numbers=tuple(numbers.tolist()),
        ended=ended,
        dark=dark,
        taken=float(result.taken[0]) / 1e9,
        bound=bound_ns(rule, CORES) / 1e9,
        proven=proven_ns(rule, CORES) / 1e9,
        after_penalty=left,
        gains=tuple(((play.used[:, 0] - rule.share_ns) / 1e9).tolist()),
    )


def report(found: Sequence[Best]) -> str:
    """The table."""
    lines = []
    for ppm in dict.fromkeys(one.entitled_ppm for one in found):
        mine = [one for one in found if one.entitled_ppm == ppm]
        lines.append(
            f"{ppm / PPM:g} CPU of {CORES}: bound {mine[0].bound:.2f} CPU-s, proven {mine[0].proven:.2f} for one boot, "
            "one counter, narrow brackets, every sample"
        )
        lines.append(
            f"  {'family':18} {'taken, CPU-s':>12} {'bounds':>7} {'ended':>16} {'after penalty':>13}"
        )
        for one in mine:
            when = "never" if one.ended < 0 else f"{'dark' if one.dark else 'convicted'} {one.ended} s"
            left = "-" if one.after_penalty is None else f"{one.after_penalty:.3f}"
            mark = "" if one.lawful else "  not covered by the proof"
            lines.append(f"  {one.family:18} {one.taken:12.3f} {one.ratio:7.3f} {when:>16} {left:>13}{mark}")
    return "\n".join(lines)


def plot(found: Sequence[Best], path: Path) -> None:
    """What each family took, in bounds, at each size."""
    names = list(dict.fromkeys(one.family for one in found))
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    sizes = list(dict.fromkeys(one.entitled_ppm for one in found))
    for number, ppm in enumerate(sizes):
        ratios = [
            next(one.ratio for one in found if (one.family, one.entitled_ppm) == (name, ppm))
            for name in names
        ]
        places = np.arange(len(names)) + (number - (len(sizes) - 1) / 2) * 0.8 / len(sizes)
        axes.bar(places, ratios, 0.8 / len(sizes), label=f"{ppm / PPM:g} CPU of {CORES}")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_ylabel("taken before conviction / bound")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.legend()
    figure.savefig(path, dpi=150)


def main(arguments: list[str] | None = None) -> None:
    """Search every family at every size."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m bench.adversary --json theft.json --plot theft.png",
    )
    parser.add_argument(
        "--generations", type=int, default=GENERATIONS, help="of a search (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, patterns included")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it there")
    add_settings(parser)
    options = parser.parse_args(arguments)
    law, found = said(parser, options.settings), []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("searching", total=len(FAMILIES) * len(ENTITLED_PPM))
        for ppm in ENTITLED_PPM:
            for family in FAMILIES:
                progress.update(task, description=f"{ppm / PPM:g} CPU, {family.name}")
                found.append(best(family, rule_for(ppm, law), options.generations, HOUR))
                progress.advance(task)
    print(report(found))
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(one) | {"ratio": one.ratio} for one in found]) + "\n")
    if options.plot is not None:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
