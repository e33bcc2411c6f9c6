"""Many hours, on as many processors as there are: each by its own seed, the same whatever runs beside it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from mint.errors import MachineError
from network.fairness.hours import Setting
from network.fairness.outcome import Hour, hour
from network.simulate.streams import stream


def seeds(seed: int, hours: int) -> list[int]:
    """The seeds of the hours of a run; more hours have the first ones in common."""
    return [stream(seed, "fairness", number).getrandbits(48) for number in range(hours)]


def run(setting: Setting, seed: int, hours: int, jobs: int, tell: Callable[[float], None]) -> list[Hour]:
    """So many hours, `jobs` of them at a time.

    Raises:
        MachineError: a process that ran one was killed.
    """
    work, found = partial(hour, setting), list[Hour]()
    pool = ProcessPoolExecutor(min(jobs, hours), mp_context=multiprocessing.get_context("forkserver"))
    try:
        for one in pool.map(work, seeds(seed, hours)):
            found.append(one)
            tell(len(found) / hours)
    except BrokenProcessPool:
        raise MachineError(
            "a process that ran an hour was killed", "see whether memory ran out, and try fewer --jobs"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return found
