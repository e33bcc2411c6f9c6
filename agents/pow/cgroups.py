"""Make and remove miners' parent cgroups: `mint/<scope>/<miner>` in every tree."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from mint.containers import files
from mint.containers.find import cgroup_hold
from mint.containers.hierarchy import CGROUPFS, Hierarchy, miner_path, scope_path
from mint.containers.model import Hold, Quota
from mint.errors import ContainerError, MachineError

V2_CONTROLLERS = ("cpu", "cpuset", "io", "memory")
# A killed process leaves its cgroup within milliseconds; under load some more. Then there is something else
# amiss.
REMOVE_WITHIN_S = 5.0
REMOVE_STEP_S = 0.02


def make(here: Hierarchy, scope: str, miner: str, quota: Quota, memory_limit_bytes: int) -> Hold:
    """The miner's parent cgroup, made if it is not there, with `quota` on it before anything runs in it.

    One that is there keeps the quota it has, if it has any.

    Raises:
        MachineError: it cannot be made here.
    """
    path = miner_path(CGROUPFS, scope, miner)
    hold = cgroup_hold(here, miner, path)
    try:
        for controller, root in here.mounts.items():
            try:
                _make_folders(root, path, controller)
            except (
                FileNotFoundError
            ):  # another scope's end has just removed the empty `mint` under it: once more
                _make_folders(root, path, controller)
        if hold.quota().quota_us is None:
            hold.set_quota(quota)
        _limit_memory(here, path, miner, memory_limit_bytes)
        _weigh(here, scope)
    except (OSError, ContainerError) as error:
        raise MachineError(
            f"the cgroup {path} cannot be made ({error})", "run as root, or with --runtime duty"
        ) from error
    return hold


def procs_files(here: Hierarchy, scope: str, miner: str) -> tuple[str, ...]:
    """The files that a process writes itself into to live in the miner's cgroup, in every tree of ours."""
    path = miner_path(CGROUPFS, scope, miner)
    return tuple(str(root / path / "cgroup.procs") for root in dict.fromkeys(here.mounts.values()))


def remove_scope(here: Hierarchy, scope: str) -> None:
    """Kill what runs in the scope's cgroups and remove them in all trees; what is gone is fine."""
    folders = [root / scope_path(CGROUPFS, scope) for root in here.every]
    deadline = time.monotonic() + REMOVE_WITHIN_S
    while any(folder.is_dir() for folder in folders) and time.monotonic() < deadline:
        thaw_scope(here, scope)
        for folder in folders:
            for pid in files.processes(folder):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            files.remove_tree(folder)
        if any(folder.is_dir() for folder in folders):
            time.sleep(REMOVE_STEP_S)
    for folder in folders:
        with contextlib.suppress(OSError):  # other scopes are still in there
            folder.parent.rmdir()


def thaw_scope(here: Hierarchy, scope: str) -> None:
    """Let everything of the scope go on: what is frozen by version 1 does not even die of SIGKILL."""
    for root in here.every:
        for state, thawed in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            for file in (root / scope_path(CGROUPFS, scope)).glob(f"*/{state}"):
                with contextlib.suppress(OSError):
                    file.write_text(thawed)


def _make_folders(root: Path, path: str, controller: str) -> None:
    folder = root
    for part in Path(path).parts:
        if controller == "":
            _delegate(folder)
        folder /= part
        folder.mkdir(exist_ok=True)
        if controller == "cpuset":  # in version 1 a new one is empty, and takes no process until it is not
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not (folder / name).read_text().strip():
                    (folder / name).write_text((folder.parent / name).read_text())


def _delegate(folder: Path) -> None:
    """Version 2: let the cgroups in `folder` have the controllers that it has itself."""
    has = files.read_text_or(folder / "cgroup.controllers", "").split()
    given = files.read_text_or(folder / "cgroup.subtree_control", "").split()
    if wanted := [f"+{name}" for name in V2_CONTROLLERS if name in has and name not in given]:
        (folder / "cgroup.subtree_control").write_text(" ".join(wanted))


def _weigh(here: Hierarchy, scope: str) -> None:
    """Give the folders above the miners the weight of all miners in them.

    Otherwise all of them together would count as one process against the rest of the machine, and on a busy one
    honest miners would not get what they are entitled to.
    """
    file, each, most = ("cpu.weight", 100, 10_000) if here.version == 2 else ("cpu.shares", 1024, 262_144)
    cpu = here.cpu
    if cpu is None:
        return
    scoped = cpu / scope_path(CGROUPFS, scope)
    for folder, below in ((scoped, "*/"), (scoped.parent, "*/*/")):
        if (folder / file).exists():
            weight = min(most, each * max(1, len(list(folder.glob(below)))))
            (folder / file).write_text(str(weight))


def _limit_memory(here: Hierarchy, path: str, miner: str, limit_bytes: int) -> None:
    root, name = here.mounts.get("memory"), "memory.limit_in_bytes"
    if here.version == 2:
        root, name = here.mounts[""], "memory.max"
    if root is not None and (root / path / name).exists():  # the memory controller may be off
        files.write_text(root / path / name, str(limit_bytes), miner)
