"""What is done with one hold: look at the miner, take a step of a plan."""

from __future__ import annotations

from enforcer.ledger import Count
from enforcer.reconcile import Seen, Step, Wish
from mint.containers.model import Hold


def see(hold: Hold, boot: bytes, *, books: bool) -> Seen:
    """A miner as it is in this boot of the device, its counter too where `books`.

    Raises:
        ContainerError: it is gone.
    """
    quota = hold.quota()
    if not books:
        return Seen(hold.miner, quota)
    counters = hold.counters()
    count = Count(boot, hold.epoch, counters.before_ns, counters.usage_ns)
    return Seen(hold.miner, quota, hold.frozen(), count)


def take(hold: Hold, step: Step, wish: Wish) -> None:
    """Take a step towards what the miner should have.

    Raises:
        ContainerError: it could not be taken.
    """
    match step:
        case Step.QUOTA:
            hold.set_quota(wish.quota)
        case Step.FREEZE:
            hold.freeze()
        case Step.THAW:
            hold.thaw()
