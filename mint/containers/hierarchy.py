"""Where cgroups lie on this machine, and what a miner's parent cgroup is called.

Version 1 has one tree a controller (some joint), version 2 one tree for all. Hybrid machines mount both; what
counts is where the `cpu` controller is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = (
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "blkio",
    "freezer",
)  # those that MinT uses; v2's names below
V2_NAMES = {"cpuacct": "cpu", "blkio": "io"}
CGROUPFS, SYSTEMD = "cgroupfs", "systemd"


@dataclass(frozen=True)
class Hierarchy:
    """The mounted cgroup trees: `version` of the one with the cpu controller (0: none is mounted).

    `mounts` maps a v1 controller to its tree's root; for version 2 its one entry is "" for the whole tree.
    `every` lists all trees, also those without a controller of ours: a container leaves a folder in each.
    """

    version: int
    mounts: dict[str, Path]
    every: tuple[Path, ...]

    @property
    def cpu(self) -> Path | None:
        """The root of the tree that limits CPU."""
        return self.mounts.get("cpu" if self.version == 1 else "")


def detect(root: Path = CGROUP_ROOT, mountinfo: Path = Path("/proc/self/mountinfo")) -> Hierarchy:
    """The trees mounted at or below `root`; where none is, `root` is taken for a copy of one."""
    v1, v2 = _mounted(root, mountinfo)
    if not v1 and v2 is None:
        v1, v2 = _by_name(root)
    every = tuple(dict.fromkeys([*v1.values(), *([v2] if v2 else [])]))
    if "cpu" in v1:
        return Hierarchy(1, {name: v1[name] for name in CONTROLLERS if name in v1}, every)
    if v2 is not None and "cpu" in _words(v2 / "cgroup.controllers"):
        return Hierarchy(2, {"": v2}, every)
    return Hierarchy(0, {}, every)


def lacks(hierarchy: Hierarchy) -> tuple[str, ...]:
    """What this machine does not count or cannot do, in v1's names; a Raspberry Pi often lacks "memory"."""
    if hierarchy.version == 1:
        return tuple(name for name in CONTROLLERS if name not in hierarchy.mounts)
    if hierarchy.version == 2:
        has = _words(hierarchy.mounts[""] / "cgroup.controllers")
        return tuple(c for c in CONTROLLERS if c != "freezer" and V2_NAMES.get(c, c) not in has)
    return CONTROLLERS


def writable(hierarchy: Hierarchy) -> bool:
    """Whether this process may make cgroups where CPU is limited."""
    return hierarchy.cpu is not None and os.access(hierarchy.cpu, os.W_OK) and not _read_only(hierarchy.cpu)


def scope_path(driver: str, scope: str) -> str:
    """The cgroup that holds all miners of a scope, relative to a tree's root."""
    return f"mint.slice/mint-{scope}.slice" if driver == SYSTEMD else f"mint/{scope}"


def miner_path(driver: str, scope: str, miner: str) -> str:
    """A miner's parent cgroup, relative to a tree's root.

    >>> miner_path("cgroupfs", "edge1", "miner_03")
    'mint/edge1/miner_03'
    >>> miner_path("systemd", "edge1", "miner_03")
    'mint.slice/mint-edge1.slice/mint-edge1-miner_03.slice'
    """
    leaf = f"mint-{scope}-{miner}.slice" if driver == SYSTEMD else miner
    return f"{scope_path(driver, scope)}/{leaf}"


def docker_parent(driver: str, scope: str, miner: str) -> str:
    """What `docker run --cgroup-parent` takes, for either version: a path, or a slice's name for systemd."""
    return f"mint-{scope}-{miner}.slice" if driver == SYSTEMD else "/" + miner_path(driver, scope, miner)


def miner_of(driver: str, scope: str, folder: str) -> str | None:
    """The miner whose parent cgroup is called `folder`, or None: the inverse of `miner_path`'s last part."""
    if driver == CGROUPFS:
        return folder
    start, end = f"mint-{scope}-", ".slice"
    return folder[len(start) : -len(end)] if folder.startswith(start) and folder.endswith(end) else None


def _mounted(root: Path, mountinfo: Path) -> tuple[dict[str, Path], Path | None]:
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for line in mountinfo.read_text().splitlines() if mountinfo.exists() else ():
        # man 5 proc: id parent major:minor root MOUNT options [tags] - TYPE source SUPER-OPTIONS
        left, _, right = line.partition(" - ")
        where, (kind, _, *options) = Path(left.split()[4]), right.split(" ", 2)
        if kind not in {"cgroup", "cgroup2"} or not where.is_relative_to(root):
            continue
        if kind == "cgroup2":
            v2 = v2 or where
            continue
        flags = options[0].split(",")
        names = [flag for flag in flags if flag not in {"rw", "ro", "xattr"}]
        for name in names:
            v1.setdefault(name, where)
    return v1, v2


def _by_name(root: Path) -> tuple[dict[str, Path], Path | None]:
    if (root / "cgroup.controllers").exists():
        return {}, root
    v1: dict[str, Path] = {}
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.is_dir():
            for name in folder.name.split(","):
                v1.setdefault(name, folder)
    return v1, None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
