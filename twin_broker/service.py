"""The twin manager as a process: its frame log on disk, its bus, and twin_broker/manager.py between them."""

from __future__ import annotations

import asyncio

from mint.boot import boot_id
from mint.node import Node, now
from mint.service import Service
from twin_broker.manager import Manager
from twin_broker.store import FrameStore

DATABASE = "frames.sqlite"


async def run(node: Node, stop: asyncio.Event) -> None:
    """Be the manager of a fog until `stop` is set.

    Raises:
        InputError: the frame log cannot be opened.
    """
    store = FrameStore(node.options.state / DATABASE, boot_id())
    try:
        await Service(node, Manager(node, store, now()), store.keep).run(stop)
    finally:
        store.close()
