"""The facts about this machine that `mint doctor` judges, gathered once; all of its I/O is here."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mint.containers import hierarchy as trees
from mint.containers.find import docker_client
from mint.errors import MachineError
from network.mosquitto_program import find_mosquitto

# The kernel's adjtimex(2): "the clock is not synchronised".
_TIME_ERROR = 5
# struct timex is 208 bytes on every Linux; more is harmless.
_TIMEX_BYTES = 512


@dataclass(frozen=True, slots=True)
class DockerSeen:
    """The engine: `info` as it describes itself, or why it does not (`failure`)."""

    installed: bool
    info: dict[str, Any] | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """All that the checks look at."""

    root: Path  # where proc, sys and boot are
    python: tuple[int, int, int]
    cgroups: trees.Hierarchy
    may_write_cgroups: bool
    docker: DockerSeen
    mosquitto: str  # its version, or ""
    mosquitto_failure: str
    mosquitto_tls: bool
    compiler: bool
    synchronised: bool
    cores: int
    free_bytes: int
    gpus: tuple[str, ...]


def look(root: Path = Path("/"), folder: Path = Path()) -> Machine:
    """This machine as it is now; `folder` is on the disk that MinT will use."""
    here = trees.detect(root / "sys/fs/cgroup", root / "proc/self/mountinfo")
    machine = Machine(
        root=root,
        python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        cgroups=here,
        may_write_cgroups=trees.writable(here),
        docker=_docker(),
        mosquitto="",
        mosquitto_failure="",
        mosquitto_tls=False,
        compiler=shutil.which("gcc") is not None and (root / "usr/include/stdio.h").exists(),
        synchronised=_synchronised(),
        cores=len(os.sched_getaffinity(0)),
        free_bytes=shutil.disk_usage(folder).free,
        gpus=_gpus(),
    )
    try:
        program = find_mosquitto()
    except MachineError as error:
        return replace(machine, mosquitto_failure=error.missing)
    version = ".".join(map(str, program.version or (0,)))
    return replace(machine, mosquitto=version, mosquitto_tls=b"libssl.so" in program.path.read_bytes())


def _docker() -> DockerSeen:
    installed = shutil.which("dockerd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") is not None
    try:
        client = docker_client()
    except MachineError as error:
        return DockerSeen(installed, failure=error.missing)
    try:
        return DockerSeen(installed=True, info=client.info())
    finally:
        client.close()


def _synchronised() -> bool:
    """adjtimex(2) asked, not told: modes is 0, the first field of the struct."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))) not in (
            -1,
            _TIME_ERROR,
        )
    except (OSError, AttributeError):
        return False


def _gpus() -> tuple[str, ...]:
    try:
        import pynvml  # noqa: PLC0415 - the optional extra `gpu`
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        names = tuple(str(pynvml.nvmlDeviceGetName(handle)) for handle in handles)
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return ()
    return names


def text_of(path: Path) -> str:
    """A small file's text, or nothing where it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
