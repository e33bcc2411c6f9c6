"""The bus: MQTT 5 with mutual TLS over aiomqtt, for asyncio; it reconnects, bounds and counts by itself."""

from __future__ import annotations

from mint.bus.bus import Bus
from mint.bus.options import BusOptions, Incoming, Overflow, Subscription, Will
from mint.bus.quiet import Quiet

__all__ = ["Bus", "BusOptions", "Incoming", "Overflow", "Quiet", "Subscription", "Will"]
