"""A local network at its edges: how it ends when ending fails, what it clears, what it refuses to continue."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mint.errors import InputError
from mint.names import Role
from mint.node import Node, NodeOptions
from network import local
from network.founding import Plan, found, new_operator
from network.layout import MARK, Layout
from network.local import LocalNetwork, discard

PLAN = Plan("test", 4, 0.05)


class Limiter:
    """A runtime that limits nothing and remembers that it was closed."""

    name, digest = "duty", ""

    def __init__(self) -> None:
        self.closed = 0

    def sweep(self) -> None:
        """Nothing is there."""

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def limiter(monkeypatch: pytest.MonkeyPatch) -> Limiter:
    made = Limiter()
    monkeypatch.setattr(local, "choose", lambda *_, **__: made)
    return made


def network(folder: Path) -> LocalNetwork:
    return LocalNetwork(Layout(folder), miners=4, runtime=None, say=lambda _: None)


async def test_miners_end_although_the_broker_cannot_be_ended(tmp_path: Path) -> None:
    async def stop() -> None:
        raise OSError("no")

    made, runtime = network(tmp_path), Limiter()
    fitted: Any = made
    fitted.broker, fitted.runtime = SimpleNamespace(stop=stop), runtime
    with pytest.raises(OSError, match="no"):
        await made.__aexit__(None, None, None)
    assert runtime.closed == 1


async def test_a_network_of_kernel_law_is_not_continued_under_a_duty_cycle(
    tmp_path: Path, limiter: Limiter
) -> None:
    layout = Layout(tmp_path)
    found(layout, PLAN, new_operator(layout))
    with pytest.raises(InputError, match="--runtime it was founded with"):
        await network(tmp_path).__aenter__()
    assert limiter.closed == 1


def test_a_founding_that_was_cut_short_is_begun_again(tmp_path: Path, limiter: Limiter) -> None:
    layout = Layout(tmp_path)
    found(layout, PLAN, new_operator(layout))
    layout.charter.unlink()
    again = network(tmp_path)
    again._found()
    options = NodeOptions(layout.charter, "manager", layout.keys("manager"), "", 1, layout.state("manager"))
    assert Node(options, Role.MANAGER).charter.hash == again.charter.hash


def test_an_expired_demo_is_cleared_and_the_folder_stays_ours(
    tmp_path: Path, limiter: Limiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path)
    found(layout, PLAN, new_operator(layout))
    monkeypatch.setattr(local, "wall_ms", lambda: 4_000_000_000_000)
    discard(layout)
    assert limiter.closed == 1
    assert [path.name for path in tmp_path.iterdir()] == [MARK]
