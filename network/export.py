"""What a network's manager stored, as a trace: its frame log, frame by frame, tick = number of the frame.

A frame names a miner's counters and a device's boot and steal time; which miner is on which device is in the
samples that the frame rests on, under one charter always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mint.charter.model import PPM
from mint.errors import InputError
from mint.messages.frame import Frame, MinerEntry
from network.trace_columns import (
    AFTER,
    BEFORE,
    BOOT,
    COUNTER_COLUMNS,
    ENTITLED,
    EPOCH,
    STEAL,
    TICK,
    USAGE,
    Values,
)
from network.trace_file import TraceWriter
from twin_broker.store import FrameReader

# Frames read at once: 64 MiB where a fog is as large as it may be (4,096 miners).
PAGE = 256


def export(
    log: FrameReader, path: Path, first: int, last: int, progress: Callable[[float], None]
) -> tuple[int, int]:
    """Write the frames from number `first` to `last` to a CSV or Parquet file; how many frames and rows.

    Raises:
        InputError: there are none, the log is damaged, or the file cannot be made.
    """
    there = log.numbers()
    if there is None:
        raise InputError(str(path), "would be empty: the log has no frames", "export when it has some")
    first, last = max(first, there[0]), min(last, there[1])
    if first > last:
        has = f"frames {there[0]} to {there[1]}"
        raise InputError(str(path), f"would be empty: the log has {has}", "choose --from and --to in that")
    frames = rows = 0
    rows_of = _Rows(log)
    with TraceWriter(path, COUNTER_COLUMNS) as writer:
        begin = first
        while page := log.page(begin, last, PAGE):
            miners, codes, values = rows_of(page)
            writer.write(miners, codes, values)
            frames, rows = frames + len(page), rows + len(codes)
            begin = page[-1].number + 1
            progress((begin - first) / (last - first + 1))
        if not rows:
            raise InputError(str(path), "would be empty: no miner was read in these frames", "choose others")
    return frames, rows


class _Rows:
    """Rows of frames in order; remembers where miners are and which boots it has seen."""

    def __init__(self, log: FrameReader) -> None:
        self._log = log
        self._charter = b""
        self._devices: dict[str, str] = {}
        # In the order in which they came: numbers that are the same whenever the log is exported from the same frame.
        self._boots: dict[tuple[str, bytes], int] = {}

    def __call__(self, frames: Sequence[Frame]) -> tuple[Sequence[str], Values, dict[str, Values]]:
        """For each row the index of its miner among those returned first, and every other column."""
        names: dict[str, int] = {}
        codes, ticks, entries, steal, boot = [], [], [], [], []
        for frame in frames:
            if frame.charter != self._charter:
                self._charter, self._devices = frame.charter, {}
            devices = {entry.device: entry for entry in frame.devices}
            for entry in frame.miners:
                if entry.present:
                    device = devices[self._device_of(entry, frame)]
                    key = (device.device, device.boot)
                    codes.append(names.setdefault(entry.miner, len(names)))
                    ticks.append(frame.number)
                    entries.append(entry)
                    steal.append(device.steal_ns)
                    boot.append(self._boots.setdefault(key, len(self._boots) + 1))
        values: dict[str, Values] = {
            TICK.name: np.array(ticks, np.int64),
            USAGE.name: np.array([entry.usage_ns for entry in entries], np.int64),
            BEFORE.name: np.array([entry.before_ns for entry in entries], np.int64),
            AFTER.name: np.array([entry.after_ns for entry in entries], np.int64),
            ENTITLED.name: np.array([entry.entitled_ppm for entry in entries], np.int64) / PPM,
            STEAL.name: np.array(steal, np.int64),
            EPOCH.name: np.array([entry.epoch for entry in entries], np.int64),
            BOOT.name: np.array(boot, np.int64),
        }
        return tuple(names), np.array(codes, np.int64), values

    def _device_of(self, entry: MinerEntry, frame: Frame) -> str:
        if entry.miner not in self._devices:
            here = {device.device for device in frame.devices}
            for device, sample in self._log.samples(frame.number):
                if device in here:
                    self._devices |= {reading.miner: device for reading in sample.miners}
        try:
            return self._devices[entry.miner]
        except KeyError:
            what = f"frame {frame.number} names {entry.miner}, and no sample of it does"
            raise InputError("frame log", what, "export from a later frame (--from)") from None
