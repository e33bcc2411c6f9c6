"""What one could pick instead, behind one interface: percent of entitlement in, a score a tick out.

Each peer sees one miner's percentages, as it would in practice, and is helped where it can be:

- Where it cannot tell a rise from a fall, nor a rise above entitlement from one that only comes back to it, it
  accuses when, and if, use of the last ten ticks is above entitlement: by how much is a variant.
- Where it has no scale of its own, variants get the series in standard deviations of the last two minutes (a robust
  estimate of the past alone), with or without a limit on outliers, others as it is.
- Those that set an alarm and forget are run over a grid of their parameter, a variant each; the tuning picks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from changepoint_online import Focus, Gaussian
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from river.base import DriftDetector
from river.drift import ADWIN, KSWIN, PageHinkley
from ruptures import KernelCPD

from bench.detection import sst
from network.trace import Trace

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ENTITLED = 100.0
# Ticks whose mean says whether use is above entitlement, and for which an alarm waits for it; by how much, percent.
RECENT = 10
MARGINS = (0.0, 3.0, 10.0)
# The scale of a series: from so many ticks before, renewed every so many; until there are enough, the prior.
SCALE_TICKS, SCALE_EVERY, SCALE_FROM = 120, 10, 20
SCALE_PRIOR, SCALE_LEAST = 10.0, 0.25
# A normal distribution's standard deviation over its median absolute deviation.
MAD = 1.4826


@dataclass(frozen=True)
class About:
    """What is to be known of a detector.

    `tuned`: it is set for the tolerated rate; otherwise it accuses as it is, with scores of 0 and 1.
    `settled`: each variant accuses by itself, with scores of 0 and 1, and only the variant is chosen.
    `early`: it looks back, and may place a change so many ticks too early.
    `one_miner`: it sees one miner at a time, so that a point's cost is one miner's.
    """

    name: str
    variants: tuple[str, ...] = ("",)
    tuned: bool = True
    settled: bool = False
    early: int = 0
    one_miner: bool = True


@dataclass(frozen=True)
class Peer:
    """`run`: the scores of a series and of the same in standard deviations, (T,) each, to (variants, T)."""

    about: About
    run: Callable[[Floats, Floats], Floats]

    def scores(self, trace: Trace) -> Floats:
        """Of percentages: (variants, T, n); 0 where nothing was read."""
        percent = np.asarray(trace.percent)
        result = np.zeros((len(self.about.variants), *percent.shape))
        for column in range(percent.shape[1]):
            known = trace.present[:, column]
            series = percent[known, column]
            result[:, known, column] = self.run(series, standardised(series))
        return result


def standardised(series: Floats) -> Floats:
    """How far above entitlement, in standard deviations of the past."""
    scale = np.full(len(series), SCALE_PRIOR)
    for now in range(SCALE_EVERY * (SCALE_FROM // SCALE_EVERY), len(series), SCALE_EVERY):
        past = series[max(0, now - SCALE_TICKS) : now]
        scale[now : now + SCALE_EVERY] = MAD * np.median(np.abs(past - np.median(past)))
    return np.asarray((series - ENTITLED) / np.maximum(scale, SCALE_LEAST))


def above(series: Floats, margin: float) -> Bools:
    """Whether the last RECENT values are above entitlement by `margin` percent on average."""
    padded = np.concatenate([np.full(RECENT - 1, ENTITLED), series])
    return np.asarray(sliding_window_view(padded, RECENT).mean(axis=1) > ENTITLED + margin)


def upward(scores: Floats, series: Floats) -> Floats:
    """Scores (variants, T) that are told once use is above entitlement: (variants x margins, T)."""
    padded = np.hstack([np.zeros((len(scores), RECENT - 1)), scores])
    held = sliding_window_view(padded, RECENT, axis=1).max(axis=2)
    return np.vstack([np.where(above(series, margin), held, 0.0) for margin in MARGINS])


def _margins(*variants: str) -> tuple[str, ...]:
    """Names of the variants that `upward` makes."""
    return tuple(f"{variant}, +{margin:g} %".removeprefix(", ") for margin in MARGINS for variant in variants)


# --- CUSUM ------------------------------------------------------------------------------------------

# Half of the gain that each is quickest for: percent, and standard deviations.
DRIFTS = (0.5, 1.0, 2.5, 5.0)
DRIFTS_SD = (0.1, 0.25, 0.5, 1.0)
# The limit on outliers, standard deviations.
LIMIT_SD = 5.0


def cusum(series: Floats, scaled: Floats) -> Floats:
    """Page's one-sided CUSUM with a known mean: C_t = max(0, C_{t-1} + x_t - 100 - k)."""
    sums = [np.cumsum(series - ENTITLED - k) for k in DRIFTS]
    for values in (scaled, limited(scaled)):
        sums += [np.cumsum(values - k) for k in DRIFTS_SD]
    S = np.array(sums)
    return np.asarray(S - np.minimum(np.minimum.accumulate(S, axis=1), 0))


def limited(scaled: Floats) -> Floats:
    """Standard deviations without outliers."""
    return np.clip(scaled, -LIMIT_SD, LIMIT_SD)


# --- FOCuS ------------------------------------------------------------------------------------------


def focus(series: Floats, scaled: Floats) -> Floats:
    """FOCuS with a known mean, for rises: the CUSUM for gains of every size at once.

    Its statistic for rises still has the last value's square where that fell, so it waits as two-sided ones do.
    """
    statistics = [_focus(series - ENTITLED), _focus(scaled), _focus(limited(scaled))]
    return upward(np.array(statistics), series)


