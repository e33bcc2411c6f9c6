"""What a network may leave behind on a machine, and what is left: the tests want nothing."""

from __future__ import annotations

from pathlib import Path

import docker
import psutil

from mint.charter.seal import load_charter
from mint.containers.hierarchy import CGROUP_ROOT
from mint.keys import load_public
from mint.names import scope
from network.layout import Layout


def scope_of(folder: Path) -> str:
    """The scope of the network in `folder`."""
    layout = Layout(folder)
    return scope(load_charter(layout.charter, load_public(layout.operator_public), 0).charter.network)


def left_behind(folder: Path) -> list[str]:
    """Processes, cgroups and containers of the network in `folder` that exist now."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line and "pytest" not in line and process.status() != psutil.STATUS_ZOMBIE:
            found.append(f"process {process.pid}: {line}")
    if not Layout(folder).charter.exists():
        return found
    name = scope_of(folder)
    found += [f"cgroup {path}" for path in CGROUP_ROOT.glob(f"**/mint/{name}")]
    try:
        client = docker.from_env()
    except docker.errors.DockerException:
        return found
    try:
        labelled = client.containers.list(all=True, filters={"label": f"mint.scope={name}"})
        found += [f"container {container.name}" for container in labelled]
    finally:
        client.close()
    return found
