"""How soon telemetry that lies is found, and how often honest telemetry is suspected: `python -m bench.bench_nature`.

    python -m bench.bench_nature [MINER_HOURS [RECORDING.csv ...]]

MINER_HOURS of every kind of honest telemetry, each rounded in every way (default 100); a lie begins at tick 450 of
telemetry with a standard deviation of 4 %. RECORDING: counters of honest miners, as `mint replay` reads them.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.disturbances import Disturbances
from bench.law import rule_for
from detectors.budget import Ledger
from detectors.nature.lie import Kind, Lie
from detectors.nature.past import HISTORY
from detectors.nature.stream import Nature
from detectors.observation import Observation
from network.replay import observations
from network.telemetry import BLOCK, Counters, Phase, percentages, simulate, stream
from network.trace_file import read_trace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRIDS = (0.0, 0.01, 0.1, 1.0, 5.0)  # what percentages are rounded to, 0: not at all
SD = 4.0  # percent
BEGIN, LENGTH = 450, 200  # when a lie begins and how long it lasts, ticks
LIARS = 150  # how many lie in one run
TICKS = 1800  # length of honest telemetry, ticks: each begins with its own warm-up
SEED = 2021
ENTITLED_PPM = (20_000, 50_000, 100_000, 300_000, 500_000, 1_000_000)
PHASES: tuple[Phase, ...] = ("random", "drifting")


def percent_ticks(values: Floats) -> Iterator[tuple[Floats, Ints, Ints]]:
    """Percentages without counters."""
    none = np.zeros(values.shape[1], np.int64)
    for row in values:
        yield row, none, none


def counter_ticks(used: Ints, elapsed: Ints, cpus: float | Floats) -> Iterator[tuple[Floats, Ints, Ints]]:
    """Counters, and their percentages."""
    for row, time_ns in zip(used, elapsed, strict=True):
        yield row / time_ns / cpus * 100, row, time_ns


def found(ticks: Iterable[tuple[Floats, Ints, Ints]], miners: int) -> Iterator[tuple[int, Lie]]:
    """What is said of these ticks; nan marks a lost one."""
    nature = Nature(miners)
    for number, (value, used, elapsed) in enumerate(ticks):
        for lie in nature.push(number, np.isfinite(value), value, used, elapsed):
            yield number, lie


def rounded(values: Floats, grid: float) -> Floats:
    """The percentages as a coarse meter tells them."""
    return np.rint(values / grid) * grid if grid else values


# --- lies -------------------------------------------------------------------------------------------


def of_percentages(rng: np.random.Generator, what: str, lag: int, grid: float) -> Iterator[tuple[int, Lie]]:
    """LIARS rows that lie about the LIARS rows beside them, or about themselves."""
    honest = rounded(rng.normal(100, SD, (BEGIN + LENGTH, 2 * LIARS)), grid)
    x, liars = honest.copy(), np.arange(LIARS)
    if what == "frozen":
        x[BEGIN:, liars] = x[BEGIN, liars]
    elif what == "loop":
        x[BEGIN:, liars] = x[BEGIN - lag + np.arange(LENGTH) % lag][:, liars]
    elif what == "replayed":
        x[BEGIN:, liars] = x[BEGIN - lag : BEGIN - lag + LENGTH, liars]
    elif what == "copied":
        x[BEGIN:, liars] = honest[BEGIN - lag : BEGIN - lag + LENGTH, LIARS:]
    else:
        x[BEGIN:, liars] = 100 + (x[BEGIN:, liars] - 100) * 1e-4
    return found(percent_ticks(x), 2 * LIARS)


def of_counters(rng: np.random.Generator, what: str, lag: int) -> Iterator[tuple[int, Lie]]:
    """The same of simulated quiet containers at 0.1 CPU, read by an agent that wakes up a little late."""
    ticks = BEGIN + LENGTH + 1
    read = simulate(
        rng, miners=2 * LIARS, ticks=ticks, entitled_ppm=100_000, contended=False, phase="drifting"
    )
    used, elapsed = differences(read)
    liars = np.arange(LIARS)
    if what == "frozen":
        used[BEGIN:, liars] = used[BEGIN, liars]
    elif what == "exact":
        used[BEGIN:, liars] = elapsed[BEGIN:, liars] // 10
    else:
        used[BEGIN:, liars] = used[BEGIN - lag : BEGIN - lag + LENGTH, LIARS:]
    return found(counter_ticks(used, elapsed, 0.1), 2 * LIARS)


def touched_up(rng: np.random.Generator, lag: int, share: float) -> Iterator[tuple[int, Lie]]:
    """As many as a small network has copy with noise of their own, `share` of the original's."""
    x = rng.normal(100, SD, (BEGIN + LENGTH, 64))
    x[BEGIN:, :32] = x[BEGIN - lag : BEGIN - lag + LENGTH, 32:] + rng.normal(0, share * SD, (LENGTH, 32))
    return found(percent_ticks(x), 64)


