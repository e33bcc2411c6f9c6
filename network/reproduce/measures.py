"""What every figure measures: use in percent of entitlement, W, and use beyond entitlement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.ssa.parameters import PAPER, SsaParameters
from detectors.ssa.stream import SsaStream
from mint.budget import PPM
from network.trace import Trace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NS_PER_S = 1_000_000_000


def use(trace: Trace) -> Floats:
    """Each miner's use in each second, in percent of entitlement, c of section 4.2: (seconds, n).

    Row k is the time from reading k to reading k + 1.
    """
    return trace.use()[1:]


def W(series: Floats, parameters: SsaParameters = PAPER) -> Floats:  # noqa: N802 - the paper's symbol
    """W of each series (equations 3 to 8): (T, n) to (T, n), each at its newest sample; nan before the first.

    A sample that is nan is missing (detectors/ssa/stream.py).
    """
    stream = SsaStream(series.shape[1], parameters)
    return np.array([stream.push(values, ~np.isnan(values)).W for values in series])


def excess(trace: Trace, begin: int, end: int) -> Ints:
    """Use beyond entitlement since reading `begin`, at each reading to `end`: (end - begin, n).

    In ppm of one second's entitlement, rounded down, as detectors/behaviour.py has it: the window is taken as
    long as the brackets allow (mint/budget.py).
    """
    counters = trace.counters
    assert counters is not None  # noqa: S101 (our telemetry is counters; this tells the type checker)
    ppm = counters.entitled_ppm[begin]
    used = counters.usage_ns[begin + 1 : end + 1] - counters.usage_ns[begin]
    longest = counters.after_ns[begin + 1 : end + 1] - counters.before_ns[begin]
    unit = ppm * (NS_PER_S // PPM)
    return np.asarray((used * PPM - ppm * longest) // unit)
