"""Records what real containers use: starts miners, reads them once a second as an agent does, changes quotas.

start, settle; then every second: read all, and after it write the quotas that change at this second
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from agents.pow.choose import start_all
from agents.pow.runtime import Runtime
from agents.reading import UNREADABLE, read_miner, steal_ns
from mint.boot import boot_id
from mint.containers.model import Quota
from mint.errors import ContainerError
from network.trace import Counters, Trace

# A container that has just been started spends the quota of its first periods at once.
SETTLE_S = 3.0


class QuotaChange(NamedTuple):
    """At second `t_s`, right after the reading, `miner` gets the quota for `ppm` of one CPU."""

    t_s: int
    miner: str
    ppm: int


@dataclass(frozen=True, slots=True)
class Recording:
    """What to record: miners with their entitlements in ppm of one CPU, for how long, and who cheats when."""

    entitlements: Mapping[str, int]
    seconds: int
    changes: Sequence[QuotaChange]


def record(runtime: Runtime, recording: Recording, progress: Callable[[], None]) -> Trace:
    """Start the miners in `runtime`, which is the caller's to close, and read them for `seconds`.

    The trace has `seconds` + 1 readings of every miner, its ticks are seconds. `progress` is called with each.

    Raises:
        MachineError: a miner could not be started.
        ContainerError: one could not be read or changed.
    """
    miners = sorted(recording.entitlements)
    start_all(runtime, {miner: Quota.of_ppm(recording.entitlements[miner]) for miner in miners})
    time.sleep(SETTLE_S)
    boot = int.from_bytes(boot_id()[:8], "big") >> 1  # 63 bits, as the trace's numbers have
    rows = []
    began = time.monotonic()
    for second in range(recording.seconds + 1):
        time.sleep(max(0.0, began + second - time.monotonic()))
        steal = steal_ns()
        rows.append([_read(runtime, miner, recording.entitlements[miner], steal, boot) for miner in miners])
        for change in recording.changes:
            if change.t_s == second:
                runtime.hold(change.miner).set_quota(Quota.of_ppm(change.ppm))
        progress()
    # (readings, miners, fields) to one (readings, miners) for each field.
    columns = np.moveaxis(np.array(rows, np.int64), -1, 0)
    return Trace(
        miners=tuple(miners),
        ticks=np.arange(recording.seconds + 1),
        present=np.ones(columns[0].shape, bool),
        counters=Counters(*columns),
        percent=None,
    )


def _read(runtime: Runtime, miner: str, entitled_ppm: int, steal: int, boot: int) -> tuple[int, ...]:
    """One reading, in the order of Counters' fields."""
    try:
        reading, _ = read_miner(runtime.hold(miner))
    except UNREADABLE as error:
        raise ContainerError(f"miner {miner} cannot be read any more ({error})") from error
    values = {
        "usage_ns": reading.usage_ns,
        "before_ns": reading.before_ns,
        "after_ns": reading.after_ns,
        "entitled_ppm": entitled_ppm,
        "steal_ns": steal,
        "epoch": reading.epoch,
        "boot": boot,
    }
    return tuple(values[field.name] for field in fields(Counters))
