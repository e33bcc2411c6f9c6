"""Hold processes to a share of CPU without any right: stop and continue them (SIGSTOP, SIGCONT).

    python -m agents.pow.duty_limiter DUTY_DIR --parent PID [--exchange DIR] -- MINER-PROGRAM ...

One limiter serves all miners of a scope: for each folder in DUTY_DIR that has a file `run` it keeps one
process (`PROGRAM --miner <name>`, with `--work` where the agent listens in DIR), and reads and writes the
other files there as `mint/containers/duty.py` says. It looks at files once a period, so whoever wants
something of it writes a file. It ends when its parent ends, and all processes with it (the kernel sees to
that even when it is killed).

Use is read from each process's CPU clock: nanoseconds, all threads, without waiting for a timer tick. What a
process took beyond its share before it was stopped is a debt that it waits off.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from agents.pow.work_folder import options
from mint.containers.duty import FROZEN, QUOTA, Usage, parse_quota, read_usage, write_usage
from mint.containers.model import DEFAULT_PERIOD_US, MIN_QUOTA_US, Quota
from mint.names import is_name

RUN = "run"
NS_PER_US = 1000
# Looked at no more often than this: a look costs some 20 us, and an overrun is paid back anyway.
LEAST_WAIT_NS = 2_000_000
# A process that ends at once (a broken program) is started again this often, not in a busy loop.
RESTART_AFTER_NS = 1_000_000_000
# Memory and I/O change slowly and cost two more files to read: every tenth period.
SLOW_EVERY = 10
# Below others, so that the limiter comes to its turn when there is more work than processors.
MINER_NICENESS = 10
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Bucket:
    """What a process may use: filled once a period, never above one period's quota.

    Below zero is debt, to be paid before anything else.
    """

    credit_ns: int = 0

    def fill(self, periods: int, quota_ns: int) -> None:
        """So many periods have begun."""
        self.credit_ns = min(self.credit_ns + periods * quota_ns, quota_ns)

    def spend(self, used_ns: int) -> None:
        """It has used so much."""
        self.credit_ns -= used_ns


@dataclass(frozen=True, slots=True)
class Command:
    """What a miner's process is: the program, and the exchange of work, if there is one."""

    program: tuple[str, ...]
    exchange: Path | None

    def of(self, miner: str) -> list[str]:
        """The command line of `miner`, who ends with this process."""
        return [*self.program, "--miner", miner, "--parent", str(os.getpid()), *options(self.exchange, miner)]


class Limited:
    """One miner: its folder, its process, its bucket."""

    def __init__(self, folder: Path, command: Command, now: int, phase_ns: int) -> None:
        self.folder = folder
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._bucket = Bucket()
        self._quota = Quota(MIN_QUOTA_US)
        self._clock_seen = 0  # the process's CPU clock at the last look
        self._stopped_at = 0  # 0: not stopped
        self._period_begin = now - phase_ns  # phases spread the miners' work over the period
        self._not_before = 0
        self._frozen = False
        # Cumulative since the folder was made, also by earlier limiters; `_kept` is written once a period.
        self._kept = read_usage(folder) or Usage(secrets.randbits(62) + 1, 0, now, now, 0, 0, 0, 0, 0, 0)
        self._before = self._after = now
        self._used_ns, self._throttled_ns = self._kept.usage_ns, self._kept.throttled_ns
        self._nr_periods, self._nr_throttled = self._kept.nr_periods, self._kept.nr_throttled
        self._memory, self._io = 0, self._kept.io_bytes
        self._io_before = self._io  # of earlier processes
        self._read_quota()

    def step(self, now: int) -> int:
        """Do what is due; returns when to be called again (monotonic nanoseconds)."""
        self._read_clock()
        periods = (now - self._period_begin) // (self._quota.period_us * NS_PER_US)
        if periods > 0:
            self._period_begin += periods * self._quota.period_us * NS_PER_US
            self._begin_period(periods, now)
        end = self._period_begin + self._quota.period_us * NS_PER_US
        if self._process is None:
            return end
        unlimited = self._quota.quota_us is None
        if (self._bucket.credit_ns <= 0 and not unlimited) or self._frozen:
            self._stop(now)
            return end
        self._go_on(now)
        return end if unlimited else min(end, now + max(self._bucket.credit_ns, LEAST_WAIT_NS))

    def end(self) -> None:
        """Kill the process and keep what it used."""
        if self._process is not None:
            self._process.kill()  # a stopped process dies of it too
            self._read_clock()
            self._process.wait()
            self._process = None
        self._keep()

    def _supervise(self, now: int) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._process, self._not_before = None, now + RESTART_AFTER_NS
        if self._process is None and now >= self._not_before:
            nothing = subprocess.DEVNULL
            argv = self._command.of(self.folder.name)
            self._process = subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=nothing)
            os.setpriority(os.PRIO_PROCESS, self._process.pid, MINER_NICENESS)
            self._clock_seen, self._stopped_at, self._io_before = 0, 0, self._io

    def _read_clock(self) -> None:
        used = self._clock_seen
        self._before = time.monotonic_ns()
        if self._process is not None:
            with contextlib.suppress(OSError):  # it has just ended: what it used since the last look is lost
                used = time.clock_gettime_ns(cpu_clock(self._process.pid))
        self._after = time.monotonic_ns()
        self._bucket.spend(used - self._clock_seen)
        self._used_ns += used - self._clock_seen
        self._clock_seen = used

    def _begin_period(self, periods: int, now: int) -> None:
        self._supervise(now)
        self._read_quota()
        self._frozen = (self.folder / FROZEN).exists()
        if self._quota.quota_us is None:
            self._bucket.credit_ns = 0
        else:
            self._bucket.fill(periods, self._quota.quota_us * NS_PER_US)
        self._nr_periods += periods
        if self._process is not None and self._nr_periods % SLOW_EVERY < periods:
            self._memory, read_written = memory_and_io(self._process.pid)
            self._io = max(self._io, self._io_before + read_written)
        self._keep()

    def _keep(self) -> None:
        self._kept = Usage(
            epoch=self._kept.epoch,
            pid=self._process.pid if self._process is not None else 0,
            before_ns=self._before,
            after_ns=self._after,
            usage_ns=self._used_ns,
            nr_periods=self._nr_periods,
            nr_throttled=self._nr_throttled,
            throttled_ns=self._throttled_ns,
            memory_bytes=self._memory if self._process is not None else 0,
            io_bytes=self._io,
        )
        with contextlib.suppress(FileNotFoundError):  # the folder was removed
            write_usage(self.folder, self._kept)

    def _read_quota(self) -> None:
        # What cannot be read as a quota leaves the last one in force.
        with contextlib.suppress(OSError, ValueError):
            self._quota = parse_quota((self.folder / QUOTA).read_text())

    def _stop(self, now: int) -> None:
        if not self._stopped_at and self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            self._stopped_at = now
            self._nr_throttled += 1

    def _go_on(self, now: int) -> None:
        if self._stopped_at and self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._throttled_ns += now - self._stopped_at
            self._stopped_at = 0


