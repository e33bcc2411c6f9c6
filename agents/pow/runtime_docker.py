"""Miners as Docker containers, each in a parent cgroup that is made, with its quota, before the container is.

Importing this module imports the docker package.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Mount

from agents.pow import cgroups, work_folder
from agents.pow.image import build_image
from agents.pow.runtime import DOCKER, MEMORY_LIMIT_BYTES
from mint.containers import hierarchy
from mint.containers.docker_api import DOCKER_FAILURES
from mint.containers.find import MINER_LABEL, SCOPE_LABEL, cgroup_hold
from mint.containers.hierarchy import CGROUPFS, SYSTEMD, Hierarchy
from mint.containers.model import Hold, Quota
from mint.errors import ContainerError, MachineError

# The miner is one process; the rest is for what the engine starts beside it.
PIDS_LIMIT = 16
# One line a block; what is older than a megabyte is of no use to anybody.
LOG = LogConfig(type=LogConfig.types.JSON, config={"max-size": "1m", "max-file": "1"})
# A miner that fails ten times in a row is broken; Docker waits longer each time.
RESTARTS = {"Name": "on-failure", "MaximumRetryCount": 10}
# The engine removes some ten containers a second, whoever many ask at once.
THREADS = 8
SYSTEMCTL_TIMEOUT_S = 10


class DockerRuntime:
    """See Runtime. Needs an engine on this machine and writable cgroup files; closes `client`."""

    name = DOCKER

    def __init__(
        self,
        scope: str,
        here: Hierarchy,
        client: docker.DockerClient,
        program: Path,
        exchange: Path | None,
        *,
        options: Sequence[str] = (),
    ) -> None:
        """`program`: the compiled miner; `options`: what else it is started with."""
        self._program_options = tuple(options)
        self._scope, self._here, self._client, self._exchange = scope, here, client, exchange
        self.digest = build_image(client, program)
        self._driver = str(client.info().get("CgroupDriver", CGROUPFS))
        self._holds: dict[str, Hold] = {}

    def start(self, miner: str, quota: Quota) -> None:
        """See Runtime."""
        try:
            container = self._container(miner)
            if container is not None and not self._is_as_wanted(container, miner):
                self.stop(
                    miner
                )  # an earlier run left it: of another image, or without the work that there is now
                container = None
            if container is not None and container.status in {"running", "paused", "restarting"}:
                return
            self._prepare(miner, quota)
            if container is None:
                self._client.containers.run(self.digest, self._command(miner), **self._options(miner))
            else:
                container.start()
        except DOCKER_FAILURES as error:
            reason = getattr(error, "explanation", None) or error
            raise MachineError(
                f"Docker could not start miner {miner} ({reason})", "see dockerd's log"
            ) from error

    def stop(self, miner: str) -> None:
        """See Runtime."""
        with contextlib.suppress(ContainerError):
            self.hold(miner).thaw()  # a frozen process dies of nothing, and Docker would wait for it
        try:
            container = self._container(miner)
            if container is not None:
                container.remove(force=True)
        except NotFound:
            pass
        except DOCKER_FAILURES as error:
            raise MachineError(
                f"Docker could not stop miner {miner} ({error})", "see dockerd's log"
            ) from error

    def running(self, miner: str) -> bool:
        """See Runtime."""
        return self.hold(miner).running()

    def hold(self, miner: str) -> Hold:
        """See Runtime."""
        path = hierarchy.miner_path(self._driver, self._scope, miner)
        return self._holds.setdefault(miner, cgroup_hold(self._here, miner, path))

    def sweep(self) -> None:
        """See Runtime."""
        cgroups.thaw_scope(self._here, self._scope)
        with contextlib.suppress(*DOCKER_FAILURES):
            containers = self._client.containers.list(
                all=True, filters={"label": f"{SCOPE_LABEL}={self._scope}"}, ignore_removed=True
            )
            with ThreadPoolExecutor(THREADS) as threads:
                list(threads.map(_remove, containers))
        if self._driver == SYSTEMD:
            unit = hierarchy.scope_path(SYSTEMD, self._scope).rpartition("/")[2]
            with contextlib.suppress(MachineError):
                _systemctl("stop", unit)  # and with it every slice below
        cgroups.remove_scope(self._here, self._scope)

    def close(self) -> None:
        """See Runtime. The image stays, for the next run."""
        for hold in self._holds.values():
            hold.close()
        self.sweep()
        self._client.close()

    def _container(self, miner: str) -> Container | None:
        try:
            return self._client.containers.get(self._name(miner))
        except NotFound:
            return None

    def _is_as_wanted(self, container: Container, miner: str) -> bool:
        attrs = container.attrs
        mounted = [mount["Source"] for mount in attrs["Mounts"]]
        wanted = [] if self._exchange is None else [str(self._exchange / miner)]
        ran = (attrs["Image"], attrs["Config"]["Cmd"], mounted)
        return bool(ran == (self.digest, self._command(miner), wanted))

    def _command(self, miner: str) -> list[str]:
        work = [] if self._exchange is None else ["--work", f"{work_folder.MOUNTED}/{work_folder.SOCKET}"]
        return ["--miner", miner, *work, *self._program_options]

    def _mounts(self, miner: str) -> list[Mount]:
        """The folder in which the miner's work is, and of all folders this one alone; it may connect, not write."""
        if self._exchange is None:
            return []
        folder = work_folder.make_folder(self._exchange, miner)
        return [Mount(work_folder.MOUNTED, str(folder), type="bind", read_only=True)]

    def _name(self, miner: str) -> str:
        return f"mint-{self._scope}-{miner}"

    def _prepare(self, miner: str, quota: Quota) -> None:
        if self._driver != SYSTEMD:
            cgroups.make(self._here, self._scope, miner, quota, MEMORY_LIMIT_BYTES)
            return
        if self._here.cpu and (self._here.cpu / hierarchy.miner_path(SYSTEMD, self._scope, miner)).is_dir():
            return
        # systemd makes the slice when the container starts, and would not keep what was written to its
        # files before.
        limit = "infinity" if quota.quota_us is None else f"{quota.quota_us * 100 / quota.period_us:.4f}%"
        unit = hierarchy.docker_parent(SYSTEMD, self._scope, miner)
        period = f"CPUQuotaPeriodSec={quota.period_us}us"
        memory = f"MemoryMax={MEMORY_LIMIT_BYTES}"
        _systemctl("set-property", "--runtime", unit, f"CPUQuota={limit}", period, memory)

    def _options(self, miner: str) -> dict[str, Any]:
        return {
            "name": self._name(miner),
            "labels": {MINER_LABEL: miner, SCOPE_LABEL: self._scope},
            "cgroup_parent": hierarchy.docker_parent(self._driver, self._scope, miner),
            "network_mode": "none",
            "read_only": True,
            "cap_drop": ["ALL"],
            "mounts": self._mounts(miner),
            "security_opt": ["no-new-privileges"],
            "pids_limit": PIDS_LIMIT,
            "mem_limit": MEMORY_LIMIT_BYTES,
            "log_config": LOG,
            "restart_policy": RESTARTS,
            "detach": True,
        }


def _remove(container: Container) -> None:
    with contextlib.suppress(*DOCKER_FAILURES):
        container.remove(force=True)


def _systemctl(*arguments: str) -> None:
    try:
        subprocess.run(
            ["systemctl", *arguments], check=True, capture_output=True, text=True, timeout=SYSTEMCTL_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise MachineError(
            f"systemctl {arguments[0]} failed ({reason})", "run as root under systemd"
        ) from error
