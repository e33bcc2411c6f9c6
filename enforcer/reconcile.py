"""Desired against actual: which quota a miner should have, and the steps from what it has to that.

Level-triggered: what led here does not matter, only what is and what should be. No difference, no step: every
write of a quota refills the kernel's bucket, so writing what holds already is itself extra CPU time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from enforcer.ledger import Count
from mint.containers.model import DEFAULT_PERIOD_US, MAX_PERIOD_US, MILLION, MIN_QUOTA_US, Quota


@dataclass(frozen=True, slots=True)
class Seen:
    """A miner as the kernel's files show it; `count` and `frozen` are read only where books are kept."""

    miner: str
    quota: Quota
    frozen: bool = False
    count: Count | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a miner should have; `frozen` None: that is not ours to say."""

    quota: Quota
    frozen: bool | None = None


class Step(StrEnum):
    """One thing to do to a miner's hold."""

    QUOTA = "quota"
    FREEZE = "freeze"
    THAW = "thaw"


def entitled(cpu_ppm: int) -> Quota:
    """The quota of an entitlement: never more than it.

    The kernel's least quota is 1 ms: 1 % of a CPU at its usual period, which a longer one makes less.
    """
    small = cpu_ppm * DEFAULT_PERIOD_US < MIN_QUOTA_US * MILLION
    return Quota.of_ppm(cpu_ppm, MAX_PERIOD_US if small else DEFAULT_PERIOD_US)


def lowered(cpu_ppm: int, share_ppm: int, halvings: int) -> Quota:
    """The quota under a penalty: a share of entitlement, halved `halvings` times, at the kernel's least."""
    quota = entitled(cpu_ppm * share_ppm // MILLION)
    assert quota.quota_us is not None  # noqa: S101 (made of ppm; this tells the type checker)
    return Quota(max(MIN_QUOTA_US, quota.quota_us >> halvings), quota.period_us)


def least(quota: Quota) -> bool:
    """Whether the kernel allows no lower quota."""
    return quota.quota_us is not None and quota.quota_us <= MIN_QUOTA_US


def steps(wish: Wish, seen: Seen) -> tuple[Step, ...]:
    """What to do, in order; nothing where nothing differs. A miner is let go only under its new quota."""
    found = [Step.QUOTA] if wish.quota.drift(seen.quota) else []
    if wish.frozen is not None and wish.frozen != seen.frozen:
        found.append(Step.FREEZE if wish.frozen else Step.THAW)
    return tuple(found)


def described(wish: Wish, seen: Seen) -> str:
    """The difference, for people; "" where there is none."""
    said = []
    for field in wish.quota.drift(seen.quota):
        have, want = getattr(seen.quota, field), getattr(wish.quota, field)
        said.append(f"{field} is {'unlimited' if have is None else have}, should be {want}")
    if wish.frozen is not None and wish.frozen != seen.frozen:
        said.append("it runs, should be paused" if wish.frozen else "it is paused, should run")
    return "; ".join(said)