def delays(name: str, said: Iterable[tuple[int, Lie]], liars: int, kinds: set[Kind]) -> None:
    """One line: of how many it was said, and after how many ticks."""
    alarms: dict[int, int] = {}
    accusations: dict[int, int] = {}
    wrong: set[int] = set()
    for tick, lie in said:
        if tick >= BEGIN and lie.row < liars and lie.kind in kinds:
            alarms.setdefault(lie.row, tick - BEGIN + 1)
            if lie.decides:
                accusations.setdefault(lie.row, tick - BEGIN + 1)
        elif lie.decides:
            wrong.add(lie.row)
    cells = [
        f"{word} {len(after):3}/{liars}, after {np.median(list(after.values())):3.0f} ticks "
        f"(95 %: {np.quantile(list(after.values()), 0.95):3.0f})"
        if after
        else f"{word}   0/{liars}"
        for word, after in (("found", alarms), ("accused", accusations))
    ]
    print(f"  {name:42} {'; '.join(cells)}" + (f"; WRONGLY {len(wrong)}" if wrong else ""), flush=True)


# --- honest telemetry -------------------------------------------------------------------------------


def differences(read: Counters) -> tuple[Ints, Ints]:
    """Use and time from reading to reading, ns."""
    return np.diff(read.usage, axis=0), np.diff((read.before + read.after) // 2, axis=0)


def honest(rng: np.random.Generator, miners: int) -> Iterator[tuple[str, Floats]]:
    """Every kind of honest percentage, (TICKS, miners)."""
    for kind in ("independent", "autocorrelated", "heavy-tailed"):
        yield kind, percentages(rng, kind, miners, TICKS, SD)
    yield (
        "bursts of noise",
        100 + np.where(rng.random((TICKS, miners)) < 0.02, rng.normal(0, 30, (TICKS, miners)), 0),
    )
    yield (
        "noise that stops",
        100 + rng.normal(0, SD, (TICKS, miners)) * (np.arange(TICKS) < TICKS // 2)[:, None],
    )
    yield "limited", np.minimum(rng.normal(97, SD, (TICKS, miners)), 100.0)
    on = (np.arange(TICKS)[:, None] // rng.integers(5, 60, miners)) % 2 == 0
    yield "on and off", np.where(on, rng.normal(100, SD, (TICKS, miners)), 0.0)
    yield "paused and lost ticks", lost(rng, np.where(on | (np.arange(TICKS) < 600)[:, None], 100.0, 0.0))


def lost(rng: np.random.Generator, values: Floats) -> Floats:
    """One tick in fifty is lost."""
    return np.where(rng.random(values.shape) < 0.02, np.nan, values)


class Tally:
    """What was said of honest miners, and in how many hours."""

    def __init__(self) -> None:
        self.hours, self.said = 0.0, Counter[str]()

    def add(self, said: Iterable[tuple[int, Lie]], hours: float) -> None:
        """Count it."""
        self.hours += hours
        self.said.update(f"{lie.kind} {'ACCUSED' if lie.decides else 'alarm'}" for _, lie in said)

    def line(self, name: str) -> None:
        """One line of the table."""
        told = ", ".join(f"{count} {what}" for what, count in sorted(self.said.items())) or "nothing said"
        print(f"  {name:42} {self.hours:9.1f} h: {told}", flush=True)


def false_alarms(rng: np.random.Generator, hours: float) -> float:
    """The table of honest telemetry; the hours altogether."""
    miners = max(2, round(hours * 3600 / TICKS))
    total = 0.0
    for kind, values in honest(rng, miners):
        tally = Tally()
        for grid in GRIDS:
            tally.add(found(percent_ticks(rounded(values, grid)), miners), values.size / 3600)
        tally.line(kind)
        total += tally.hours
    for contended in (False, True):
        for phase in PHASES:
            tally = tallied(*disturbed(rng, miners, contended, phase))
            tally.line(f"{'contended' if contended else 'quiet'} containers, {phase}")
            total += tally.hours
    return total


def disturbed(
    rng: np.random.Generator, miners: int, contended: bool, phase: Phase
) -> tuple[Floats, Ints, Ints]:
    """Containers that are paused, restarted, rebooted, read late or not at all, as the judge sees them."""
    ppm = rng.choice(ENTITLED_PPM, miners)
    befall = Disturbances(rng, miners)
    blocks = stream(rng, miners=miners, entitled_ppm=ppm, contended=contended, phase=phase)
    ticks = (
        seen
        for number in range(TICKS // BLOCK)
        for seen in befall.apply(next(blocks)).observations(number * BLOCK)
    )
    return judged(ticks, ppm)


def judged(ticks: Iterable[Observation], ppm: Ints) -> tuple[Floats, Ints, Ints]:
    """What the judge's ledger makes of readings: percentages (nan where there is none), use and time."""
    ledger = Ledger([rule_for(int(one)) for one in ppm])
    value, used, elapsed = [], [], []
    for seen in ticks:
        ledger.push(seen)
        value.append(np.where(seen.present, ledger.share, np.nan))
        used.append(ledger.used.copy())
        elapsed.append(ledger.elapsed.copy())
    return np.array(value), np.array(used), np.array(elapsed)


def tallied(value: Floats, used: Ints, elapsed: Ints) -> Tally:
    """What is said of these counters, and of their percentages rounded in every way."""
    tally, miners = Tally(), value.shape[1]
    tally.add(found(zip(value, used, elapsed, strict=True), miners), value.size / 3600)
    for grid in GRIDS:
        tally.add(found(percent_ticks(rounded(value, grid)), miners), value.size / 3600)
    return tally


def of_recording(path: Path) -> None:
    """One line: what is said of a recording of counters."""
    trace = read_trace(path)
    if trace.counters is None:
        sys.exit(f"{path}: has no counters; take a recording of them")
    ppm = trace.counters.entitled_ppm.max(axis=0)
    tallied(*judged((seen for _, seen in observations(trace)), ppm)).line(f"{path.name}, six times")


# --- cost -------------------------------------------------------------------------------------------


def cost(rng: np.random.Generator, miners: int, grid: float) -> float:
    """Microseconds a miner-tick, median over ticks with a full history."""
    nature, none, here = Nature(miners), np.zeros(miners, np.int64), np.ones(miners, bool)
    seconds = []
    for number in range(HISTORY + 60):
        values = rounded(rng.normal(100, SD, miners), grid)
        start = time.perf_counter()
        nature.push(number, here, values, none, none)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[HISTORY:])) / miners * 1e6


def main() -> None:
    """Print the tables."""
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 100.0
    rng = np.random.default_rng(SEED)
    print("lies, ticks from the first one on:")
    for lag in (0, 1, 5, 60, 300):
        delays(f"copied, counters, lag {lag}", of_counters(rng, "copied", lag), LIARS, {Kind.COPIED})
    for grid in GRIDS:
        for lag in (5, 300):
            name = f"copied, percent in steps of {grid}, lag {lag}"
            delays(name, of_percentages(rng, "copied", lag, grid), LIARS, {Kind.COPIED})
    for lag in (100, 300):
        delays(
            f"replayed, percent, lag {lag}", of_percentages(rng, "replayed", lag, 0.0), LIARS, {Kind.REPLAYED}
        )
    delays("frozen, counters", of_counters(rng, "frozen", 0), LIARS, {Kind.FROZEN})
    for grid in GRIDS[:4]:
        name = f"frozen, percent in steps of {grid}"
        delays(name, of_percentages(rng, "frozen", 0, grid), LIARS, {Kind.FROZEN})
    for lag in (5, 30, 40):
        said = of_percentages(rng, "loop", lag, 0.0)
        delays(f"loop of {lag}, percent", said, LIARS, {Kind.FROZEN, Kind.REPLAYED})
    delays("in proportion to time, counters", of_counters(rng, "exact", 0), LIARS, {Kind.FABRICATED})
    delays("noise gone, percent", of_percentages(rng, "calm", 0, 0.0), LIARS, {Kind.FABRICATED})
    for share in (0.0, 0.25, 0.4):
        name = f"copied with {share:.0%} noise, lag 20"
        delays(name, touched_up(rng, 20, share), 32, {Kind.ALIKE, Kind.COPIED})
    print("honest telemetry:")
    total = false_alarms(rng, hours)
    print(f"  {'together':42} {total:9.1f} h")
    for path in sys.argv[2:]:
        of_recording(Path(path))
    for miners in (16, 64, 10_000):
        costs = ", ".join(f"{cost(rng, miners, grid):.2f}" for grid in (0.0, 1.0, 5.0))
        print(f"{miners:6} miners: {costs} us a miner-tick (not rounded, to 1 %, to 5 %)")


if __name__ == "__main__":
    main()
