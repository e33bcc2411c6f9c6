"""Whether SSA alarms at the rate that it is set to: `python -m bench calibration`, or with options as below.

For every kind of simulated clean telemetry the threshold is found on one half, as `mint calibrate` finds it, and
alarms are counted on the other half, which calibration never saw. Both halves together then give the thresholds for
one false alarm in 1,000 and in 10,000 miner-hours, where they are long enough, extrapolated (~) where not.
"""

from __future__ import annotations

import argparse

import numpy as np

from network.calibrate.alarms import measure
from network.calibrate.clean import COUNTERS, KINDS, simulated
from network.calibrate.rates import Choice, Curve, choose, pooled
from network.progress import progress

CPUS = (0.05, 0.1, 0.5)
# Each half, miner-hours: a hundred miners for a day; and a rate that they vouch for.
HOURS, RATE = 2_400.0, 0.005
# Said of both halves together: one alarm in so many miner-hours.
ONE_IN = (1_000, 10_000)
SEED = 2021


def half(kind: str, cpu: float, hours: float, seed: int, preset: str) -> Curve:
    """One half's curve."""
    clean = simulated(kind, hours, cpu, seed)
    with progress(clean.name) as tell:
        return measure(clean, preset, np.random.default_rng(seed), tell)


def said(choice: Choice | None) -> str:
    """A threshold; ~ says that it is extrapolated."""
    if choice is None:
        return "-"
    return f"{'~' * choice.extrapolated}{choice.threshold:.2f}"


def row(first: Curve, second: Curve, rate: float) -> str:
    """What was set on the first half, and what came of it on the second."""
    choice, both = choose(first, rate), pooled([first, second])
    thresholds = " ".join(f"{said(choose(both, 1 / hours)):>9}" for hours in ONE_IN)
    line = f"{first.name:20} {first.hours:9,.0f} {said(choice):>9}"
    if choice is None:
        return f"{line} {'':46} {thresholds}"
    at = second.at(choice.threshold)
    seen = f"{second.rate[at]:.5f} ({second.low[at]:.5f} to {second.high[at]:.5f})"
    verdict = "kept" if second.low[at] <= rate else "BROKEN"
    return f"{line} {second.alarms[at]:6.0f} {seen:>31} {verdict:>7} {thresholds}"


def main() -> None:
    """Print a line a kind."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m bench.bench_calibration --hours 20000 --rate 0.001",
    )
    parser.add_argument(
        "--hours", type=float, default=HOURS, help="miner-hours a half (default: %(default).0f)"
    )
    parser.add_argument("--rate", type=float, default=RATE, help="alarms a miner-hour (default: %(default)s)")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this one; may be repeated")
    parser.add_argument("--preset", default="calibrated", choices=("calibrated", "paper"))
    parser.add_argument("--seed", type=int, default=SEED, help="(default: %(default)s)")
    options = parser.parse_args()
    print(f"set to {options.rate:g} false alarms a miner-hour; preset {options.preset}")
    print(
        f"{'telemetry':20} {'hours':>9} {'set to':>9} {'alarms':>6} {'seen on the other half (95 %)':>31} "
        f"{'promise':>7} " + " ".join(f"{'1 in ' + format(hours, ','):>9}" for hours in ONE_IN)
    )
    for kind in options.kind or KINDS:
        for cpu in CPUS if kind in COUNTERS else CPUS[:1]:
            first, second = (
                half(kind, cpu, options.hours, seed, options.preset)
                for seed in (options.seed, options.seed + 1)
            )
            print(row(first, second, options.rate), flush=True)


if __name__ == "__main__":
    main()
