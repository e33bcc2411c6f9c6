"""Hands on the miners of this device: find their holds, look at them, take the steps of a plan.

Miners in cgroup files or under a duty cycle take some hundred microseconds and are handled where we are. Those
that only Docker's API reaches take up to seconds, and the engine may hang for half a minute, so that happens one
after the other in daemon threads, which hold up neither the other miners nor our end.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from enforcer.handling import see, take
from enforcer.reconcile import Seen, Step, Wish
from mint.boot import boot_id
from mint.bus.quiet import Quiet
from mint.containers.cgroup_v1 import HoldV1
from mint.containers.cgroup_v2 import HoldV2
from mint.containers.duty import DutyHold
from mint.containers.find import docker_client, find_docker, find_files
from mint.containers.model import Hold
from mint.errors import MachineError

if TYPE_CHECKING:
    from docker import DockerClient

T = TypeVar("T")

# Listing folders takes under a millisecond, listing containers some tens.
FILES_EVERY_NS = 5_000_000_000
DOCKER_EVERY_NS = 30_000_000_000


class Hands:
    """The holds of one scope; at most one for each of the charter's miners is used."""

    def __init__(
        self, scope: str, cgroup_root: Path, duty_dir: Path | None, *, docker: bool, quiet: Quiet
    ) -> None:
        self._scope, self._cgroup_root, self._duty_dir, self._docker = scope, cgroup_root, duty_dir, docker
        self._quiet = quiet
        self._boot = boot_id()
        self._files: dict[str, Hold] = {}
        self._containers: dict[str, Hold] = {}
        self._listed_ns = self._asked_ns = -DOCKER_EVERY_NS
        self._client: DockerClient | None = None
        self._engine = asyncio.Lock()

    def hold(self, miner: str) -> Hold | None:
        """The hold on a miner, if it was found."""
        return self._files.get(miner) or self._containers.get(miner)

    def find(self, wanted: Iterable[str], *, now: bool = False) -> None:
        """Look for holds in the files every few seconds, and at once where `now` and one is missing."""
        missing = now and any(self.hold(miner) is None for miner in wanted)
        if missing or time.monotonic_ns() - self._listed_ns >= FILES_EVERY_NS:
            self._listed_ns = time.monotonic_ns()
            try:
                found = find_files(
                    self._scope, cgroup_root=self._cgroup_root, duty_dir=self._duty_dir, known=self._files
                )
            except OSError as error:  # a folder that went away while it was listed
                self._quiet.warning("find", f"miners cannot be listed: {error}")
                return
            for miner, hold in self._files.items():
                if found.get(miner) is not hold:
                    hold.close()
            self._files = found

    async def find_containers(self) -> None:
        """Ask Docker every half minute, if it is to be asked."""
        if not self._docker or time.monotonic_ns() - self._asked_ns < DOCKER_EVERY_NS:
            return
        self._asked_ns = time.monotonic_ns()
        try:
            async with self._engine:
                if self._client is None:
                    self._client = await _in_thread(docker_client)
                client = self._client
                self._containers = await _in_thread(
                    lambda: find_docker(self._scope, client, cgroup_root=self._cgroup_root)
                )
            self._quiet.forget("docker")
        except MachineError as error:
            self._quiet.warning("docker", f"containers cannot be listed: {error}")
            self._disconnect()

    def look_again(self) -> None:
        """A miner could not be handled: its container may be another one by now."""
        self._listed_ns = self._asked_ns = -DOCKER_EVERY_NS

    async def see(self, hold: Hold, *, books: bool) -> Seen:
        """Look at a miner, at its counter too where `books`.

        Raises:
            ContainerError: it is gone.
        """
        return await self._on(hold, lambda: see(hold, self._boot, books=books))

    async def act(self, hold: Hold, wish: Wish, steps: Iterable[Step]) -> Seen:
        """Take the steps, and see what came of it.

        Raises:
            ContainerError: one could not be taken; those before it were.
        """
        return await self._on(hold, lambda: self._act(hold, wish, steps))

    def close(self) -> None:
        """Let go of everything; what was set stays set."""
        for hold in (*self._files.values(), *self._containers.values()):
            hold.close()
        self._disconnect()

    def _act(self, hold: Hold, wish: Wish, steps: Iterable[Step]) -> Seen:
        for step in steps:
            take(hold, step, wish)
        return see(hold, self._boot, books=True)

    async def _on(self, hold: Hold, work: Callable[[], T]) -> T:
        if is_quick(hold):
            return work()
        async with self._engine:
            return await _in_thread(work)

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def is_quick(hold: Hold) -> bool:
    """Whether handling it takes microseconds."""
    return isinstance(hold, HoldV1 | HoldV2 | DutyHold)


async def _in_thread(work: Callable[[], T]) -> T:
    """`work()` in a daemon thread: unlike asyncio's own threads, nobody waits for it at the end."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: Exception | None) -> None:
        if result.cancelled():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type] # a value where there is no error

    def run() -> None:
        value, failed = None, None
        try:
            value = work()
        except Exception as error:  # whatever it is belongs to who waits
            failed = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, value, failed)

    threading.Thread(target=run, name="enforcer hands", daemon=True).start()
    return await result
