"""MinT alone, against the delays it is meant to reach: `python -m bench.detection.figures`.

Quiet containers of each size and the quiet recordings. A delay is counted in ticks after the last reading before the
cheat began, which is right after that reading, or at a random moment before the next: both are told. And every
honest disturbance on every kind of noise: how often somebody was accused, and in how many miner-hours.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from bench.detection import ours, tuning
from bench.detection.comparison import ACCUSES, HONEST, SEED, UNDISTURBED, applies
from bench.detection.noise import (
    SIZES_PPM,
    Containers,
    Noise,
    Percentages,
    Recorded,
    cut,
    latest_read,
    recordings,
)
from bench.detection.scenarios import DISTURBANCES, Cheat, Floats, cheated, ramp, step
from mint.charter.model import Detection

# Readings before a cheat begins, and after it.
BEFORE, AFTER = 120, 150
CASES = 200
HONEST_TRACES = 100
# The delays are those of quiet hosts.
QUIET = "quiet"


@dataclass(frozen=True)
class Target:
    """A cheat, and the median delay and the delay of 95 % that are to be reached on quiet hosts, in ticks.

    `rate`: for a ramp, percent of entitlement a second; its targets are levels, percent above entitlement.
    """

    cheat: Cheat
    median: float
    most: float
    rate: float = 0.0


def _twice(cheat: Cheat, median: int) -> Target:
    """95 % of cases within twice the median's target plus one tick."""
    return Target(cheat, median, 2 * median + 1)


# Issue 3's figures: from the first second nobody is to be later than three ticks; a ramp is to be found before +1.5 %.
TARGETS = (
    _twice(Cheat("double", step(1.0)), 2),
    _twice(Cheat("+20 %", step(0.2)), 2),
    _twice(Cheat("+10 %", step(0.1)), 3),
    _twice(Cheat("+5 %", step(0.05)), 5),
    _twice(Cheat("+1 %", step(0.01)), 20),
    Target(Cheat("double from the first second", step(1.0), at_once=True), 3, 3),
    Target(Cheat("+20 % from the first second", step(0.2), at_once=True), 3, 3),
    Target(Cheat("ramp of 0.1 %/s", ramp(0.001)), 1.5, 1.5, rate=0.1),
)


@dataclass(frozen=True)
class Cell:
    """Delays of one cheat on one kind of noise, in ticks; of a ramp the level it had reached, in percent.

    `begins`: when after a reading it began. None: never found.
    """

    noise: str
    cheat: str
    begins: str
    cases: int
    median: float | None
    most: float | None
    reached: bool


@dataclass(frozen=True)
class Calm:
    """What honest miners met: accusations, and in how many miner-hours."""

    noise: str
    scenario: str
    accusations: int
    hours: float


def delays(noise: Noise, target: Target, *, right_after: bool, cases: int, detection: Detection) -> Floats:
    """Ticks until MinT accuses, of `cases` cheats."""
    key = zlib.crc32(f"{noise.name} {target.cheat.name} {right_after}".encode())
    rng = np.random.Generator(np.random.SFC64([SEED, key]))
    found = []
    for count in _groups(noise, cases):
        trace = noise.honest(rng, count, BEFORE + AFTER, int(rng.integers(2)))
        last = latest_read(trace, np.full(count, BEFORE))
        offset = np.zeros(count) if right_after else rng.random(count)
        if target.cheat.at_once:
            trace = cut(trace, last, np.arange(count), AFTER)
            last, offset = np.zeros(count, np.int64), np.zeros(count)
        accused = ours.judged(cheated(trace, target.cheat, last, offset), detection)
        cheating = [tuning.cheating(accused[:, row], int(began)) for row, began in enumerate(last)]
        ticks = np.array([each.delay(ACCUSES) for each in cheating])
        found.append(ticks if not target.rate else (ticks - offset) * target.rate)
    return np.concatenate(found)


def _groups(noise: Noise, cases: int) -> Iterator[int]:
    """How many at a time: of recordings no miner twice side by side, for one would look like the other's copy."""
    most = len(noise.using) if isinstance(noise, Recorded) else cases
    for first in range(0, cases, most):
        yield min(most, cases - first)


