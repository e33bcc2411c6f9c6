"""A fog with a broker of its own for every test: it starts in a tenth of a second."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.broker.fog import Fog


@pytest.fixture
async def fog(tmp_path: Path, mosquitto_program: Path) -> AsyncIterator[Fog]:
    async with Fog(tmp_path) as running:
        yield running