def _focus(series: Floats) -> Floats:
    detector = Focus(Gaussian(loc=0.0), side="right")
    scores = np.empty(len(series))
    for t, value in enumerate(series.tolist()):
        detector.update(value)
        scores[t] = detector.statistic()
    return scores


# --- river ------------------------------------------------------------------------------------------

DELTAS = (2e-3, 1e-4, 1e-6, 1e-8, 1e-10, 1e-13, 1e-20)
KSWIN_SEED = 1


def adwin(series: Floats, scaled: Floats) -> Floats:
    """ADWIN, looking at every tick; it has a scale of its own."""
    return upward(np.array([_alarms(ADWIN(delta=delta, clock=1), series) for delta in DELTAS]), series)


# Tolerance and threshold of Page-Hinkley: in percent, river's own first; and in standard deviations.
HINKLEY = tuple((delta, threshold) for delta in (0.005, 1.0) for threshold in (50, 100, 200, 400, 800, 1600))
HINKLEY_SD = tuple((delta, threshold) for delta in (0.005, 0.25) for threshold in (10, 25, 50, 100, 200))


def page_hinkley(series: Floats, scaled: Floats) -> Floats:
    """Page-Hinkley's test for rises, which learns the mean."""
    rows = []
    for grid, values in ((HINKLEY, series), (HINKLEY_SD, scaled)):
        rows += [_alarms(PageHinkley(delta=d, threshold=h, mode="up"), values) for d, h in grid]
    return upward(np.array(rows), series)


def _alarms(detector: DriftDetector, series: Floats) -> Floats:
    alarms = np.zeros(len(series))
    for t, value in enumerate(series.tolist()):
        detector.update(value)
        alarms[t] = detector.drift_detected
    return alarms


def kswin(series: Floats, scaled: Floats) -> Floats:
    """KSWIN: -log10 of its p-value, so that every alpha is a threshold; alpha 0, so that it never forgets."""
    detector = KSWIN(alpha=0, seed=KSWIN_SEED)
    scores = np.zeros(len(series))
    for t, value in enumerate(series.tolist()):
        detector.update(value)
        if t + 1 >= detector.window_size:
            scores[t] = -math.log10(max(detector.p_value, 1e-300))
    return upward(scores[None], series)


# --- SST --------------------------------------------------------------------------------------------


def transformation(series: Floats, scaled: Floats) -> Floats:
    """SST's score, of windows as they are and less their means."""
    if len(series) < sst.SPAN:
        return np.zeros((2 * len(MARGINS), len(series)))
    rows = [sst.scores(series / ENTITLED, centred=centred) for centred in (False, True)]
    return upward(np.array(rows), series)


# --- ruptures: in hindsight -------------------------------------------------------------------------

# Penalties for a change of mean, in variances.
PENALTIES = (10, 20, 40, 80, 160, 320, 640, 1280, 2560)
# How many ticks too early the best segmentation may place a change.
EARLY = 5
# Standard errors by which a segment's mean has to be above entitlement.
SURE = 2.0


def hindsight(series: Floats, scaled: Floats) -> Floats:
    """The best segmentation of the whole series (PELT, change of mean): 1 where a segment begins that is higher."""
    scale = max(MAD * float(np.median(np.abs(np.diff(series)))) / math.sqrt(2), SCALE_LEAST)
    fitted = KernelCPD(kernel="linear", min_size=2).fit((series[:, None] - ENTITLED) / scale)
    segmented = [_segments(fitted.predict(pen=penalty)) for penalty in PENALTIES]
    return np.array([_rises(series, each, scale, margin) for margin in MARGINS for each in segmented])


def _rises(series: Floats, segments: Sequence[tuple[int, int]], scale: float, margin: float) -> Floats:
    alarms = np.zeros(len(series))
    before = ENTITLED
    for begin, end in segments:
        mean = float(series[begin:end].mean())
        sure = ENTITLED + max(margin, SURE * scale / math.sqrt(end - begin))
        if begin and mean > max(before, sure):
            alarms[begin] = 1.0
        before = mean
    return alarms


def _segments(ends: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip([0, *ends[:-1]], ends, strict=True))


SD = ("sd", "sd, limited")
PEERS = (
    Peer(
        About(
            "CUSUM",
            (*(f"k = {k} %" for k in DRIFTS), *(f"k = {k} {unit}" for unit in SD for k in DRIFTS_SD)),
        ),
        cusum,
    ),
    Peer(About("FOCuS", _margins("percent", *SD)), focus),
    Peer(About("ADWIN", _margins(*(f"delta = {delta:g}" for delta in DELTAS)), settled=True), adwin),
    Peer(
        About(
            "Page-Hinkley",
            _margins(
                *(f"delta = {d} %, threshold = {h}" for d, h in HINKLEY),
                *(f"delta = {d} sd, threshold = {h}" for d, h in HINKLEY_SD),
            ),
            settled=True,
        ),
        page_hinkley,
    ),
    Peer(About("KSWIN", _margins("")), kswin),
    Peer(About("SST", _margins("", "centred")), transformation),
    Peer(
        About(
            "ruptures (hindsight)",
            _margins(*(f"pen = {pen}" for pen in PENALTIES)),
            settled=True,
            early=EARLY,
        ),
        hindsight,
    ),
)
