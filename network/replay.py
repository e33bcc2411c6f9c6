"""Detection over a recorded trace: the code that judges a live network (detectors/judge.py), fed from rows on disk.

    trace -> one Observation a tick, lost ticks included -> Judge -> Findings

A change of a miner's entitlement counts from the tick whose row tells it, as a charter's does from its frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from detectors.judge import Findings, Judge, Terms
from detectors.observation import Law, Observation
from mint.charter.toml import Setting
from mint.errors import InputError
from network.trace import Bools, Ints, Trace

# Ticks of a gap that are gone through as ticks without a reading. What detection concludes from silence it has
# concluded by then: SSA begins anew after a few lost ticks, and a miner is dark after 30.
MOST_LOST = 64
# Where there are percentages alone no entitlement is known, and none is used.
UNKNOWN_PPM = 1_000_000


class Step(NamedTuple):
    """What one tick led to.

    `row`: that of the tick in the trace's grid, None for a lost one. `burst_ns`: the level above which the budget law
    looks closer, (n,).
    """

    row: int | None
    findings: Findings
    burst_ns: Ints


def replay(trace: Trace, setting: Setting) -> Iterator[Step]:
    """What detection finds, tick by tick, lost ticks included.

    Raises:
        InputError: the trace has too few miners for `f_miners`.
    """
    n, f_miners, period_ns = len(trace.miners), setting.f_miners, setting.period_ms * 1_000_000
    if f_miners and n < 2 * f_miners + 3:
        raise InputError(
            f"f_miners = {f_miners}",
            f"Krum over {n} miners cannot bear so many colluders",
            f"take a trace of at least {2 * f_miners + 3} miners, or lower it",
        )
    entitled = _first_entitlements(trace)
    judge = Judge(_terms(trace, entitled), setting.detection, period_ns=period_ns, f_miners=f_miners)
    seen = np.zeros(n, bool)
    for row, observation in observations(trace):
        if row is not None and trace.counters is not None:
            now = np.where(observation.present, trace.counters.entitled_ppm[row], entitled)
            if (now != entitled).any():
                entitled = now
                terms = _terms(trace, entitled)
                judge.adopt(terms, setting.detection, period_ns=period_ns, f_miners=f_miners)
        seen |= observation.present
        findings = _of_those_seen(judge.step(observation), trace, seen)
        yield Step(row, findings, judge.ledger.allowed_ns)


def observations(trace: Trace) -> Iterator[tuple[int | None, Observation]]:
    """Every tick as detection takes it, with its row in the grid; None for a lost one, which has none."""
    nobody = np.zeros(len(trace.miners), bool)
    last = int(trace.ticks[0])
    for row, tick in enumerate(trace.ticks.tolist()):
        for lost in range(last + 1, min(tick, last + 1 + MOST_LOST)):
            yield None, _observation(trace, row, lost, nobody)
        yield row, _observation(trace, row, tick, trace.present[row])
        last = tick


def _first_entitlements(trace: Trace) -> Ints:
    """What each miner was entitled to when it was first read, in ppm of one CPU, (n,)."""
    n = len(trace.miners)
    if trace.counters is None:
        return np.full(n, UNKNOWN_PPM)
    first: Ints = trace.counters.entitled_ppm[trace.present.argmax(axis=0), np.arange(n)]
    return first


def _observation(trace: Trace, row: int, number: int, present: Bools) -> Observation:
    if trace.percent is not None:
        return Observation.of_percent(number, present, trace.percent[row])
    counters = trace.counters
    if counters is None:
        return Observation.nothing(number, len(present))
    return Observation(
        number=number,
        present=present,
        before_ns=counters.before_ns[row],
        after_ns=counters.after_ns[row],
        usage_ns=counters.usage_ns[row],
        steal_ns=counters.steal_ns[row],
        boot=counters.boot[row],
        epoch=counters.epoch[row],
    )


def _terms(trace: Trace, entitled: Ints) -> list[Terms]:
    law: Law = "kernel" if trace.percent is None else "none"
    return [Terms(name, ppm, law) for name, ppm in zip(trace.miners, entitled.tolist(), strict=True)]


def _of_those_seen(findings: Findings, trace: Trace, seen: Bools) -> Findings:
    """Without silence of miners that have not joined yet."""
    if not findings.found or seen.all():
        return findings
    here = {name for name, joined in zip(trace.miners, seen.tolist(), strict=True) if joined}
    return replace(findings, found=tuple(one for one in findings.found if one.miner in here))
