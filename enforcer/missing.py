"""Verdicts that the log counts and that never reached us: found by the frame that took note of them, and asked for.

A verdict is retained, but the next one on its miner takes its place, and a broker that is killed forgets what it had
not saved yet. The log forgets nothing: each frame counts a miner's offences and says which frame took note of the last
one (mint/messages/frame.py). Whoever holds that frame shows the verdict that it names, and the frame before it says
where the offence before that one was noted, and so on back to the last that we know.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from enforcer.core import Core
from mint.answers import frame_request
from mint.bus.quiet import Quiet
from mint.charter.model import Charter
from mint.effects import Say
from mint.messages.frame import FrameRequest, MinerEntry
from mint.topics import Topics

# A verdict reaches us before the frame that takes note of it, as a rule, and seldom much later.
GRACE_NS = 3_000_000_000
# Between two requests, twice as long after each round of all holders: messages get lost, and holders are down for a
# while, or for good.
ASK_AGAIN_NS = 1_000_000_000
MOST_NS = 600_000_000_000
# Rounds after which people are told.
ROUNDS_TOLD = 3
# Verdicts looked for at once; the others are found from the frames to come, or from these.
MAX_WANTS = 64


@dataclass(slots=True)
class _Want:
    """A decision in frame number `frame`; `walked`: we have seen the frame before it."""

    frame: int
    due_ns: int
    tries: int = 0
    walked: bool = False


class Missing:
    """What one enforcer lacks, by miner and offence; `core` says what it has."""

    def __init__(self, name: str, topics: Topics, core: Core, quiet: Quiet) -> None:
        self._name, self._topics, self._core, self._quiet = name, topics, core, quiet
        self._wants: dict[tuple[str, int], _Want] = {}
        self.take_charter(core.charter)

    def take_charter(self, charter: Charter) -> None:
        """Ask the nodes of this charter, for the miners that are ours by it."""
        self._holders = (charter.manager.name, *charter.detectors)
        self._wants = {key: want for key, want in self._wants.items() if key[0] in self._core.miners}

    def see(self, number: int, entries: Iterable[MinerEntry], now_ns: int, *, live: bool) -> None:
        """A frame of the log has these entries; `live`: it came by itself, and verdicts may be on their way."""
        core = self._core
        for entry in entries:
            miner = entry.miner
            if miner not in core.miners:
                continue
            core.count(miner, entry.offences)
            noted = self._wants.get((miner, entry.offences + 1))
            if noted is not None and noted.frame == number + 1:
                noted.walked = True
            known = self._wants.get((miner, entry.offences))
            if not core.lacks(miner, entry.offences) or (known and known.frame == entry.decided):
                continue
            if len(self._wants) < MAX_WANTS:
                due_ns = now_ns + GRACE_NS if live else now_ns
                self._wants[miner, entry.offences] = _Want(entry.decided, due_ns)

    def ask(self, now_ns: int) -> list[Say]:
        """What is to be asked now."""
        for (miner, offence), want in list(self._wants.items()):
            found = self._core.knows(miner, offence) and want.walked
            if found or not self._core.lacks(miner, offence):
                del self._wants[miner, offence]
        due = [(key, want) for key, want in self._wants.items() if want.due_ns <= now_ns]
        return [self._request(*key, want, now_ns) for key, want in due]

    def _request(self, miner: str, offence: int, want: _Want, now_ns: int) -> Say:
        rounds, turn = divmod(want.tries, len(self._holders))
        want.tries += 1
        want.due_ns = now_ns + min(ASK_AGAIN_NS << min(rounds, 32), MOST_NS)
        if rounds >= ROUNDS_TOLD:
            self._quiet.warning(
                f"missing {miner}",
                f"nobody shows the verdict on {miner}, offence {offence}, which frame {want.frame} names: "
                "it cannot be carried out",
            )
        first = max(1, want.frame - 1)
        holder = self._holders[turn]
        return frame_request(self._topics, FrameRequest(self._name, holder, first, 2, proofs=True))
