"""A hold on a process that no cgroup limits: a duty-cycle limiter stops and continues it.

The limiter (`agents/pow/duty_limiter.py`) and the hold meet in a folder a miner, `<duty_dir>/<miner>/`:

- `quota`: "6000 100000" (microseconds a period, or "max"); whoever may write it sets it
- `frozen`: exists while the miner is to be paused
- `usage`: what the limiter last read, one line of JSON, written anew once a period; cumulative over
restarts
  of the process and of the limiter, with the limiter's own times, so that the bracket stays honest
"""

from __future__ import annotations

import json
import os
import time
import zlib
from dataclasses import dataclass, fields
from pathlib import Path

from mint.containers import files
from mint.containers.model import DEFAULT_PERIOD_US, Counters, Quota
from mint.errors import ContainerError

QUOTA, FROZEN, USAGE = "quota", "frozen", "usage"
# The limiter writes ten times a second; after this long it is no longer there, and old numbers would mislead.
STALE_NS = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What the limiter keeps of one miner; units as in Counters. `pid` 0: no process. `epoch`: see Hold."""

    epoch: int
    pid: int
    before_ns: int
    after_ns: int
    usage_ns: int
    nr_periods: int
    nr_throttled: int
    throttled_ns: int
    memory_bytes: int
    io_bytes: int


FIELDS = tuple(field.name for field in fields(Usage))
USAGE_BYTES = (
    512  # of ten numbers of up to 20 digits with their names; one length, so that a file is never cut
)
READ_TRIES = 5


def read_usage(folder: Path) -> Usage | None:
    """The last reading, or None where there is none that can be read."""
    for _ in range(READ_TRIES):  # a reader may come in the middle of a write
        try:
            text, _, check = (folder / USAGE).read_bytes().rpartition(b" ")
            if int(check) == zlib.crc32(text):
                return Usage(**json.loads(text))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError):
            continue
    return None


def write_usage(folder: Path, usage: Usage) -> None:
    """Write the reading over the last one, with a check sum against half-written ones.

    Not by renaming: that makes file systems write to the disk at once, 4 ms ten times a second for every miner.

    Raises:
        FileNotFoundError: the folder is gone.
    """
    text = json.dumps({name: getattr(usage, name) for name in FIELDS}).encode()
    check = b" %010d" % zlib.crc32(text.ljust(USAGE_BYTES - 11))
    fd = os.open(folder / USAGE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(fd, text.ljust(USAGE_BYTES - 11) + check, 0)
    finally:
        os.close(fd)


def format_quota(quota: Quota) -> str:
    """The quota file's content."""
    return f"{'max' if quota.quota_us is None else quota.quota_us} {quota.period_us}\n"


def parse_quota(text: str) -> Quota:
    """The quota that a file holds.

    Raises:
        ValueError: it holds none.
    """
    limit, _, period = text.strip().partition(" ")
    quota = Quota(None if limit == "max" else int(limit), int(period or DEFAULT_PERIOD_US))
    if quota.period_us <= 0 or (quota.quota_us is not None and quota.quota_us <= 0):
        raise ValueError(text)
    return quota


class DutyHold:
    """One miner's folder. A reading is up to a period old (0.1 s), as its bracket says."""

    law = "soft"

    def __init__(self, miner: str, folder: Path) -> None:
        self.miner = miner
        self.folder = folder

    @property
    def epoch(self) -> int:
        """Identity of the counters: a number that the limiter drew when it began them."""
        return self._usage().epoch

    def counters(self) -> Counters:
        """The limiter's last reading, bracketed by the limiter's own times of it."""
        usage = self._usage()
        if abs(time.monotonic_ns() - usage.after_ns) > STALE_NS:  # below zero: from before a reboot
            raise ContainerError(
                f"{self.folder / USAGE} of miner {self.miner} is old: its limiter no longer runs"
            )
        return Counters(
            before_ns=usage.before_ns,
            after_ns=usage.after_ns,
            usage_ns=usage.usage_ns,
            nr_periods=usage.nr_periods,
            nr_throttled=usage.nr_throttled,
            throttled_ns=usage.throttled_ns,
            memory_bytes=usage.memory_bytes,
            memory_limit_bytes=0,
            io_bytes=usage.io_bytes,
        )

    def quota(self) -> Quota:
        """What the quota file holds now."""
        text = files.read_text(self.folder / QUOTA, self.miner)
        try:
            return parse_quota(text)
        except ValueError as error:
            raise ContainerError(
                f"{self.folder / QUOTA} of miner {self.miner} holds {text!r}, no quota"
            ) from error

    def set_quota(self, quota: Quota) -> bool:
        """Write the quota file if it differs; there is no burst and no cpuset here."""
        if quota.burst_us or quota.cpuset:
            raise ContainerError(f"miner {self.miner}: a duty cycle knows neither burst nor cpuset")
        try:
            if not quota.drift(self.quota()):
                return False
        except ContainerError:  # whatever is there instead of a quota is overwritten
            pass
        whole = self.folder / f".{QUOTA}"
        files.write_text(whole, format_quota(quota), self.miner)
        whole.replace(self.folder / QUOTA)
        return True

    def pids(self) -> tuple[int, ...]:
        """The miner's process, if it runs."""
        usage = read_usage(self.folder)
        return (usage.pid,) if usage and usage.pid and Path(f"/proc/{usage.pid}").exists() else ()

    def running(self) -> bool:
        """Whether it runs."""
        return bool(self.pids())

    def freeze(self) -> None:
        """Have it paused from the limiter's next period on."""
        files.write_text(self.folder / FROZEN, "", self.miner)

    def thaw(self) -> None:
        """Have it go on."""
        (self.folder / FROZEN).unlink(missing_ok=True)

    def frozen(self) -> bool:
        """Whether it is paused, or about to be."""
        return (self.folder / FROZEN).exists()

    def close(self) -> None:
        """Nothing is kept open."""

    def _usage(self) -> Usage:
        usage = read_usage(self.folder)
        if usage is None:
            raise ContainerError(f"{self.folder / USAGE} of miner {self.miner} cannot be read")
        return usage
