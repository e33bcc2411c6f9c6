"""Whether a device's clock runs as time does: entitlement is time, so a fast clock would be a cheat.

A device's elapsed monotonic time may exceed the manager's by 0.1 % + 2 s, no more (docs/security.md). Samples
can come late (they wait in the agent's ring while the broker is away), which makes the device look slow, never
fast; only the first ones, whose lateness is not known, need a time to settle. That time is the manager's: by
its own a fast clock would settle as late as it likes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mint.errors import Reason, Rejected

S = 1_000_000_000
DILATION_PPM = 1_000  # 0.1 %: far above any crystal's error
SLACK_NS = 2 * S  # scheduling and network, measured well below a second
# A ring holds 60 samples: the first to arrive may have waited that many periods, later ones show it.
SETTLE_PERIODS = 60


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """One device's clock within one boot: the manager's time less the device's, where it was last anchored.

    `begun_ns` is the manager's time at the first sample of the boot, `settled` whether lateness is known.
    """

    boot: bytes
    device_ns: int
    offset_ns: int
    begun_ns: int
    settled: bool

    @classmethod
    def begin(cls, boot: bytes, device_ns: int, manager_ns: int) -> DeviceClock:
        """The clock at the first sample of a boot."""
        return cls(boot, device_ns, manager_ns - device_ns, manager_ns, settled=False)

    def check(self, device_ns: int, manager_ns: int, period_ns: int, slack_ns: int = SLACK_NS) -> DeviceClock:
        """The clock after a sample read at `device_ns` and received at `manager_ns` (both monotonic).

        Raises:
            Rejected: WRONG_TIME, the device claims more time than has passed.
        """
        offset = manager_ns - device_ns
        elapsed = device_ns - self.device_ns
        gained = self.offset_ns - offset
        settled = self.settled or manager_ns - self.begun_ns > SETTLE_PERIODS * period_ns
        if gained > elapsed * DILATION_PPM // 1_000_000 + slack_ns:
            if settled:
                raise Rejected(
                    Reason.WRONG_TIME, f"the device's clock gained {gained / S:.1f} s in {elapsed / S:.1f} s"
                )
            return replace(self, device_ns=device_ns, offset_ns=offset)
        return replace(self, settled=settled)
