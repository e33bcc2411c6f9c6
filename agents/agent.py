"""The agent between its bus, its clock and its sampler: core.py with a member's trust and a schedule. Pure.

It has the shape of a mint/component.Component, but where those have `tick` it has `sampled`: a sample is taken
outside, by whoever runs this (service.py from the kernel, the simulator from what it makes up), when `due_ns` says.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.core import Core
from agents.ring import Ring
from agents.schedule import next_tick
from mint.bus.options import Incoming, Subscription
from mint.charter.seal import SealedCharter
from mint.effects import Now, Post
from mint.envelope import Opened
from mint.member import Member
from mint.messages.sample import Sample, State

# Each acknowledgement replaces the one before.
MAX_WAITING = 16
NS_PER_MS = 1_000_000


class Agent:
    """One device's agent; `charter` is the one that it goes by."""

    def __init__(self, member: Member, state: State, now: Now) -> None:
        """`state`: what the first birth says; the first sample is due a period after `now`."""
        self._member, self.charter = member, member.charter
        self._core = Core(member.signer, member.charter, state)
        self._start_ns = now.monotonic_ns
        self._due_ns = self._next(now)

    @property
    def ring(self) -> Ring:
        """The samples that are not acknowledged."""
        return self._core.ring

    def subscriptions(self) -> Sequence[Subscription]:
        """What it listens to, from its start to its end."""
        topics = (self._member.topics.charter(), self._core.ack_topic)
        return tuple(Subscription(topic, limit=MAX_WAITING) for topic in topics)

    def death(self, now: Now) -> Post:
        """The last will, or the word of an agent that ends on purpose."""
        return self._core.death(now)

    def connected(self, now: Now) -> Sequence[Post]:
        """A connection stands: birth, and every sample that is not acknowledged."""
        return self._core.connected(now)

    def receive(self, incoming: Incoming, now: Now) -> Sequence[Post]:
        """A charter or an acknowledgement came: nothing is said to either."""

        def acknowledged(opened: Opened) -> tuple[()]:
            self._core.acknowledged(opened, now)
            return ()

        self._member.received(incoming, now, acknowledged)
        if self._member.charter is not self.charter:
            self._take_charter(self._member.charter, now)
        return ()

    def due_ns(self) -> int:
        """When the next sample is to be taken, on the monotonic clock."""
        return self._due_ns

    def sampled(self, sample: Sample, state: State, now: Now, *, connected: bool) -> Sequence[Post]:
        """A sample was taken, and the state is now this; `connected`: whether a connection stands."""
        self._due_ns = self._next(now)
        return self._core.sampled(sample, state, now, connected=connected)

    def _take_charter(self, charter: SealedCharter, now: Now) -> None:
        self.charter = charter
        self._core.take_charter(charter)
        self._due_ns = min(self._due_ns, self._next(now))

    def _next(self, now: Now) -> int:
        period_ns = self.charter.charter.period_ms * NS_PER_MS
        return next_tick(self._start_ns, period_ns, now.monotonic_ns)
