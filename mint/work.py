"""The law of work: the shares that a miner shows prove how much CPU time it took to find them.

A share is a hash at or below a target that one in `share_work` hashes meets, so nobody can show shares that
were not worked for; hashes are independent, so shares found in a CPU time are Poisson. The operator measured
how many hashes a second of CPU the pinned image makes on a device of this class; nothing is learned from the
suspect. An honest miner whose class is known to 2 % finds at most

    lambda0 = 1.02 * hashes_per_cpu_second / share_work          shares in a second of CPU time.

**The law.** Over any window between two samples of the device itself, of one boot and one epoch of the counter,
with n shares and c seconds of *reported* CPU time, the log-likelihood ratio of r * lambda0 against lambda0,

    LLR = ln(r) * n - (r - 1) * lambda0 * c,                      (Page 1954, for Poisson counts)

at or above a bound b is proof, for either of two designs: r = 1.15 is quickest where a miner finds about 1.2
times what its CPU time explains, r = 1.6 where it is 1.5 times and more.

**The bound** (after Lorden 1971 and Ville). Seen from a time fixed beforehand, LLR of an honest miner reaches x
with probability e^-x at most, ever (Ville: e^LLR is a martingale). Windows may begin anywhere; but all those
that begin while the sum z of the LLR is between its k-th and its (k+1)-th nat below where it began are at most
1 above that from the first moment there, for z falls continuously and only jumps up. z falls by D = r - 1 -
ln(r) nats an expected share, so an hour with H expected shares passes D * H nats, and the false proofs in it,
over all windows that anyone may choose, are at most

    e * D * H * e^-b.

At one share in 334 ms H is 11,000. With b = 19.77 and r = 1.15 (D = 0.01024) that is 0.8 in 10^6 hours, with b
= 23.70 and r = 1.6 (D = 0.13000) 0.2 in 10^6: together one in 10^6 miner-hours. Where a charter has more shares
in an hour, b grows by ln 2 with each doubling. A miner that is slower than lambda0 is accused less often still:
its shares are some of those of a miner at lambda0. bench/bench_work.py measures both ends of it.

**The slack.** A share may be found before one sample and told after it. If it is told within the time in which
the miner uses `SLACK_S` seconds of its entitlement, then shares told in a window were found in one that is
longer by so much, and so much CPU time is granted on top. Reading the counter in ticks (10 ms) is within it.

It cannot tell false telemetry (more CPU used than reported) from faster code than the pinned image (more hashes
in the same CPU time): both show as more work than the CPU time explains. Nor does it see work whose shares are
never shown; that is not paid either (docs/work-evidence.md).

Integers only: micro-nats, ns, ppm. What helps the accused is rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mint.chain.shares import share_work
from mint.charter.model import Charter, Miner

PPM = 1_000_000
NS_PER_S = 1_000_000_000
S_PER_HOUR = 3600
# How well an operator can know a class's rate: mint calibrate --class says the spread that it measured.
TOLERANCE_PPM = 20_000
# Seconds of a miner's entitlement within which a share that was found is told: a throttled miner tells it in
# its next period (0.1 s), an agent that is held up a few tenths of a second later.
SLACK_S = 1
# Expected shares in an hour, tolerance included, up to which the bounds below are: one in 334 ms.
HOURLY = 11_000
# Rounded up.
LN_2 = 693_148


class Design(NamedTuple):
    """One r: `gain` is r - 1 in ppm, `ln` its ln(r) in micro-nats, rounded down, `bound` its b in micro-nats."""

    gain: int
    ln: int
    bound: int


# ln(e * D * HOURLY / the false proofs in an hour): 0.8e-6 and 0.2e-6, rounded up.
DESIGNS = (Design(150_000, 139_761, 19_770_000), Design(600_000, 470_003, 23_700_000))


class Count(NamedTuple):
    """What a sample says of a miner's work: cumulative CPU time in ns, cumulative shares."""

    usage_ns: int
    shares: int


@dataclass(frozen=True)
class WorkRule:
    """How many shares a miner's CPU time explains.

    `hashes` a CPU-second of its device's class, `share_work` expected hashes a share, `cpu_ppm` its entitlement.
    """

    hashes: int
    share_work: int
    cpu_ppm: int

    @property
    def costs(self) -> tuple[int, ...]:
        """What a second of CPU time takes off the LLR of each design, in micro-nats."""
        by = PPM * self.share_work
        return tuple(_up(one.gain * (PPM + TOLERANCE_PPM) * self.hashes, by) for one in DESIGNS)

    @property
    def bounds(self) -> tuple[int, ...]:
        """What the LLR of each design has to reach, the slack included, in micro-nats."""
        hourly = _up(
            (PPM + TOLERANCE_PPM) * self.hashes * self.cpu_ppm * S_PER_HOUR, PPM * PPM * self.share_work
        )
        doublings = (_up(hourly, HOURLY) - 1).bit_length()
        slack_ns = self.cpu_ppm * (NS_PER_S // PPM) * SLACK_S
        return tuple(
            one.bound + doublings * LN_2 + _up(cost * slack_ns, NS_PER_S)
            for one, cost in zip(DESIGNS, self.costs, strict=True)
        )

    def proves(self, first: Count, last: Count) -> bool:
        """Whether these two counts, of one boot and epoch of the device itself, prove work beyond reported CPU time."""
        shares, used_ns = last.shares - first.shares, last.usage_ns - first.usage_ns
        return used_ns >= 0 and any(
            one.ln * shares - _up(cost * used_ns, NS_PER_S) >= bound
            for one, cost, bound in zip(DESIGNS, self.costs, self.bounds, strict=True)
        )

    def excess_ns(self, first: Count, last: Count) -> int:
        """CPU time that the shares stand for above what was reported, in ns; 0 where they are explained."""
        shares, used_ns = last.shares - first.shares, last.usage_ns - first.usage_ns
        worked_ns = shares * self.share_work * NS_PER_S * PPM // ((PPM + TOLERANCE_PPM) * self.hashes)
        return max(0, worked_ns - used_ns)


def work_rule(charter: Charter, miner: Miner) -> WorkRule | None:
    """The law for a miner of this charter; None where no ledger is mined or its class is not measured."""
    kinds = {device.name: device.kind for device in charter.devices}
    rates = {kind.name: kind.hashes_per_cpu_second for kind in charter.classes}
    hashes = rates[kinds[miner.device]]
    if charter.chain is None or hashes == 0:
        return None
    return WorkRule(hashes, share_work(charter, miner), miner.entitlement.cpu_ppm)


def _up(number: int, by: int) -> int:
    """The quotient, rounded up."""
    return -(-number // by)
