"""A detector as a process: detector.py between the bus and the disk."""

from __future__ import annotations

import asyncio

from detectors.detector import Detector
from detectors.ssa.kernel import kernel
from detectors.store import Store
from mint.node import Node, now
from mint.service import Service


async def run(node: Node, stop: asyncio.Event) -> None:
    """Be a detector until `stop` is set.

    Raises:
        InputError: its memory is damaged.
    """
    kernel()  # compiled now, where it never was, and not while a frame waits
    store = Store(node.options.state)
    try:
        await Service(node, Detector(node, store, now()), store.keep).run(stop)
    finally:
        store.close()