def cpu_clock(pid: int) -> int:
    """The clock id of a process's CPU time, all threads (what clock_getcpuclockid(3) gives)."""
    return (~pid << 3) | 2


def memory_and_io(pid: int) -> tuple[int, int]:
    """A process's resident memory, and what it has read and written on disks, in bytes; zeros where it is gone."""
    try:
        memory = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
        lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    except (OSError, ValueError):
        return 0, 0
    return memory, int(lines.get("read_bytes", 0)) + int(lines.get("write_bytes", 0))


def serve(duty_dir: Path, command: Command, parent: int) -> None:
    """Keep all miners of a folder to their shares until the parent ends or SIGTERM comes."""
    asked_to_end: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        asked_to_end.append(number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    miners: dict[str, Limited] = {}
    due: dict[str, int] = {}
    look_at = 0
    try:
        while not asked_to_end and os.getppid() == parent:
            now = time.monotonic_ns()
            if now >= look_at:
                look_at = now + DEFAULT_PERIOD_US * NS_PER_US
                _look(duty_dir, command, miners, due, now)
            for name, when in due.items():
                if when <= now:
                    due[name] = miners[name].step(time.monotonic_ns())
            wait_ns = min([look_at, *due.values()]) - time.monotonic_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / 1e9)
    finally:
        for limited in miners.values():
            limited.end()


def _look(
    duty_dir: Path, command: Command, miners: dict[str, Limited], due: dict[str, int], now: int
) -> None:
    """Take up the folders that have a `run` file, drop those that have none any more."""
    wanted = {f.name for f in duty_dir.iterdir() if is_name(f.name) and (f / RUN).exists()}
    for name in miners.keys() - wanted:
        miners.pop(name).end()
        del due[name]
    for name in sorted(wanted - miners.keys()):
        # Multiples of the golden ratio spread any number of phases evenly.
        phase = len(miners) * 618 % 1000 * DEFAULT_PERIOD_US * NS_PER_US // 1000
        miners[name] = Limited(duty_dir / name, command, now, phase)
        due[name] = now


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(
        description="holds miners to their shares by stopping and continuing them"
    )
    parser.add_argument("duty_dir", type=Path, metavar="DUTY_DIR")
    parser.add_argument("--parent", type=int, required=True, metavar="PID")
    parser.add_argument("--exchange", type=Path, metavar="DIR")
    parser.add_argument("program", nargs="+", metavar="PROGRAM")
    given = parser.parse_args()
    serve(given.duty_dir, Command(tuple(given.program), given.exchange), given.parent)


if __name__ == "__main__":
    main()
