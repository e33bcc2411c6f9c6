"""Whom the budget law convicts in three years of sixteen honest miners: `python -m bench.honest_hours`.

Simulated counters (network/telemetry.py) of hosts of every kind, each with entitlements of 0.02 to 1 CPU, and
besides all that befalls honest telemetry (bench/disturbances.py). A miner that is convicted begins anew, so
that each conviction is counted once; the readings before the first ones are kept.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress, TaskID, TimeElapsedColumn, TimeRemainingColumn

from bench import disturbances
from bench.honest_hosts import KINDS, Hosts, Kind, upper_bound
from bench.law import add_settings, said
from detectors.budget import Ledger
from detectors.observation import Observation
from mint.charter.model import Detection
from network.telemetry import BLOCK

HOURS = 420_000.0  # three years of sixteen miners
SEED = 2021
# Miners in one ledger: numpy's overhead a call is shared by so many.
MINERS = 1020
# Readings before a conviction that are kept of it, and convictions of which they are.
TRACE, TRACES = 16, 20


@dataclass
class Outcome:
    """What a kind of host came to; `highest` is the highest level in bursts that the law allows."""

    kind: str
    seed: int
    miners: int
    hours: float
    convicted: int = 0
    above: int = 0
    highest: float = 0.0
    by_entitlement: dict[int, int] = field(default_factory=dict)
    traces: list[dict[str, Any]] = field(default_factory=list)

    @property
    def bound(self) -> float:
        """Convictions an hour: upper end of the one-sided 95 % interval."""
        return upper_bound(self.convicted, self.hours)


def judge(
    kind: Kind,
    law: Detection,
    *,
    seed: int,
    miners: int,
    ticks: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Let the budget law judge `miners` honest miners on hosts of one kind for `ticks` seconds, in whole blocks."""
    hosts = Hosts(kind, miners, seed, law)
    ledger, recent = hosts.ledger, deque[Observation](maxlen=TRACE)
    blocks, count = hosts.befallen(), math.ceil(ticks / BLOCK)
    outcome = Outcome(kind.name, seed, miners, count * BLOCK * miners / 3600)
    for number in range(count):
        for seen in next(blocks).observations(number * BLOCK):
            ledger.push(seen)
            recent.append(seen)
            outcome.above += int((ledger.above & seen.present).sum())
            outcome.highest = max(outcome.highest, float((ledger.level / ledger.allowed_ns).max()))
            if ledger.convicted.any():
                _convicted(outcome, ledger, recent, hosts.ppm)
        advance(BLOCK * miners)
    return outcome


def _convicted(
    outcome: Outcome, ledger: Ledger, recent: deque[Observation], ppm: np.ndarray[Any, Any]
) -> None:
    for row in np.flatnonzero(ledger.convicted).tolist():
        entitled = int(ppm[row])
        outcome.convicted += 1
        outcome.by_entitlement[entitled] = outcome.by_entitlement.get(entitled, 0) + 1
        if len(outcome.traces) < TRACES:
            columns = ("present", "before_ns", "after_ns", "usage_ns", "steal_ns", "boot", "epoch")
            trace = [
                {"number": seen.number} | {name: int(getattr(seen, name)[row]) for name in columns}
                for seen in recent
            ]
            outcome.traces.append(
                {
                    "miner": row,
                    "entitled_ppm": entitled,
                    "number": recent[-1].number,
                    "since": int(ledger.since[row]),
                    "level_ns": int(ledger.level[row]),
                    "allowed_ns": int(ledger.allowed_ns[row]),
                    "readings": trace,
                }
            )
        ledger.rebaseline(row)


def befalls() -> str:
    """What befalls every miner besides, in words."""
    d = disturbances
    return (
        f"each miner besides, an hour: {d.PAUSES:g} pauses and {d.OUTAGES:g} outages of up to {d.LONGEST} s, "
        f"{d.RESTARTS:g} restart with a new counter, {d.REBOOTS:.2f} reboots, {d.STALE:g} counter that stands still "
        f"for up to {d.STALE_TICKS} s, {d.STALLS:g} read held up for up to {d.STALL_TICKS} s, {d.LATE:g} reads so late "
        f"that the next follows within {d.LATE_NS / 1e6:g} ms; "
        f"{d.LOST:.1%} of samples lost"
    )


def report(outcomes: list[Outcome]) -> str:
    """The table."""
    lines = [
        f"{'kind of host':43} {'hours':>9} {'convicted':>9} {'above':>9} {'highest':>8} {'95 % bound':>14}"
    ]
    lines += [
        f"{one.kind:43} {one.hours:9.0f} {one.convicted:9} {one.above:9} {one.highest:8.2f} "
        f"{'1 in ' + format(1 / one.bound, '.0f') + ' h':>14}"
        for one in outcomes
    ]
    hours, convicted = sum(one.hours for one in outcomes), sum(one.convicted for one in outcomes)
    lines.append(
        f"{hours:.0f} honest miner-hours: {convicted} convicted; with 95 % confidence less than one in "
        f"{1 / upper_bound(convicted, hours):.0f} hours"
    )
    return "\n".join([*lines, befalls()])


def main(arguments: list[str] | None = None) -> None:
    """Run all kinds, each for its share of the hours."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m bench.honest_hours --hours 1000 --json honest.json",
    )
    parser.add_argument(
        "--hours", type=float, default=HOURS, help="miner-hours in all (default: %(default).0f)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, traces included")
    add_settings(parser)
    options = parser.parse_args(arguments)
    law, outcomes = said(parser, options.settings), []
    columns = (*Progress.get_default_columns()[:3], TimeRemainingColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for number, kind in enumerate(KINDS):
            hours = options.hours * kind.share
            miners = min(MINERS, math.ceil(hours))
            ticks = math.ceil(hours * 3600 / miners)
            task = progress.add_task(kind.name, total=math.ceil(ticks / BLOCK) * BLOCK * miners)

            def advance(done: int, task: TaskID = task) -> None:
                progress.advance(task, done)

            outcomes.append(
                judge(kind, law, seed=options.seed + number, miners=miners, ticks=ticks, advance=advance)
            )
            sys.stderr.flush()
    print(report(outcomes))
    if options.json is not None:
        rows = [asdict(one) | {"bound_per_hour": one.bound} for one in outcomes]
        options.json.write_text(json.dumps({"befalls": befalls(), "kinds": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
