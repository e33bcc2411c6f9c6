"""The detection itself, once more: whether the frames accuse whom the verdicts convict.

The core of every detector (detectors/core.py) is fed with the frames, and what it would vote compared with verdicts.
"""

from __future__ import annotations

from detectors.core import DetectorCore
from detectors.evidence import Shelf
from detectors.follower import HISTORY
from mint.envelope import Envelope, Signer
from mint.frames import LogFrame
from mint.keys import SigningKey
from mint.messages.judgement import Accusation, Vote
from mint.sign_bytes import Object
from mint.wire import decode
from network.verify.report import Report


class Recomputation:
    """Frames in, one after the other; then what they say of the verdicts."""

    def __init__(self) -> None:
        self._core: DetectorCore | None = None
        self._starts: list[int] = []
        self._last = 0
        # Offence -> the first frame on which it is accused.
        self._accused: dict[tuple[str, int], int] = {}

    def step(self, frame: LogFrame) -> None:
        """Judge the next frame; after a gap everything begins anew."""
        if self._core is None or frame.number != self._last + 1:
            # Its votes go nowhere, so any key will do; the name is a detector's, so that they can be opened again.
            charter = frame.charter.charter
            name = charter.detectors[0]
            signer = Signer(name, SigningKey.from_seed(bytes(32)), charter.network)
            self._core = DetectorCore(name, frame.charter, signer, Shelf())
            self._starts.append(frame.number)
        self._last = frame.number
        vote = self._core.step(frame, frame.number).vote
        if vote is not None:
            for accusation in _accusations(vote):
                self._accused.setdefault((accusation.miner, accusation.offence), frame.number)

    def compare(self, report: Report) -> None:
        """Add to a report what the detection says of each verdict in it."""
        convicted = set()
        for verdict in report.verdicts:
            offence = (verdict["miner"], verdict["offence"])
            convicted.add(offence)
            about = f"verdict {offence[0]}/{offence[1]}"
            at = self._accused.get(offence)
            if at is not None and at <= verdict["frame"]:
                report.holds(about, f"recomputed: the frames accuse it from frame {at} on")
            elif not self._enough(verdict["frame"], verdict["began"]):
                report.holds(
                    about,
                    f"not recomputed: that takes {HISTORY} frames before frame {verdict['frame']}, and frame "
                    f"{verdict['began']}",
                )
            else:
                report.breaks(about, "recomputed: these frames do not accuse it")
        for offence in sorted(set(self._accused) - convicted):
            at = self._accused[offence]
            report.holds(
                "recomputed", f"frame {at} accuses {offence[0]} of offence {offence[1]}, not decided here"
            )

    def _enough(self, number: int, began: int) -> bool:
        """Whether the frames before `number` are all that a detector would have begun with, and hold the offence."""
        before = [start for start in self._starts if start <= number]
        if not before or number > self._last:
            return False
        return before[-1] == 1 or (number - before[-1] >= HISTORY and before[-1] <= began)


def _accusations(vote: bytes) -> tuple[Accusation, ...]:
    return decode(decode(decode(vote, Envelope).body, Object).payload, Vote).accusations
