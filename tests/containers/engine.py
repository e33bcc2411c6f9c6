"""What this machine can run of what these tests need (tests/setup/machine.py says when a test may be skipped)."""

from __future__ import annotations

from mint.containers import hierarchy
from mint.containers.hierarchy import Hierarchy
from tests.setup.machine import absent


def cgroups() -> Hierarchy:
    """The cgroup trees of this machine, if a cpu cgroup can be made."""
    here = hierarchy.detect()
    if not hierarchy.writable(here):
        absent("cpu cgroup that this user may write")
    return here
