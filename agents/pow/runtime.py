"""How miners run on this machine: in Docker, as processes in cgroups of their own, or under a duty cycle.

One interface, three runtimes; `choose` picks the best that works here and says why the better ones do not.
"""

from __future__ import annotations

from typing import Protocol

from mint.containers.model import Hold, Quota

DOCKER, CGROUP, DUTY = "docker", "cgroup", "duty"
# A page or two of the miner's own and the kernel's accounting; runc needs some 10 MiB while it starts one.
MEMORY_LIMIT_BYTES = 32 * 1024 * 1024


class Runtime(Protocol):
    """Starts and ends the miners of one scope.

    Methods block (Docker: up to seconds) and may be called from any thread.
    """

    @property
    def name(self) -> str:
        """One of "docker", "cgroup" and "duty"."""

    @property
    def digest(self) -> str:
        """What the miners run: "sha256:" and the hash of the image or of the program."""

    def start(self, miner: str, quota: Quota) -> None:
        """Run `miner`, under `quota` the first time; nothing happens if it runs already.

        A miner that ran before keeps the quota that its hold has: it may be serving a penalty.

        Raises:
            MachineError: it cannot be started here.
        """

    def stop(self, miner: str) -> None:
        """End the miner's process or container; its hold, and with it the counters, stay."""

    def running(self, miner: str) -> bool:
        """Whether the miner's process is there."""

    def hold(self, miner: str) -> Hold:
        """The miner's hold (the same object each time)."""

    def sweep(self) -> None:
        """Remove what an earlier, killed run of this scope left; to be called before the first start."""

    def close(self) -> None:
        """End and remove everything of this scope: processes, containers, cgroups. What is gone is fine."""
