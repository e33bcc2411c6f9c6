"""Which runtime this machine can have: the best that works, and aloud why the better ones do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from agents.pow import build
from agents.pow.build import Program
from agents.pow.runtime import CGROUP, DOCKER, DUTY, Runtime
from agents.pow.runtime_cgroup import CgroupRuntime
from agents.pow.runtime_duty import DutyRuntime
from mint.containers import hierarchy
from mint.containers.find import docker_client
from mint.containers.hierarchy import CGROUP_ROOT, Hierarchy
from mint.containers.model import Quota
from mint.errors import InputError, MachineError
from mint.names import checked_name

IN_ORDER = (DOCKER, CGROUP, DUTY)
# Docker starts some six containers a second, however many more than this ask at once.
THREADS = 8


def choose(
    scope: str,
    state_dir: Path,
    wanted: str | None,
    say: Callable[[str], None],
    exchange: Path | None = None,
    *,
    program: Sequence[str] = (),
) -> Runtime:
    """The runtime for the miners of `scope`; compiled programs and duty folders go below `state_dir`.

    `wanted` (one of "docker", "cgroup", "duty") leaves no choice. What was chosen and why is said by `say`. With the
    folder of an `exchange` (`work_folder.exchange_folder`) miners do what their agent gives them there; without, each
    mines by itself. `program`: further options of each miner's program.

    Raises:
        InputError: `scope` or `wanted` is none.
        MachineError: the wanted one cannot work here.
    """
    checked_name(scope, "scope")
    if wanted is not None and wanted not in IN_ORDER:
        raise InputError("--runtime", f"{wanted!r} is not a runtime", f"use one of {', '.join(IN_ORDER)}")
    for name in IN_ORDER if wanted is None else (wanted,):
        try:
            runtime = _make(name, scope, state_dir, say, exchange, program)
        except MachineError as error:
            if wanted is not None:
                raise
            say(f"runtime: not {name}, for {error}")
        else:
            say(f"runtime: {name}, {_MEANS[name]}")
            return runtime
    raise MachineError("no runtime works here", "the lines above say what each of them lacks")


def start_all(runtime: Runtime, quotas: Mapping[str, Quota]) -> None:
    """Start many miners side by side.

    Raises:
        MachineError: one could not be started (the others may run).
    """
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(runtime.start, quotas.keys(), quotas.values()))


_MEANS = {
    DOCKER: "containers whose parent cgroups the kernel limits",
    CGROUP: "processes in cgroups that the kernel limits",
    DUTY: "processes that are stopped and continued (a soft limit: no kernel enforces it)",
}


def _make(  # noqa: PLR0917 - what `choose` was given
    name: str,
    scope: str,
    state_dir: Path,
    say: Callable[[str], None],
    exchange: Path | None,
    program: Sequence[str],
) -> Runtime:
    cache = state_dir / "program"
    if name == DUTY:
        return DutyRuntime(
            state_dir / "duty" / scope, _with(build.native_or_reference(cache, say), program), exchange
        )
    here = hierarchy.detect()
    if not hierarchy.writable(here):
        if here.cpu is None:
            raise MachineError(f"there is no cpu controller below {CGROUP_ROOT}", "see `mint doctor`")
        raise MachineError(f"{here.cpu} cannot be written by this user", "run as root (sudo)")
    if name == CGROUP:
        return CgroupRuntime(scope, here, _with(build.native_or_reference(cache, say), program), exchange)
    return _docker(scope, here, cache, exchange, program)


def _with(program: Program, options: Sequence[str]) -> Program:
    return replace(program, argv=(*program.argv, *options))


def _docker(
    scope: str, here: Hierarchy, cache: Path, exchange: Path | None, program: Sequence[str]
) -> Runtime:
    client = docker_client()
    try:
        if not client.api.base_url.startswith("http+docker://"):
            raise MachineError(f"the Docker engine is elsewhere ({client.api.base_url})", "unset DOCKER_HOST")
        from agents.pow.runtime_docker import DockerRuntime  # noqa: PLC0415 - the docker package, see find.py

        return DockerRuntime(scope, here, client, build.build(cache), exchange, options=program)
    except BaseException:
        client.close()
        raise
