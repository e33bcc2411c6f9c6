"""Child processes that are kept running: started again when they die, ended when we end, whatever happens to us."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
# A component stores before it tells, so it can be ended at any time; this is for its last words.
STOP_S = 5.0
# Started again at once the first time, then slower: a component that cannot start must not eat the machine.
BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
# It ran well when it ran this long; the next death starts the backoff anew.
STEADY_S = 10.0
# A component's own words are a few lines a minute; past this the older half goes.
MAX_LOG_BYTES = 4 << 20

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Between fork and exec: ask the kernel for SIGKILL when our parent dies (prctl(2))."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """One kept process."""

    def __init__(self, name: str, command: Sequence[str], log: Path, say: Callable[[str], None]) -> None:
        self.name, self.command, self.log = name, tuple(command), log
        self.starts = 0
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        """Start it and keep it running."""
        self._task = asyncio.create_task(self._keep(), name=self.name)

    async def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL when that is not enough."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _keep(self) -> None:
        loop, deaths = asyncio.get_running_loop(), 0
        while True:
            since = loop.time()
            try:
                await self._spawn()
            except OSError as error:  # no process or no file to be had now
                how = str(error)
            else:
                process = self._process
                assert process is not None  # noqa: S101 (just spawned; this tells the type checker)
                code = await process.wait()
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            if loop.time() - since >= STEADY_S:
                deaths = 0
            wait_s = BACKOFF_S[min(deaths, len(BACKOFF_S) - 1)]
            deaths += 1
            with suppress(
                OSError
            ):  # nobody listens any more (a closed pipe): it is kept running all the same
                self._say(
                    f"{self.name} ended ({how}), starting it again in {wait_s:g} s; its words: {self.log}"
                )
            await asyncio.sleep(wait_s)

    async def _spawn(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".old"))
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who end it in order
                preexec_fn=die_with_parent,
            )
        self.starts += 1


def component(command: str, *options: str) -> list[str]:
    """The command line of one of our own components, on the Python that runs us."""
    return [sys.executable, "-m", "network.main", command, *options]


def lying(miner: str, *options: str) -> list[str]:
    """The command line of an agent that tells too little of `miner` (lying_agent.py)."""
    return [sys.executable, "-m", "network.lying_agent", miner, "--", *options]


def environment_is_quiet() -> None:
    """Numerical libraries in one thread a process: the arrays here are small, and the cores are the miners'."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
