"""A fresh fog for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from network.mosquitto_program import Program
from tests.agents.fog import MINERS, Cgroups, Fog, Manager, cgroups_of, manager_of


@pytest.fixture
async def fog(tmp_path: Path, mosquitto_program: Program) -> AsyncIterator[Fog]:
    made = Fog(tmp_path, mosquitto_program)
    async with made.broker:
        yield made


@pytest.fixture
async def manager(fog: Fog) -> AsyncIterator[Manager]:
    async with manager_of(fog) as listening:
        yield listening


@pytest.fixture
def cgroups(fog: Fog) -> Iterator[Cgroups]:
    """The charter's miners, each a cgroup without a process."""
    with cgroups_of(fog.keys.scope) as made:
        for miner in MINERS:
            made.make(miner)
        yield made
