"""Child processes that are kept running."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from network import processes
from network.processes import Child


async def test_a_child_that_cannot_be_started_now_is_started_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "BACKOFF_S", (0.01,))
    said: asyncio.Queue[str] = asyncio.Queue()
    in_the_way = tmp_path / "logs"
    in_the_way.touch()
    child = Child("sleeper", ["sleep", "60"], in_the_way / "sleeper.log", said.put_nowait)
    child.start()
    try:
        async with asyncio.timeout(10):
            assert "exists" in await said.get()
            in_the_way.unlink()
            while child.pid is None:  # noqa: ASYNC110 (nothing tells of a start)
                await asyncio.sleep(0.01)
    finally:
        await child.stop()
    assert child.starts == 1
    assert child.pid is None


async def test_a_child_is_kept_running_though_nobody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "BACKOFF_S", (0.01,))

    def closed(_: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    child = Child("short", ["true"], tmp_path / "short.log", closed)
    child.start()
    try:
        async with asyncio.timeout(10):
            while child.starts < 3:  # noqa: ASYNC110 (nothing tells of a start)
                await asyncio.sleep(0.01)
    finally:
        await child.stop()
