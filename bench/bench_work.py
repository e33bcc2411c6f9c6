"""How soon work evidence convicts, and how often it is wrong: `python -m bench.bench_work`.

Miners find shares at their own rate in the CPU time that they use (Poisson); the charter's class rate is off by
-2, 0 or +2 %. Delays are of the detector's own books (detectors/work.py), from the moment a miner that was
honest for five minutes begins to find 1.2, 1.5, 2 times as many shares as its reported CPU time explains.

**False accusations** are too rare to be counted: one in 10^6 miner-hours is one in 3.6 * 10^9 readings. They
are measured by importance sampling. Page's test begins anew at every reading at which z is lowest; an
accusation is a beginning from which z rises to the bound before it is as low again. Such rises are drawn at the
rate at which z grows as fast as it should fall (the conjugate rate lambda * r^theta, at which they are common),
and each counts by what it is worth, exp(-theta * z): the ratio of the two likelihoods. The number of beginnings
an hour is counted at the honest rate.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from detectors.observation import Observation
from detectors.work import WorkLedger
from mint.work import DESIGNS, PPM, TOLERANCE_PPM, Design, WorkRule

CPU_PPM = 50_000
HASHES = 2_000_000  # a CPU-second
SHARE_INTERVAL_MS = 334
# What the class rate in the charter may be off by: the true one over that of the charter.
OFF = (0.98, 1.0, 1.02)
FACTORS = (1.2, 1.5, 2.0)
# A run of honest readings, then the most that is waited for a conviction.
HONEST, LONGEST = 300, 7200
SEED = 2021
NS_PER_S = 1_000_000_000

Floats = NDArray[np.float64]


def rule(interval_ms: int) -> WorkRule:
    """The law for a miner of the benchmark."""
    return WorkRule(HASHES, HASHES * CPU_PPM * interval_ms // 10**9, CPU_PPM)


def shares_per_reading(law: WorkRule) -> float:
    """Expected shares in a second's entitlement at the charter's rate."""
    return law.hashes * law.cpu_ppm / PPM / law.share_work


@dataclass(frozen=True)
class Delay:
    """Seconds to a conviction; `never`: the share of miners that were not convicted in LONGEST seconds."""

    factor: float
    off: float
    median: float
    p90: float
    p95: float
    never: float


def delay(rng: np.random.Generator, law: WorkRule, factor: float, off: float, miners: int) -> Delay:
    """How long the detector's books take for miners that all cheat alike."""
    ledger, all_of_them = WorkLedger([law] * miners), np.ones(miners, bool)
    expected = shares_per_reading(law) * off
    used_ns = law.cpu_ppm * (NS_PER_S // PPM)
    shares, none = np.zeros(miners, np.int64), np.zeros(miners, np.int64)
    took = np.full(miners, math.inf)
    for tick in range(HONEST + LONGEST):
        lying = tick >= HONEST
        shares += rng.poisson(expected * (factor if lying else 1.0), miners)
        usage = np.full(miners, tick * used_ns)
        ledger.push(
            Observation(tick, all_of_them, usage, usage, usage, none, none, none, shares=shares), all_of_them
        )
        if lying:
            took[ledger.convicted & np.isinf(took)] = tick - HONEST + 1
            if np.isfinite(took).all():
                break
    median, p90, p95 = np.quantile(took, (0.5, 0.9, 0.95), method="higher")
    return Delay(factor, off, float(median), float(p90), float(p95), float(np.isinf(took).mean()))


@dataclass(frozen=True)
class FalseRate:
    """False accusations of one design in a miner-hour, with the estimate's standard error.

    `beginnings` an hour, and of how many of a billion of them z reaches the bound.
    """

    gain: int
    off: float
    per_hour: float
    error: float
    beginnings: float
    runs: int


def false_rate(rng: np.random.Generator, law: WorkRule, which: int, off: float, runs: int) -> FalseRate:
    """How often design number `which` accuses an honest miner of which all shares are told as late as the law bears.

    That is as often as one whose shares are told at once would be accused at the bound without the slack.
    """
    design = DESIGNS[which]
    bound = _told_at_once(law, which) / PPM
    step, cost = design.ln / PPM, _cost(law, design)
    honest = shares_per_reading(law) * off
    theta = _conjugate(step, cost, honest)
    tilted = honest * math.exp(theta * step)
    z, weights = np.zeros(runs), np.zeros(runs)
    going = np.arange(runs)
    while going.size:
        z[going] += step * rng.poisson(tilted, going.size) - cost
        reached = z[going] >= bound
        weights[going[reached]] = np.exp(-theta * z[going[reached]])
        going = going[~reached & (z[going] > 0)]
    beginnings = _beginnings(rng, step, cost, honest)
    mean, error = float(weights.mean()), float(weights.std(ddof=1)) / math.sqrt(runs)
    return FalseRate(design.gain, off, mean * beginnings, error * beginnings, beginnings, runs)


def _told_at_once(law: WorkRule, which: int) -> int:
    """The bound without its slack."""
    return law.bounds[which] - law.costs[which] * law.cpu_ppm // PPM


def _cost(law: WorkRule, design: Design) -> float:
    """What a second's entitlement takes off the LLR."""
    return design.gain / PPM * (PPM + TOLERANCE_PPM) / PPM * shares_per_reading(law)


def _conjugate(step: float, cost: float, honest: float) -> float:
    """Theta > 0 with E[exp(theta * (step * N - cost))] = 1 for N Poisson of mean `honest`."""

    def logarithm(theta: float) -> float:
        return honest * math.expm1(theta * step) - theta * cost

    return float(brentq(logarithm, 1e-3, 20.0))


def _beginnings(rng: np.random.Generator, step: float, cost: float, honest: float) -> float:
    """Readings an hour at which z is lowest."""
    miners, ticks = 2000, 2000
    z, low, count = np.zeros(miners), np.zeros(miners), 0
    for tick in range(2 * ticks):
        z += step * rng.poisson(honest, miners) - cost
        lowest = z <= low
        low = np.minimum(z, low)
        count += int(lowest.sum()) if tick >= ticks else 0
    return 3600 * count / miners / ticks


def report(delays: list[Delay], rates: list[FalseRate], law: WorkRule) -> str:
    """The tables."""
    lines = [
        f"{shares_per_reading(law):.2f} shares a second at entitlement; bounds, slack included: "
        + ", ".join(f"{bound / PPM:.2f}" for bound in law.bounds)
        + " nats",
        f"{'work':>6} {'true rate':>10} {'median':>8} {'90 %':>8} {'95 %':>8} {'never':>7}   seconds to conviction",
    ]
    lines += [
        f"{one.factor:5.1f}x {one.off - 1:+10.0%} {one.median:8.0f} {one.p90:8.0f} {one.p95:8.0f} {one.never:7.1%}"
        for one in delays
    ]
    lines.append(f"{'r':>6} {'true rate':>10} {'false accusations in a million miner-hours':>44}")
    lines += [
        f"{1 + one.gain / PPM:6.2f} {one.off - 1:+10.0%} {one.per_hour * 1e6:22.2g} +- {one.error * 1e6:.1g}"
        for one in rates
    ]
    for off in OFF:
        of_both = [one for one in rates if one.off == off]
        total = sum(one.per_hour for one in of_both) * 1e6
        error = math.hypot(*(one.error for one in of_both)) * 1e6
        lines.append(f"{'both':>6} {off - 1:+10.0%} {total:22.2g} +- {error:.1g}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m bench.bench_work --runs 20000 --json work.json",
    )
    parser.add_argument("--runs", type=int, default=200_000, help="rises drawn a rate (default: %(default)s)")
    parser.add_argument("--miners", type=int, default=2000, help="cheats a delay (default: %(default)s)")
    parser.add_argument(
        "--interval-ms", type=int, default=SHARE_INTERVAL_MS, help="share interval (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    options = parser.parse_args(arguments)
    rng, law = np.random.Generator(np.random.SFC64(options.seed)), rule(options.interval_ms)
    delays = [delay(rng, law, factor, off, options.miners) for factor in FACTORS for off in OFF]
    rates = [false_rate(rng, law, which, off, options.runs) for which in range(len(DESIGNS)) for off in OFF]
    print(report(delays, rates, law))
    if options.json is not None:
        found = {"delays": [asdict(one) for one in delays], "false": [asdict(one) for one in rates]}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
