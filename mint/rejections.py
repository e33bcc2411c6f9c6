"""What was not accepted, counted by reason, and said at most once in a while."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from mint.errors import Reason, Rejected

# One line a reason in this many seconds: a flood of bad messages must not become a flood of log lines.
QUIET_S = 10.0


class Rejections:
    """Counts rejections by reason; logs the first of a reason, then one line with the count every `QUIET_S`."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self.by_reason: Counter[Reason] = Counter()
        self._log, self._clock = log, clock
        self._said: dict[Reason, tuple[float, int]] = {}

    def count(self, rejected: Rejected, where: str) -> None:
        """Record one; `where` is the topic or the message it came in."""
        reason = rejected.reason
        self.by_reason[reason] += 1
        at, counted = self._said.get(reason, (float("-inf"), 0))
        if self._clock() - at >= QUIET_S:
            since = self.by_reason[reason] - counted
            more = f" ({since} since last said)" if since > 1 else ""
            self._log.warning("rejected %s on %s: %s%s", reason, where, rejected.detail, more)
            self._said[reason] = (self._clock(), self.by_reason[reason])
