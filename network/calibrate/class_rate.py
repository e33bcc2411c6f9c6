"""`mint calibrate --class NAME`: how many hashes the pinned program makes in a second of CPU time on this machine.

What a device of that class can do is the best of some runs: other work on the machine takes caches and clock from a
program and gives it nothing. It is measured here, on the operator's own device, and never learned from a suspect; work
evidence (mint/work.py) bears a class that is known to 2 %, so runs that differ by more are said.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agents.pow import build
from agents.pow.rate import rates
from mint.work import PPM, TOLERANCE_PPM
from network.progress import progress

# Runs of some seconds of CPU time each: long enough for the clock to settle, short enough to wait for.
RUNS, SECONDS = 7, 2


@dataclass(frozen=True)
class Measured:
    """The class, and what was measured: hashes a CPU-second, a run each."""

    name: str
    runs: tuple[int, ...]

    @property
    def best(self) -> int:
        """What goes into the charter."""
        return max(self.runs)

    @property
    def median(self) -> int:
        """Of the runs."""
        return round(statistics.median(self.runs))

    @property
    def spread(self) -> float:
        """By how much the median run is below the best, as a share of that."""
        return 1 - self.median / self.best

    @property
    def steady(self) -> bool:
        """Whether the runs differ by no more than work evidence bears."""
        return self.spread * PPM <= TOLERANCE_PPM


def measure(name: str) -> Measured:
    """Compile the program and run it.

    Raises:
        MachineError: it cannot be compiled or run here.
    """
    with tempfile.TemporaryDirectory() as cache:
        program = build.native(Path(cache))
        with progress(f"class {name}: hashing for {RUNS * SECONDS} s") as tell:
            return Measured(name, tuple(rates(program, runs=RUNS, seconds=SECONDS, tell=tell)))


def text(measured: Measured) -> str:
    """For people, with what to write into a charter."""
    lines = [
        f"class {measured.name}: {measured.best} hashes a second of CPU time, the best of {len(measured.runs)} runs "
        f"of {SECONDS} s (median {measured.median}, {measured.spread:.1%} below)"
    ]
    if not measured.steady:
        lines.append(
            f"NOT STEADY: work evidence needs the rate to {TOLERANCE_PPM / PPM:.0%}; measure again when the machine is "
            "quiet, at the clock that it has at its fastest"
        )
    lines.append(f"hashes_per_cpu_second = {measured.best}")
    return "\n".join(lines) + "\n"


def data(measured: Measured, written: str | None) -> str:
    """For programs: one JSON object on a line."""
    said = {
        "type": "class",
        "class": measured.name,
        "hashes_per_cpu_second": measured.best,
        "median": measured.median,
        "spread": measured.spread,
        "steady": measured.steady,
        "runs": measured.runs,
        "written": written,
    }
    return msgspec.json.encode(said).decode() + "\n"
