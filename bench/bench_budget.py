"""What the budget rule convicts, how soon, and whom it should not: `python -m bench.bench_budget [RECORDING]`.

RECORDING: a file of real readings, one JSON list a tick, [steal in 10 ms units, [before, after, usage in ns]
for each miner], after a first line with each miner's entitlement in ppm. A cheat is an honest trace with a
share of entitlement added from a random moment on; its delay is counted in readings after that moment.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mint.budget import PPM, Bucket, BudgetRule, Reading
from network.telemetry import Counters, simulate

OVERRUN_NS = 20_000_000
BURST_MS = 200
CHEATS = (1.0, 0.5, 0.2, 0.1, 0.05)


def rule_for(entitled_ppm: int) -> BudgetRule:
    """The default charter's rule."""
    return BudgetRule(entitled_ppm, BURST_MS * entitled_ppm, OVERRUN_NS)


def readings(counters: Counters, miner: int) -> list[Reading]:
    """One miner's readings."""
    columns = (counters.before, counters.after, counters.usage, counters.steal)
    rows = np.stack([column[:, miner] for column in columns], axis=1).tolist()
    return [Reading(before, after, usage, steal) for before, after, usage, steal in rows]


def with_cheat(trace: list[Reading], share: float, begin_ns: int, entitled_ppm: int) -> Iterator[Reading]:
    """The trace with `share` of entitlement more from `begin_ns` on."""
    for before, after, usage, steal in trace:
        taken = max(0, (before + after) // 2 - begin_ns) * entitled_ppm // PPM
        yield Reading(before, after, usage + int(share * taken), steal)


def convictions(trace: list[Reading], entitled_ppm: int) -> tuple[int, float, int]:
    """False convictions of an honest trace, its highest level in entitled seconds, readings above the burst."""
    rule, bucket = rule_for(entitled_ppm), Bucket(entitled_ppm, OVERRUN_NS)
    convicted, highest, above = 0, 0, 0
    for tick, reading in enumerate(trace):
        level = bucket.push(reading, tick)
        convicted += rule.convicts(bucket)
        highest, above = max(highest, level), above + (level > rule.burst)
    return convicted, highest / (entitled_ppm * 1e9), above


def delay(trace: list[Reading], share: float, begin_ns: int, entitled_ppm: int) -> int:
    """Readings from the beginning of the cheat to its conviction; the length of the trace if never."""
    rule, bucket = rule_for(entitled_ppm), Bucket(entitled_ppm, OVERRUN_NS)
    since = 0
    for tick, reading in enumerate(with_cheat(trace, share, begin_ns, entitled_ppm)):
        bucket.push(reading, tick)
        since += reading.before_ns > begin_ns
        if since and rule.convicts(bucket):
            return since
    return len(trace)


def report(name: str, traces: list[list[Reading]], entitled_ppm: int, rng: np.random.Generator) -> None:
    """One line of the table."""
    results = [convictions(trace, entitled_ppm) for trace in traces]
    hours = sum(trace[-1].after_ns - trace[0].before_ns for trace in traces) / 3.6e12
    cells = []
    for share in CHEATS:
        delays = []
        for trace in traces:
            for _ in range(max(1, 200 // len(traces))):
                start = int(rng.integers(0, len(trace) - 60))
                part = trace[max(0, start - 300) : start + 60]
                begin = trace[start].after_ns + int(rng.random() * 1e9)
                delays.append(delay(part, share, begin, entitled_ppm))
        cells.append(f"+{share:.0%} {np.median(delays):.0f}/{np.quantile(delays, 0.95):.0f}")
    print(
        f"{name:9} {entitled_ppm / PPM:5.2f} CPU {hours:7.1f} h, convicted {sum(r[0] for r in results)}, above burst "
        f"{sum(r[2] for r in results)}, highest level {max(r[1] for r in results):.2f} s;  "
        + "  ".join(cells)
    )


def recorded(path: Path) -> Iterator[tuple[int, list[Reading]]]:
    """Entitlement and trace of each miner of a recording."""
    entitled, *rows = [json.loads(line) for line in path.read_text().splitlines()]
    for miner, ppm in enumerate(entitled):
        columns = [(*row[1 + miner], row[0] * 10_000_000) for row in rows]
        yield ppm, [Reading(before, after, usage, steal) for before, after, usage, steal in columns]


def main() -> None:
    """Print the table and the cost of a step."""
    rng = np.random.default_rng(2021)
    for contended in (False, True):
        for ppm in (20_000, 50_000, 100_000, 500_000):
            counters = simulate(rng, miners=40, ticks=3600, entitled_ppm=ppm, contended=contended)
            traces = [readings(counters, miner) for miner in range(40)]
            report("contended" if contended else "quiet", traces, ppm, rng)
    for path in sys.argv[1:]:
        for ppm, trace in recorded(Path(path)):
            report("recorded", [trace], ppm, rng)
    bucket, rule = Bucket(50_000, OVERRUN_NS), rule_for(50_000)
    start = time.perf_counter()
    for tick, reading in enumerate(traces[0]):
        bucket.push(reading, tick)
        rule.convicts(bucket)
    print(f"{(time.perf_counter() - start) / len(traces[0]) * 1e6:.2f} us a miner-tick")


if __name__ == "__main__":
    main()
