"""What `mint replay` tells of its findings: lines for people or programs, statistics, and a summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from detectors.judge import Finding
from network.replay import Step
from network.trace import Trace


class Told:
    """Writes every finding as a line, and counts them."""

    def __init__(self, write: Callable[[str], object], *, as_json: bool) -> None:
        self._write, self._line = write, json_line if as_json else line
        # For accusations and for alarms: how many, and on whom.
        self._counts = {True: 0, False: 0}
        self._miners: dict[bool, set[str]] = {True: set(), False: set()}

    def add(self, step: Step) -> None:
        """Tell of one tick."""
        for finding in step.findings.found:
            self._counts[finding.decides] += 1
            self._miners[finding.decides].add(finding.miner)
            self._write(self._line(step.findings.number, finding))

    def summary(self, trace: Trace, period_s: float, seconds: float) -> str:
        """The whole replay in a line for people; `seconds`: how long detection took."""
        rows = int(np.count_nonzero(trace.present))
        accused, alarmed = len(self._miners[True]), len(self._miners[False])
        return (
            f"{_counted(len(trace.ticks), 'tick')}, {_counted(len(trace.miners), 'miner')}, "
            f"{rows * period_s / 3600:,.2f} miner-hours; "
            f"{_counted(self._counts[True], 'accusation')} of {_counted(accused, 'miner')}, "
            f"{_counted(self._counts[False], 'alarm')} on {_counted(alarmed, 'miner')}; "
            f"{rows / max(seconds, 1e-9):,.0f} miner-ticks/s\n"
        )


class Table:
    """Writes the statistics of every tick as CSV, with as many digits as they have (`--statistics`)."""

    HEADER = b"tick,miner,D,S,W,h\n"

    def __init__(self, file: BinaryIO, miners: tuple[str, ...]) -> None:
        self._file, self._miners = file, miners
        file.write(self.HEADER)

    def add(self, step: Step) -> None:
        """Write the rows of one tick: of miners for which every statistic is defined."""
        statistics, tick = step.findings.statistics, step.findings.number
        columns = np.stack([statistics.D, statistics.S, statistics.W, statistics.h])
        rows = np.flatnonzero(np.isfinite(columns).all(axis=0))
        lines = [
            f"{tick},{self._miners[row]},{D!r},{S!r},{W!r},{h!r}\n"
            for row, (D, S, W, h) in zip(rows.tolist(), columns[:, rows].T.tolist(), strict=True)
        ]
        self._file.write("".join(lines).encode("ascii"))


def line(tick: int, finding: Finding) -> str:
    """One finding for people."""
    return f"tick {tick:>7}  {finding.miner}  {_type(finding):<10}  {finding.detector}: {finding.reason}\n"


def json_line(tick: int, finding: Finding) -> str:
    """One finding for programs."""
    said = {
        "type": _type(finding),
        "tick": tick,
        "miner": finding.miner,
        "detector": finding.detector,
        "reason": finding.reason,
    }
    return json.dumps(said) + "\n"


def doubt(trace: Trace) -> str:
    """What is probably not meant in a trace, for people; empty where nothing is."""
    apart = np.median(np.diff(trace.ticks)) if len(trace.ticks) > 1 else 1
    if apart > 1:
        return f"its ticks are {apart:g} apart, and those between count as lost; number them one by one"
    return ""


def _type(finding: Finding) -> str:
    return "accusation" if finding.decides else "alarm"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
