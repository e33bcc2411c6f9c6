"""Log lines that may repeat: the first at once, then at most one a minute with how many were meant."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

# One line a minute and kind: visible to whoever looks, and 1440 lines a day at worst.
EVERY_S = 60.0
# Kinds are chosen by the program, not by who sends messages; should they grow nonetheless, the oldest is forgotten.
MAX_KINDS = 256


class Quiet:
    """A logger that repeats itself at most once in `every_s` seconds for each kind of line."""

    def __init__(
        self, log: logging.Logger, clock: Callable[[], float] = time.monotonic, every_s: float = EVERY_S
    ) -> None:
        self._log, self._clock, self._every_s = log, clock, every_s
        self._said: dict[str, tuple[float, int]] = {}  # kind -> (when last said, how many since)

    def warning(self, kind: str, text: str) -> None:
        """Say `text` unless a line of this `kind` was said within the last `every_s` seconds."""
        now = self._clock()
        said_at, held = self._said.get(kind, (-float("inf"), 0))
        if now - said_at < self._every_s:
            self._said[kind] = (said_at, held + 1)
            return
        if kind not in self._said and len(self._said) >= MAX_KINDS:
            del self._said[next(iter(self._said))]
        self._said[kind] = (now, 0)
        self._log.warning("%s (and %d more like it)" if held else "%s", *((text, held) if held else (text,)))

    def forget(self, kind: str) -> None:
        """The trouble is over: the next line of this `kind` is news again."""
        self._said.pop(kind, None)
