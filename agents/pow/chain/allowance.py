"""How often a sender may ask something of us."""

from __future__ import annotations

from mint.errors import Reason, Rejected


class Allowance:
    """One thing in `pause_ns` for each sender, up to `burst` at once; one entry a sender of the charter."""

    def __init__(self, pause_ns: int, burst: int) -> None:
        self._pause_ns, self._burst = pause_ns, burst
        # When a sender's allowance is whole again.
        self._whole_ns: dict[str, int] = {}

    def take(self, sender: str, now_ns: int) -> None:
        """Take one.

        Raises:
            Rejected: TOO_OFTEN.
        """
        whole_ns = max(self._whole_ns.get(sender, 0), now_ns) + self._pause_ns
        if whole_ns - now_ns > self._burst * self._pause_ns:
            raise Rejected(Reason.TOO_OFTEN, f"{sender} says too much")
        self._whole_ns[sender] = whole_ns
