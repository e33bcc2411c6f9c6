"""A hold through Docker's API, for where the cgroup files are out of reach (a remote engine, no rights).

Slow (tens of milliseconds a reading, seconds with old engines), so its brackets are wide, and say so; it
counts the container, not a parent, so a restart begins a new epoch; and its quota is what Docker last set,
not what the kernel holds: another's write to the cgroup file is not seen.

Importing this module imports the docker package: 30 MiB that only those pay who ask an engine.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import docker
import requests
from docker.errors import DockerException
from docker.models.containers import Container

from mint.containers.model import DEFAULT_PERIOD_US, Counters, Quota
from mint.errors import ContainerError, MachineError

# Every way in which an engine can fail to answer.
DOCKER_FAILURES = (DockerException, requests.RequestException)
# The engine answers from memory; one that takes longer hangs. Starting many containers at once takes some
# seconds.
TIMEOUT_S = 30
DEFAULT_HOST = "unix:///var/run/docker.sock"

T = TypeVar("T")


class DockerHold:
    """One miner's container."""

    law = "kernel"

    def __init__(self, miner: str, container: Container) -> None:
        self.miner = miner
        self._container = container

    @property
    def epoch(self) -> int:
        """Identity of the counters: the container and when it was last started."""
        state = self._inspected()["State"]
        return int.from_bytes(
            hashlib.sha256(f"{self._container.id} {state['StartedAt']}".encode()).digest()[:7]
        )

    def counters(self) -> Counters:
        """One reading by the engine, somewhere within the bracket.

        Raises:
            ContainerError: the engine has none.
        """
        before = time.monotonic_ns()
        answer = self._asked(lambda: self._container.stats(stream=False, one_shot=True))
        after = time.monotonic_ns()
        stats = cast(dict[str, Any], answer)  # an iterator only if asked to stream
        cpu, memory = stats.get("cpu_stats", {}), stats.get("memory_stats", {})
        usage = int(cpu.get("cpu_usage", {}).get("total_usage", 0))
        if (
            usage == 0
        ):  # what an engine answers that has no reading (not running, or busy); no process has used nothing
            raise ContainerError(
                f"Docker has no reading of container {self._container.name} of miner {self.miner}"
            )
        throttling = cpu.get("throttling_data", {})
        disks = stats.get("blkio_stats", {}).get("io_service_bytes_recursive") or []
        return Counters(
            before_ns=before,
            after_ns=after,
            usage_ns=usage,
            nr_periods=int(throttling.get("periods", 0)),
            nr_throttled=int(throttling.get("throttled_periods", 0)),
            throttled_ns=int(throttling.get("throttled_time", 0)),
            memory_bytes=int(memory.get("usage", 0)),
            memory_limit_bytes=int(self._inspected()["HostConfig"].get("Memory", 0)),
            io_bytes=sum(int(d["value"]) for d in disks if d["op"].lower() in {"read", "write"}),
        )

    def quota(self) -> Quota:
        """What Docker last set."""
        config = self._inspected()["HostConfig"]
        period = config.get("CpuPeriod") or DEFAULT_PERIOD_US
        quota = config.get("CpuQuota") or 0
        if config.get("NanoCpus"):
            quota = config["NanoCpus"] * period // 1_000_000_000
        return Quota(quota if quota > 0 else None, period, 0, config.get("CpusetCpus") or "")

    def set_quota(self, quota: Quota) -> bool:
        """Update the container if Docker's word of it differs."""
        if quota.burst_us:
            raise ContainerError(f"miner {self.miner}: Docker's API cannot set a burst")
        drift = quota.drift(self.quota())
        if not drift:
            return False
        limit = -1 if quota.quota_us is None else quota.quota_us  # 0 would leave the old one
        wanted: dict[str, Any] = {"cpu_quota": limit, "cpu_period": quota.period_us}
        if "cpuset" in drift:
            wanted["cpuset_cpus"] = quota.cpuset
        self._asked(lambda: self._container.update(**wanted))
        return True

    def pids(self) -> tuple[int, ...]:
        """The container's first process, as the engine's host numbers it."""
        pid = self._inspected()["State"]["Pid"]
        return (pid,) if pid else ()

    def running(self) -> bool:
        """Whether it runs (a paused one does)."""
        return bool(self.pids())

    def freeze(self) -> None:
        """Pause it."""
        if not self.frozen():
            self._asked(self._container.pause)

    def thaw(self) -> None:
        """Let it go on."""
        if self.frozen():
            self._asked(self._container.unpause)

    def frozen(self) -> bool:
        """Whether it is paused."""
        return bool(self._inspected()["State"]["Paused"])

    def close(self) -> None:
        """The client belongs to whoever found the container."""

    def _inspected(self) -> dict[str, Any]:
        self._asked(self._container.reload)
        attrs: dict[str, Any] = self._container.attrs
        return attrs

    def _asked(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except DOCKER_FAILURES as error:
            reason = getattr(error, "explanation", None) or error
            raise ContainerError(
                f"Docker container {self._container.name} of miner {self.miner}: {reason}"
            ) from error


def connect() -> docker.DockerClient:
    """A client, to be closed, of the engine that the environment names (DOCKER_HOST, or the local socket).

    Raises:
        MachineError: there is none, or it does not answer.
    """
    mend = "see that dockerd runs and that you may use its socket"
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    if host.startswith("unix://"):  # the package leaves its socket open when nobody listens
        with socket.socket(socket.AF_UNIX) as trial:
            try:
                trial.connect(host.removeprefix("unix://"))
            except OSError as error:
                raise MachineError(f"no Docker engine listens ({error.strerror})", mend) from error
    client = None
    try:
        client = docker.DockerClient.from_env(timeout=TIMEOUT_S)
        client.ping()
    except DOCKER_FAILURES as error:
        if client is not None:
            client.close()
        raise MachineError(f"Docker does not answer ({error})", mend) from error
    return client
