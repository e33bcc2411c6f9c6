"""A case of a running network: its charter, its retained verdicts, and the frames and samples that they rest on.

Asked for by number as a detector that was away would: of the manager first, then of the detectors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from detectors.follower import HISTORY
from mint.answers import frame_request
from mint.bus.bus import Bus
from mint.bus.options import Incoming, Subscription
from mint.courier import Courier, bus_of
from mint.envelope import Opened
from mint.errors import BusError, Rejected
from mint.fault_proofs import verdict_in
from mint.frames import frame_in
from mint.messages.frame import MAX_REPLY_FRAMES, FrameReply, FrameRequest
from mint.messages.judgement import Verdict
from mint.node import Node
from mint.wire import MOST
from network.verify.case import Case

# A holder that is there answers within some milliseconds.
ANSWER_S = 3.0
# Retained messages come with the subscription; this long after it they have come.
RETAINED_S = 1.0
# Frames after that of a verdict, in which the log takes note of it.
AFTER = 8

Tell = Callable[[float], None]


async def gather(node: Node, stop: asyncio.Event, tell: Tell) -> Case:
    """Everything that shows what stands decided in the network of `node`, a console; `tell` hears of the progress.

    Raises:
        BusError: nobody answers.
    """
    return await _Gathering(node).run(stop, tell)


class _Gathering:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._verdicts: dict[bytes, None] = {}
        self._frames: dict[int, bytes] = {}
        self._samples: dict[bytes, None] = {}
        self._replies: asyncio.Queue[FrameReply] = asyncio.Queue(maxsize=16)

    async def run(self, stop: asyncio.Event, tell: Tell) -> Case:
        topics = self._node.topics
        subscriptions = [
            Subscription(topics.charter(), limit=4),
            Subscription(topics.verdict("+", "+"), limit=1024),
            Subscription(topics.frame_reply(self._node.name), limit=16),
        ]
        async with bus_of(self._node, subscriptions, session_expiry_s=0) as bus, asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(bus.messages(), Courier(self._node, bus)))
            try:
                await asyncio.wait_for(bus.connected.wait(), ANSWER_S)
                await asyncio.sleep(RETAINED_S)
                await self._collect(bus, stop, tell)
            except TimeoutError:
                raise BusError("the broker cannot be reached") from None
            finally:
                reading.cancel()
        charters = tuple(sealed.data for sealed in self._node.charters.values())
        frames = tuple(data for _, data in sorted(self._frames.items()))
        return Case(charters, frames, tuple(self._samples), tuple(self._verdicts))

    async def _read(self, messages: AsyncIterator[Incoming], courier: Courier) -> None:
        async for incoming in messages:
            courier.opened(incoming, self._take)

    def _take(self, opened: Opened, _incoming: Incoming) -> None:
        if isinstance(opened.message, Verdict):
            self._verdicts[opened.data] = None
        elif isinstance(opened.message, FrameReply) and not self._replies.full():
            self._replies.put_nowait(opened.message)

    async def _collect(self, bus: Bus, stop: asyncio.Event, tell: Tell) -> None:
        """The newest frame, and the stretches of the log that the verdicts are on."""
        newest = (await self._ask(bus, MOST)).newest
        head = frame_in(newest).number if newest else 0
        wanted = self._wanted(head)
        while wanted and not stop.is_set():
            tell(len(self._frames) / (len(self._frames) + len(wanted)))
            first = min(wanted)
            reply = await self._ask(bus, first)
            for data in reply.frames:
                self._frames[frame_in(data).number] = data
            self._samples |= dict.fromkeys(reply.proofs)
            got = {frame_in(data).number for data in reply.frames}
            # What lies between is not kept any more by whom we asked.
            wanted -= got | set(range(first, min(got, default=first) + 1))

    def _wanted(self, head: int) -> set[int]:
        wanted = set(range(max(1, head - HISTORY), head + 1))
        for data in self._verdicts:
            frame = verdict_in(data).frame
            wanted |= set(range(max(1, frame - HISTORY), min(frame + AFTER, head) + 1))
        return wanted

    async def _ask(self, bus: Bus, first: int) -> FrameReply:
        """The reply of the first holder that answers.

        Raises:
            BusError: nobody does.
        """
        charter = self._node.charter.charter
        for holder in (charter.manager.name, *charter.detectors):
            request = FrameRequest(self._node.name, holder, first, MAX_REPLY_FRAMES, proofs=True)
            Courier(self._node, bus).send([frame_request(self._node.topics, request)])
            try:
                while True:
                    reply = await asyncio.wait_for(self._replies.get(), ANSWER_S)
                    if reply.asked == first:
                        return reply
            except TimeoutError:
                continue
        raise BusError("neither the manager nor a detector answers")


def sorted_out(case: Case) -> Case:
    """The case with samples and verdicts where they belong: replies bring both as proofs."""
    verdicts, samples = list(case.verdicts), []
    for data in case.samples:
        try:
            verdict_in(data)
        except Rejected:
            samples.append(data)
        else:
            verdicts.append(data)
    return Case(case.charters, case.frames, tuple(samples), tuple(dict.fromkeys(verdicts)))
