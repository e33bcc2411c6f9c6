"""What the system tests need of this machine."""

from __future__ import annotations

import pytest

from mint.containers import hierarchy
from tests.setup.machine import absent


@pytest.fixture(scope="session")
def cgroups() -> None:
    """A cpu cgroup that we may write."""
    if not hierarchy.writable(hierarchy.detect()):
        absent("cpu cgroup that this user may write")
