"""Directory trees that look like cgroup hierarchies to whoever reads and writes their files."""

from __future__ import annotations

from pathlib import Path


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def v2_miner(root: Path, scope: str, miner: str) -> Path:
    """A version 2 hierarchy at `root` with one miner's parent cgroup, whose folder is returned."""
    write(root, {"cgroup.controllers": "cpuset cpu io memory pids\n", "cgroup.subtree_control": ""})
    folder = root / "mint" / scope / miner
    write(
        folder,
        {
            "cpu.stat": "usage_usec 1234567\nuser_usec 1\nsystem_usec 2\nnr_periods 40\nnr_throttled 39\n"
            "throttled_usec 3500000\nnr_bursts 0\nburst_usec 0\n",
            "cpu.max": "6000 100000\n",
            "cpu.max.burst": "0\n",
            "memory.current": "839680\n",
            "memory.max": "max\n",
            "io.stat": "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=7 dios=0\n8:16 \n9:0 rbytes=1 wbytes=2\n",
            "cgroup.freeze": "0\n",
            "cgroup.events": "populated 1\nfrozen 0\n",
            "cgroup.procs": "",
            "cpuset.cpus": "\n",
        },
    )
    write(folder / "child", {"cgroup.procs": "41\n42\n", "cpu.max": "max 100000\n"})
    return folder
