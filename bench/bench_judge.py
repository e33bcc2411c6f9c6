"""What detection costs a detector, part by part: `python -m bench.bench_judge`.

Honest miners of simulated quiet containers. CPU time of this process, the median of ticks with full windows; and bytes
that each part keeps of a miner.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from detectors.budget import Ledger
from detectors.judge import Judge, Terms
from detectors.observation import Observation
from detectors.ssa.direction import Direction
from detectors.ssa.stream import SsaStream
from detectors.work import WorkLedger
from mint.budget import BudgetRule
from mint.charter.toml import setting
from mint.work import WorkRule
from network.telemetry import simulate

ENTITLED_PPM = 100_000
TICKS = 60
PERIOD_NS = 1_000_000_000
# A share of each in 334 ms.
WORK = WorkRule(2_000_000, 66_800, ENTITLED_PPM)


def observations(miners: int) -> list[Observation]:
    """TICKS ticks of honest counters."""
    rng = np.random.Generator(np.random.SFC64(1))
    told = simulate(rng, miners=miners, ticks=TICKS, entitled_ppm=ENTITLED_PPM, contended=False)
    none, here = np.zeros(miners, np.int64), np.ones(miners, bool)
    columns = zip(told.before, told.after, told.usage, told.steal, strict=True)
    shares = np.cumsum(rng.poisson(3.0, (TICKS, miners)), axis=0)
    return [
        Observation(tick, here, *four, none, none, shares=shares[tick]) for tick, four in enumerate(columns)
    ]


def cost(step: Callable[[Observation], object], seen: list[Observation]) -> float:
    """Microseconds a miner-tick."""
    spent = []
    for one in seen:
        begun = time.process_time()
        step(one)
        spent.append(time.process_time() - begun)
    return float(np.median(spent[TICKS // 2 + 8 :])) / len(seen[0].present) * 1e6


def kept(part: object, miners: int) -> float:
    """Bytes of the arrays that `part` and what it is made of keep of one miner."""
    values = vars(part).values()
    whole = {id(_whole(value)): _whole(value).nbytes for value in values if isinstance(value, np.ndarray)}
    inside = [value for value in values if hasattr(value, "__dict__") and not callable(value)]
    return sum(whole.values()) / miners + sum(kept(one, miners) for one in inside)


def _whole(array: np.ndarray) -> np.ndarray:
    """The array that this one is a part of, or itself."""
    return array if array.base is None else _whole(array.base)


def report(miners: int) -> None:
    """One block of the table."""
    detection = setting({}, "bench").detection
    seen = observations(miners)
    percent = np.full(miners, 100.0)
    ledger = Ledger([BudgetRule(ENTITLED_PPM, 100 * ENTITLED_PPM, 20_000_000)] * miners)
    stream, direction = SsaStream(miners), Direction(miners)
    work = WorkLedger([WORK] * miners)
    terms = [Terms(f"m{row}", ENTITLED_PPM, "kernel", work=WORK) for row in range(miners)]
    judge = Judge(terms, detection, period_ns=PERIOD_NS, f_miners=0)
    rng = np.random.default_rng(2)

    def use() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return percent + rng.normal(0, 3, miners)

    parts = {
        "budget law": (cost(ledger.push, seen), kept(ledger, miners)),
        "work": (cost(lambda one: work.push(one, one.present), seen), kept(work, miners)),
        "SSA, D": (cost(lambda one: stream.push(use(), one.present), seen), kept(stream, miners)),
        "SSA, direction": (
            cost(lambda one: direction.push(use(), one.present), seen),
            kept(direction, miners),
        ),
    }
    for name, (us, size) in parts.items():
        print(f"{miners:6} miners, {name:15} {us:6.2f} us a miner-tick, {size:5.0f} bytes a miner")
    us, size = (sum(column) for column in zip(*parts.values(), strict=True))
    share = us * miners / 1e4
    print(
        f"{miners:6} miners, {'together':15} {us:6.2f} us, {size:5.0f} bytes: {share:.2f} % of a core at 1 Hz"
    )
    whole = cost(judge.step, seen)
    print(
        f"{miners:6} miners, {'whole judge':15} {whole:6.2f} us, {whole * miners / 1e3:.2f} ms a tick, but for Krum, "
        "every d ticks (bench krum)"
    )


def main() -> None:
    """Print the table."""
    for miners in (16, 1000, 10_000):
        report(miners)


if __name__ == "__main__":
    main()
