"""Real containers, recorded once a second: nobody honest is accused, and what is added to them is found in time.

quiet.parquet      twelve miners of 0.05 to 0.3 CPU, ten minutes, the host otherwise idle
contended.parquet  twelve miners of 0.05 to 1 CPU, sixteen minutes, the host asked for several times what it has
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mint.charter.toml import setting
from network.replay import replay
from network.trace import Counters, Trace
from network.trace_file import read_trace

HERE = Path(__file__).parent.parent / "traces"
SETTING = setting({}, "test")
ONSET = 340  # no steal was told from 317 to 489


@pytest.fixture(scope="module")
def quiet() -> Trace:
    return read_trace(HERE / "quiet.parquet")


@pytest.fixture(scope="module")
def contended() -> Trace:
    return read_trace(HERE / "contended.parquet")


def counters_of(trace: Trace) -> Counters:
    assert trace.counters is not None
    return trace.counters


def in_percent(trace: Trace) -> Trace:
    """What a collector that shows percentages alone would have shown."""
    counters = counters_of(trace)
    middle = (counters.before_ns + counters.after_ns) / 2
    percent = np.diff(counters.usage_ns, axis=0) / np.diff(middle, axis=0)
    percent *= 1e8 / counters.entitled_ppm[1:]
    return Trace(trace.miners, trace.ticks[1:], trace.present[1:], None, percent)


def steal_untold(trace: Trace) -> Trace:
    counters = counters_of(trace)
    return replace(trace, counters=replace(counters, steal_ns=np.zeros_like(counters.steal_ns)))


def with_gain(trace: Trace, rate: float, ramp: float = 0.0) -> Trace:
    """Every miner uses `rate` more than before from ONSET on, or `ramp` more each second."""
    counters = counters_of(trace)
    seconds = np.maximum(counters.before_ns - counters.after_ns[ONSET], 0) / 1e9
    gained = (rate * seconds + ramp * seconds**2 / 2) * counters.entitled_ppm * 1000
    return replace(trace, counters=replace(counters, usage_ns=counters.usage_ns + gained.astype(np.int64)))


def accused(trace: Trace) -> dict[str, int]:
    """The first tick at which each miner is accused."""
    first: dict[str, int] = {}
    for findings in (step.findings for step in replay(trace, SETTING)):
        for one in findings.found:
            if one.decides:
                first.setdefault(one.miner, findings.number)
    return first


@pytest.mark.parametrize("form", [lambda trace: trace, steal_untold, in_percent])
@pytest.mark.parametrize("which", ["quiet", "contended"])
def test_nobody_honest_is_accused(which: str, form: object, request: pytest.FixtureRequest) -> None:
    assert callable(form)
    assert accused(form(request.getfixturevalue(which))) == {}


@pytest.mark.parametrize(("gain", "median"), [(1.0, 2), (0.2, 2), (0.1, 3), (0.05, 5), (0.01, 20)], ids=str)
def test_on_a_quiet_host_a_gain_is_found_within_ticks(quiet: Trace, gain: float, median: int) -> None:
    first = accused(with_gain(quiet, gain))
    delays = [first[miner] - ONSET for miner in quiet.miners]
    assert np.median(delays) <= median
    assert max(delays) <= 2 * median + 1


def test_a_slow_ramp_is_found_while_small(quiet: Trace) -> None:
    first = accused(with_gain(quiet, 0, 0.001))
    delays = np.array([first[miner] - ONSET for miner in quiet.miners])
    entitled = counters_of(quiet).entitled_ppm[0] / 1e6
    # At 1.5 % a ramp has taken 0.11 s of entitlement; honest use strays by 0.1 s, or 0.17 at 0.05 CPU.
    assert np.median(delays[entitled >= 0.2]) <= 17
    assert np.median(delays[entitled < 0.2]) <= 20


def test_where_the_host_is_contended_a_doubling_of_what_a_miner_gets_is_found(contended: Trace) -> None:
    """Who is held by the host and not by its quota is below entitlement: nothing is taken there."""
    held = counters_of(contended).entitled_ppm[0] <= 100_000
    first = accused(with_gain(contended, 1.0))
    late = [first[miner] - ONSET for miner, quota in zip(contended.miners, held, strict=True) if quota]
    assert max(late) <= 5
