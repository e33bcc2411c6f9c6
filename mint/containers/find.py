"""Find every miner on this device.

`find_files` lists folders, cheap enough for every few seconds; `find_docker` asks the engine, which costs
some ten milliseconds and is for every half minute or so. A miner that both see is the files' (its parent
cgroup).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mint.containers import hierarchy as trees
from mint.containers.cgroup_v1 import HoldV1
from mint.containers.cgroup_v2 import HoldV2
from mint.containers.duty import DutyHold
from mint.containers.files import read_text_or
from mint.containers.hierarchy import CGROUP_ROOT, CGROUPFS, SYSTEMD, Hierarchy
from mint.containers.model import Hold
from mint.errors import MachineError
from mint.names import is_name

if TYPE_CHECKING:
    from types import ModuleType

    from docker import DockerClient

MINER_LABEL, SCOPE_LABEL = "mint.miner", "mint.scope"


def find(
    scope: str,
    *,
    cgroup_root: Path = CGROUP_ROOT,
    duty_dir: Path | None = None,
    client: DockerClient | None = None,
) -> dict[str, Hold]:
    """All miners of `scope` on this device, by name; `client` (see `docker_client`) to ask Docker as well."""
    found = find_files(scope, cgroup_root=cgroup_root, duty_dir=duty_dir)
    return find_docker(scope, client, cgroup_root=cgroup_root) | found if client else found


def find_files(
    scope: str,
    *,
    cgroup_root: Path = CGROUP_ROOT,
    duty_dir: Path | None = None,
    known: Mapping[str, Hold] | None = None,
) -> dict[str, Hold]:
    """The miners of `scope` that have a parent cgroup or a duty folder.

    Holds in `known` (an earlier answer) that still stand are returned as they are, with their open files.
    """
    here = trees.detect(cgroup_root)
    found: dict[str, Hold] = {}
    for duty in sorted(duty_dir.iterdir()) if duty_dir and duty_dir.is_dir() else ():
        if is_name(duty.name) and duty.is_dir():
            found[duty.name] = DutyHold(duty.name, duty)
    for driver in (SYSTEMD, CGROUPFS) if here.cpu else ():
        base = here.cpu / trees.scope_path(driver, scope) if here.cpu else Path()
        for folder in sorted(base.iterdir()) if base.is_dir() else ():
            miner = trees.miner_of(driver, scope, folder.name)
            if miner and is_name(miner) and folder.is_dir():
                found[miner] = cgroup_hold(here, miner, trees.miner_path(driver, scope, miner))
    old = known or {}
    return {
        miner: old[miner] if miner in old and _same(old[miner], hold) else hold
        for miner, hold in found.items()
    }


def find_docker(scope: str, client: DockerClient, *, cgroup_root: Path = CGROUP_ROOT) -> dict[str, Hold]:
    """The running containers labelled `mint.miner=<name>` and `mint.scope=<scope>`.

    Those in parent cgroups of MinT's own are `find_files`'. Each is held by its own cgroup files where they
    can be reached, else through Docker's API.

    Raises:
        MachineError: the engine does not answer.
    """
    docker_api = _docker_api()
    here = trees.detect(cgroup_root)
    found: dict[str, Hold] = {}
    try:
        containers = client.containers.list(
            filters={"label": [MINER_LABEL, f"{SCOPE_LABEL}={scope}"]}, ignore_removed=True
        )
    except docker_api.DOCKER_FAILURES as error:
        raise MachineError(f"Docker does not answer ({error})", "see that dockerd runs") from error
    for container in containers:
        miner = container.labels.get(MINER_LABEL, "")
        parent = container.attrs["HostConfig"].get("CgroupParent", "")
        if is_name(miner) and not _in_ours(here, scope, miner, parent):
            own = _own_cgroup(here, miner, container.attrs)
            found[miner] = own or docker_api.DockerHold(miner, container)
    return found


def cgroup_hold(here: Hierarchy, miner: str, path: str) -> HoldV1 | HoldV2:
    """The hold on the cgroup `path` (relative to the trees' roots), whether it exists already or not."""
    if here.version == 1:
        return HoldV1(miner, {name: root / path for name, root in here.mounts.items()})
    return HoldV2(miner, here.mounts[""] / path)


def docker_client() -> DockerClient:
    """A client, to be closed, of the engine that the environment names (DOCKER_HOST, or the local socket).

    Raises:
        MachineError: there is none, or it does not answer.
    """
    client: DockerClient = _docker_api().connect()
    return client


def _docker_api() -> ModuleType:
    from mint.containers import docker_api  # noqa: PLC0415 - 30 MiB that only those pay who ask an engine

    return docker_api


def _in_ours(here: Hierarchy, scope: str, miner: str, parent: str) -> bool:
    """Whether a container's parent cgroup is the miner's own, and can be reached."""
    for driver in (SYSTEMD, CGROUPFS):
        if here.cpu is not None and parent == trees.docker_parent(driver, scope, miner):
            return (here.cpu / trees.miner_path(driver, scope, miner)).is_dir()
    return False


def _own_cgroup(here: Hierarchy, miner: str, attrs: dict[str, Any]) -> HoldV1 | HoldV2 | None:
    """The hold on a container's own cgroup, as /proc names it, or None where its files are out of reach."""
    pid = attrs["State"].get("Pid", 0)
    if not pid or here.cpu is None:
        return None
    for line in read_text_or(Path(f"/proc/{pid}/cgroup"), "").splitlines():
        _, names, path = line.split(":", 2)
        # A remote engine's process numbers are not ours: the path has to be this container's.
        if ("cpu" in names.split(",") or (here.version == 2 and not names)) and attrs["Id"] in path:
            hold = cgroup_hold(here, miner, path.lstrip("/"))
            return hold if (here.cpu / path.lstrip("/")).is_dir() else None
    return None


def _same(old: Hold, new: Hold) -> bool:
    match old, new:
        case (HoldV1(folders=a), HoldV1(folders=b)):
            return a == b
        case (HoldV2(folder=c), HoldV2(folder=d)) | (DutyHold(folder=c), DutyHold(folder=d)):
            return c == d
    return False
