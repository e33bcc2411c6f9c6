"""Asking for frames by number, and answering whoever does: the manager answers, and every detector does likewise."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mint.effects import Now, Say
from mint.envelope import Opened, ReplayGuard
from mint.errors import Reason, Rejected
from mint.frame_log import FrameLog, Kept
from mint.messages.frame import MAX_REPLY_FRAMES, FrameReply, FrameRequest
from mint.sign_bytes import Stream
from mint.topics import Topics

# A reply stays below the broker's packet limit with room for its envelope and one frame more than asked for.
MAX_REPLY_BYTES = 512 * 1024
REPLY_EXPIRY_S = 30
# A request is made again long before this; an answer to an older one is of use to nobody.
REQUEST_EXPIRY_S = 10
# A client that catches up asks once a round trip, and sometimes for several things at once; one that asks without end
# is not to be worked for.
PAUSE_NS = 20_000_000
BURST = 16

# The envelopes of samples and verdicts that a frame rests on, as far as they are at hand.
Proofs = Callable[[Kept], Iterable[bytes]]


def frame_request(topics: Topics, request: FrameRequest) -> Say:
    """A request on its way to its holder."""
    return Say(topics.frame_request(), request, qos=1, expiry_s=REQUEST_EXPIRY_S)


class Answers:
    """One holder's answers; `name` is its own, `proofs` what it has beside the frames."""

    def __init__(self, name: str, log: FrameLog, proofs: Proofs) -> None:
        self._name, self._log, self._proofs = name, log, proofs
        # When a client's allowance is whole again; one entry a client, and clients come from the charter.
        self._whole_ns: dict[str, int] = {}

    def answer(self, opened: Opened, guard: ReplayGuard, topics: Topics, now: Now) -> list[Say]:
        """The reply to a request whose envelope is valid; none when it is for another holder.

        Raises:
            Rejected: replayed, in another's name, or too often.
        """
        body, request = opened.body, opened.message
        if not isinstance(body, Stream) or not isinstance(request, FrameRequest):
            raise Rejected(Reason.WRONG_KIND, "not a request")
        guard.check(body, now.wall_ms)
        guard.accept(body)
        if request.client != opened.sender:
            raise Rejected(Reason.IMPOSSIBLE, f"{opened.sender} asks in the name of {request.client}")
        if request.holder != self._name:
            return []
        whole_ns = max(self._whole_ns.get(request.client, 0), now.monotonic_ns) + PAUSE_NS
        if whole_ns - now.monotonic_ns > BURST * PAUSE_NS:
            raise Rejected(Reason.TOO_OFTEN, f"{request.client} asks again and again")
        self._whole_ns[request.client] = whole_ns
        topic = topics.frame_reply(request.client)
        return [Say(topic, self._reply(request), qos=1, expiry_s=REPLY_EXPIRY_S)]

    def _reply(self, request: FrameRequest) -> FrameReply:
        frames: list[bytes] = []
        proofs: list[bytes] = []
        size = last = 0
        for kept in self._log.frames(request.first, min(request.count, MAX_REPLY_FRAMES)):
            brought = tuple(self._proofs(kept)) if request.proofs else ()
            size += len(kept.data) + sum(map(len, brought))
            hole = bool(frames) and kept.number != last + 1
            if hole or (frames and size > MAX_REPLY_BYTES):
                break
            last = kept.number
            frames.append(kept.data)
            proofs.extend(brought)
        newest = self._log.newest()
        return FrameReply(request.first, newest.data if newest else b"", tuple(frames), tuple(proofs))
