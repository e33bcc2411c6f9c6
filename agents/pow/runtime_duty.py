"""Miners as plain processes under a duty cycle: no root, no cgroups; soft, see duty_limiter.py."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from agents.pow.build import Program
from agents.pow.duty_limiter import RUN
from agents.pow.runtime import DUTY
from agents.pow.work_folder import make_folder
from mint.containers.duty import FROZEN, QUOTA, DutyHold, read_usage
from mint.containers.model import Hold, Quota
from mint.errors import MachineError

# The limiter looks at the folders ten times a second; starting it takes a Python start.
WITHIN_S = 10.0
STEP_S = 0.01


class DutyRuntime:
    """See Runtime. `duty_dir` is this scope's alone: sweep and close empty it."""

    name = DUTY

    def __init__(self, duty_dir: Path, program: Program, exchange: Path | None) -> None:
        self.digest = program.digest
        self.duty_dir = duty_dir
        self._program, self._exchange = program, exchange
        self._limiter: subprocess.Popen[bytes] | None = None
        self._holds: dict[str, DutyHold] = {}
        self._lock = threading.Lock()

    def start(self, miner: str, quota: Quota) -> None:
        """See Runtime."""
        with self._lock:
            if self._limiter is None or self._limiter.poll() is not None:
                self.duty_dir.mkdir(parents=True, exist_ok=True)
                self._limiter = self._start_limiter()
            if not self.running(miner):
                folder = self.duty_dir / miner
                folder.mkdir(exist_ok=True)
                if self._exchange is not None:
                    make_folder(self._exchange, miner)
                if not (folder / QUOTA).exists():
                    self._hold(miner).set_quota(quota)
                (folder / FROZEN).unlink(missing_ok=True)
                (folder / RUN).touch()
        self._wait(miner, running=True)

    def stop(self, miner: str) -> None:
        """See Runtime."""
        (self.duty_dir / miner / RUN).unlink(missing_ok=True)
        if self._limiter is not None and self._limiter.poll() is None:
            self._wait(miner, running=False)

    def running(self, miner: str) -> bool:
        """See Runtime."""
        limited = self._limiter is not None and self._limiter.poll() is None
        return limited and (self.duty_dir / miner / RUN).exists() and self._hold(miner).running()

    def hold(self, miner: str) -> Hold:
        """See Runtime."""
        return self._hold(miner)

    def sweep(self) -> None:
        """See Runtime. The processes of an earlier run ended with it; its counters and quotas go here."""
        for folder in self.duty_dir.iterdir() if self.duty_dir.is_dir() else ():
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """See Runtime."""
        if self._limiter is not None:
            self._limiter.terminate()
            try:
                self._limiter.wait(WITHIN_S)
            except subprocess.TimeoutExpired:
                self._limiter.kill()  # its processes end with it
                self._limiter.wait()
            self._limiter = None
        self.sweep()
        with contextlib.suppress(OSError):
            self.duty_dir.rmdir()

    def _hold(self, miner: str) -> DutyHold:
        return self._holds.setdefault(miner, DutyHold(miner, self.duty_dir / miner))

    def _start_limiter(self) -> subprocess.Popen[bytes]:
        limiter = [
            sys.executable,
            "-m",
            "agents.pow.duty_limiter",
            str(self.duty_dir),
            "--parent",
            str(os.getpid()),
        ]
        if self._exchange is not None:
            limiter += ["--exchange", str(self._exchange)]
        return subprocess.Popen([*limiter, "--", *self._program.argv], stdin=subprocess.DEVNULL)

    def _wait(self, miner: str, *, running: bool) -> None:
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            usage = read_usage(self.duty_dir / miner)
            if usage is not None and bool(usage.pid) == running and self._hold(miner).running() == running:
                return
            if self._limiter is None or self._limiter.poll() is not None:
                break
            time.sleep(STEP_S)
        what = "started" if running else "ended"
        raise MachineError(f"miner {miner} was not {what} by its limiter", f"see what is in {self.duty_dir}")
