"""The alarm threshold for W at a stated false-alarm rate: `python -m bench.calibrate_ssa [MINER_HOURS]`.

Simulated honest telemetry only, so every upward crossing of a threshold is a false alarm. Until W first
crosses a threshold every window is accepted, whatever the threshold; so one run with none serves for all.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from detectors.ssa.parameters import CALIBRATED
from detectors.ssa.stream import SsaStream
from network.telemetry import simulate

NEVER = 1e300  # a threshold that nothing crosses
THRESHOLDS = (5, 7.5, 10, 12.5, 15, 17.5, 20, 22.5, 25, 30, 35, 40, 50, 70, 100)
HOURS = 2  # length of a trace; each begins with its own warm-up


def crossings(percent: NDArray[np.float64]) -> NDArray[np.int64]:
    """Upward crossings of each threshold by W over (ticks, miners) of telemetry."""
    stream = SsaStream(percent.shape[1], replace(CALIBRATED, threshold=NEVER))
    counts, above = np.zeros(len(THRESHOLDS), np.int64), np.zeros((len(THRESHOLDS), percent.shape[1]), bool)
    for values in percent:
        now = np.asarray(THRESHOLDS)[:, None] < np.nan_to_num(stream.push(values).W)
        counts += (now & ~above).sum(axis=1)
        above = now
    return counts


def main() -> None:
    """Print false alarms an hour, with the 95 % interval, for each kind of noise and threshold."""
    hours = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    miners = max(1, hours // HOURS)
    rng = np.random.default_rng(2021)
    kinds = {
        "independent, 4 %": rng.normal(100, 4, (HOURS * 3600, miners)),
    }
    for contended in (False, True):
        for ppm in (50_000, 100_000):
            counters = simulate(rng, miners=miners, ticks=HOURS * 3600, entitled_ppm=ppm, contended=contended)
            name = f"{'contended' if contended else 'quiet'}, {ppm / 1e6:.2f} CPU"
            kinds[name] = counters.percent(ppm)
    for name, percent in kinds.items():
        total = percent.size / 3600
        print(f"{name}: {total:.0f} miner-hours, standard deviation {percent.std():.1f} %", flush=True)
        for threshold, count in zip(THRESHOLDS, crossings(percent), strict=True):
            low = chi2.ppf(0.025, 2 * count) / 2 / total if count else 0.0
            high = chi2.ppf(0.975, 2 * count + 2) / 2 / total
            print(f"  W > {threshold:5}: {count / total:8.4f} an hour [{low:.4f}, {high:.4f}]", flush=True)


if __name__ == "__main__":
    main()
