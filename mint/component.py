"""What every component is to whoever runs it: the service on a real bus, or the simulator on one in memory.

    connected, receive, tick  ->  effects, carried out in their order (mint/effects.py)

Nothing else reaches a component and nothing else leaves it, so that a history is a function of what came and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mint.bus.options import Incoming, Subscription
from mint.effects import Effect, Now

# `due_ns` of whoever waits for nothing but messages: no clock of ours gets there (146 years).
NEVER_NS = 2**62


class Component(Protocol):
    """A component between its bus, its disk and its clock."""

    def subscriptions(self) -> Sequence[Subscription]:
        """What it listens to, from its start to its end."""

    def connected(self, now: Now) -> Sequence[Effect]:
        """A connection to the broker stands (again): whatever was said before may not have been heard."""

    def receive(self, incoming: Incoming, now: Now) -> Sequence[Effect]:
        """A message came. What is wrong with it is counted; nothing is raised for it."""

    def due_ns(self) -> int:
        """The monotonic time at which `tick` wants to be called, if nothing comes before."""

    def tick(self, now: Now) -> Sequence[Effect]:
        """Time has come."""
