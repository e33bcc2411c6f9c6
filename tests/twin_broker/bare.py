"""The twin manager's core without anything around it."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from mint.effects import Say
from mint.messages.frame import Frame
from tests.builders import T0_MS, Edge, Net, S
from twin_broker.core import Closed, TwinManager

NET = Net(miners=4, devices=2)
NOW = 1000 * S


def manager(net: Net = NET) -> TwinManager:
    return TwinManager(net.sealed, net.signer("manager"), NOW)


def edge(name: str = "edge1", net: Net = NET, session: int = 1) -> Edge:
    return Edge(net, name, random.Random(1), session)


def frame_of(closed: Closed) -> Frame:
    return NET.message(closed.data, Frame)


def said(closed: Closed, kind: type[msgspec.Struct]) -> list[Any]:
    return [
        effect.message
        for effect in closed.effects
        if isinstance(effect, Say) and isinstance(effect.message, kind)
    ]


def begun() -> tuple[TwinManager, Edge]:
    """A manager with m01 and m03 in its first frame."""
    core, one = manager(), edge()
    core.sample(NET.opened(one.sealed(NOW)), NOW)
    core.close(NOW + S, T0_MS)
    return core, one
