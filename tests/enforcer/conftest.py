"""A fresh fog for a test, with the enforcer's miners in cgroups."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from network.mosquitto_program import Program
from tests.agents.fog import Cgroups, cgroups_of
from tests.enforcer.fog import Fog, Others, others_of
from tests.enforcer.offences import MINERS


@pytest.fixture
async def fog(tmp_path: Path, mosquitto_program: Program) -> AsyncIterator[Fog]:
    made = Fog(tmp_path, mosquitto_program)
    async with made.broker:
        yield made


@pytest.fixture
async def others(fog: Fog) -> AsyncIterator[Others]:
    async with others_of(fog) as speaking:
        yield speaking


@pytest.fixture
def cgroups(fog: Fog) -> Iterator[Cgroups]:
    """The enforcer's miners at 5 % of a CPU, the first one busy."""
    with cgroups_of(fog.keys.scope) as made:
        for miner in MINERS:
            made.make(miner, quota_us=5_000)
        made.run(MINERS[0], "sh", "-c", "while :; do :; done")
        yield made