def cell(noise: Noise, target: Target, *, right_after: bool, cases: int, detection: Detection) -> Cell:
    """See Cell."""
    found = delays(noise, target, right_after=right_after, cases=cases, detection=detection)
    median, most = (tuning.quantile(found, share) for share in (0.5, 0.95))
    return Cell(
        noise.name,
        target.cheat.name,
        "right after a reading" if right_after else "at a random moment",
        cases,
        _or_none(median),
        _or_none(most),
        median <= target.median and most <= target.most,
    )


def _or_none(value: float) -> float | None:
    return round(value, 2) if np.isfinite(value) else None


def calm(noise: Noise, traces: int, detection: Detection) -> Iterator[Calm]:
    """Every disturbance that there is on this kind of noise, and none."""
    rng = np.random.Generator(np.random.SFC64([SEED, zlib.crc32(noise.name.encode())]))
    for disturbance in (None, *DISTURBANCES):
        if disturbance is not None and not applies(disturbance, noise):
            continue
        count, hours = 0, 0.0
        for group in _groups(noise, traces):
            trace = noise.honest(rng, group, HONEST, int(rng.integers(2)))
            if disturbance is not None:
                T = len(trace.ticks)
                trace = disturbance.apply(trace, latest_read(trace, rng.integers(T // 4, T // 2, group)), rng)
            honest = tuning.honest([ours.judged(trace, detection)])
            count, hours = count + honest.accusations(ACCUSES), hours + honest.hours
        yield Calm(noise.name, disturbance.name if disturbance else UNDISTURBED, count, round(hours, 1))


# --- what is told -----------------------------------------------------------------------------------


def told(cells: Sequence[Cell], honest: Sequence[Calm]) -> str:
    """Both tables, for people."""
    lines = []
    for target in TARGETS:
        unit = "% above entitlement" if target.rate else "ticks"
        lines.append(f"{target.cheat.name}: to be reached {target.median:g}, 95 % {target.most:g} {unit}")
        for one in cells:
            if one.cheat == target.cheat.name:
                mark = "reached" if one.reached else "NOT REACHED"
                times = f"{_shown(one.median)} / {_shown(one.most)}"
                lines.append(f"  {one.noise:24} {one.begins:22} {times:14} {mark} ({one.cases} cases)")
    lines.append("honest: accusations in miner-hours, 95 % interval in 1,000 h")
    for each in honest:
        low, high = (1000 * bound / each.hours for bound in tuning.interval(each.accusations))
        interval = f"{low:.1f} to {high:.0f}"
        lines.append(
            f"  {each.noise:24} {each.scenario:22} {each.accusations:4} in {each.hours:6.1f} h  {interval}"
        )
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "never" if value is None else f"{value:g}"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write figures.json; exit code 0."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.detection.figures",
        description="Measures MinT's delays against their targets, and its false accusations. Some minutes.",
        epilog="example: python -m bench.detection.figures --cases 50 --traces 4 --out /tmp/figures",
    )
    parser.add_argument("--cases", type=int, default=CASES, help="of each cheat and size (%(default)s)")
    parser.add_argument("--traces", type=int, default=HONEST_TRACES, help="of each disturbance (%(default)s)")
    parser.add_argument(
        "--out", default="build/detection", metavar="DIR", help="for figures.json (%(default)s)"
    )
    options = parser.parse_args(arguments)
    detection, recorded = ours.shipped(), recordings()
    quiet: list[Noise] = [Containers(contended=False, sizes_ppm=(ppm,)) for ppm in SIZES_PPM]
    kinds: list[Noise] = [
        Percentages("independent"),
        Percentages("autocorrelated"),
        Percentages("heavy-tailed"),
    ]
    work = [
        (noise, target, right_after)
        for noise in quiet + [each for each in recorded if QUIET in each.name]
        for target in TARGETS
        for right_after in (True, False)
        if right_after or not target.cheat.at_once
    ]
    err = Console(stderr=True)
    cells = [
        cell(noise, target, right_after=right_after, cases=options.cases, detection=detection)
        for noise, target, right_after in track(work, "delays", console=err)
    ]
    noises: tuple[Noise, ...] = (*kinds, Containers(contended=False), Containers(contended=True), *recorded)
    honest = [
        each
        for noise in track(noises, "honest miners", console=err)
        for each in calm(noise, options.traces, detection)
    ]
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    results = {"delays": [asdict(one) for one in cells], "honest": [asdict(one) for one in honest]}
    (out / "figures.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(told(cells, honest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
