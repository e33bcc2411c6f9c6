"""Carries a core's effects to the bus, and the bus's messages past the checks that all components share."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from mint.bus.bus import Bus
from mint.bus.options import SESSION_EXPIRY_S, BusOptions, Incoming, Subscription, Will
from mint.effects import Effect, Post, Say
from mint.envelope import Opened
from mint.node import CA_CERTIFICATE, TLS_CERTIFICATE, TLS_KEY, Node, now


def bus_of(
    node: Node,
    subscriptions: Sequence[Subscription],
    will: Will | None = None,
    session_expiry_s: int = SESSION_EXPIRY_S,
) -> Bus:
    """The bus of a node, not entered yet."""
    options = node.options
    return Bus(
        BusOptions(
            host=options.host,
            port=options.port,
            name=node.name,
            ca=options.keys / CA_CERTIFICATE,
            cert=options.keys / TLS_CERTIFICATE,
            key=options.keys / TLS_KEY,
            session_expiry_s=session_expiry_s,
        ),
        will=will,
        subscriptions=subscriptions,
        rng=random.Random(),  # noqa: S311 (jitter of reconnection, no secret)
        log=node.log,
    )


class Courier:
    """One node's way to and from the bus."""

    def __init__(self, node: Node, bus: Bus) -> None:
        self._node, self._bus = node, bus

    def send(self, effects: Iterable[Post | Say]) -> None:
        """Sign what is to be said, and hand everything to the bus; never blocks."""
        for effect in effects:
            data = self._node.signed(effect, now())
            retain = isinstance(effect, Post) and effect.retain
            self._bus.post(effect.topic, data, qos=effect.qos, retain=retain, expiry_s=effect.expiry_s)

    def opened(self, incoming: Incoming, handle: Callable[[Opened, Incoming], None]) -> None:
        """Open what came and handle it; whatever is rejected is counted by reason, and nothing stops.

        A charter is taken here: whoever listens goes by `node.charter`, and sees that it changed.
        """

        def handled(opened: Opened) -> Iterable[Effect]:
            handle(opened, incoming)
            return ()

        self._node.received(incoming, now(), handled)
