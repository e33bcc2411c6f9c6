"""What a share of each miner is worth: by its device's class, so that unlike devices show shares alike often."""

from __future__ import annotations

from mint.charter.model import Charter, Miner
from mint.errors import MintError

# ppm of a CPU times milliseconds, in CPU seconds.
PPM_MS_PER_S = 10**9


def share_work(charter: Charter, miner: Miner) -> int:
    """Expected hashes of one share of `miner`: what its whole entitlement hashes in the chain's share interval.

    Raises:
        MintError: the charter has no chain (a mistake in the program).
    """
    works = share_works(charter, (miner,))
    return works[miner.name]


def share_works(charter: Charter, miners: tuple[Miner, ...] | None = None) -> dict[str, int]:
    """`share_work` of each of `miners` (default: all of the charter's), by name."""
    if charter.chain is None:
        raise MintError("this charter has no chain")
    rates = {kind.name: kind.hashes_per_cpu_second for kind in charter.classes}
    of_device = {device.name: rates[device.kind] for device in charter.devices}
    interval_ms = charter.chain.share_interval_ms
    return {
        miner.name: max(1, of_device[miner.device] * miner.entitlement.cpu_ppm * interval_ms // PPM_MS_PER_S)
        for miner in (charter.miners if miners is None else miners)
    }
