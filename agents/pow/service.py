"""The miners of one device as a service: starts those that the charter names, and keeps them running.

It speaks to nobody: the charter says which miners this device has and what they are entitled to, the runtime is
chosen by what works here. Quotas are set when a miner is first started; from then on they are the enforcer's. Where
the charter has a chain, the miners are started to do what the device's agent gives them (exchange.py).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from agents.pow.choose import choose, start_all
from agents.pow.work_folder import exchange_folder
from mint.containers.model import Quota
from mint.errors import InputError, MachineError
from mint.names import scope
from mint.node import Node

# A miner that died is missed by its device's owner, not by the network: no hurry, and no spinning.
LOOK_S = 10.0


async def run(node: Node, stop: asyncio.Event, *, runtime: str | None = None) -> None:
    """Keep the miners of the device `node` running until `stop` is set; then all of them are ended and removed.

    Raises:
        InputError: the charter has no miners on this device, or `runtime` is none.
        MachineError: `runtime` cannot work here.
    """
    charter = node.charter.charter
    quotas = {miner.name: Quota.of_ppm(miner.entitlement.cpu_ppm) for miner in charter.miners_on(node.name)}
    if not quotas:
        raise InputError(
            str(node.options.charter), f"has no miners on {node.name!r}", "add some to [[miners]]"
        )
    where, state = scope(charter.network), node.options.state
    exchange = exchange_folder(state, where) if charter.chain is not None else None
    chosen = await asyncio.to_thread(choose, where, state, runtime, node.log.info, exchange)
    try:
        while not stop.is_set():
            try:
                await asyncio.to_thread(start_all, chosen, quotas)
            except MachineError as error:
                node.log.error("%s; trying again in %g s", error, LOOK_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await stop.wait()
    finally:
        await asyncio.to_thread(chosen.close)
