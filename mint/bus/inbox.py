"""Incoming messages that wait for the application: bounded by subscription, in order of arrival.

MQTT acknowledges before the application is done, so nothing slows a sender down: what does not fit is shed
here, on purpose, by the rule of the subscription it came by, and counted. A flood on one subscription takes
that subscription's places only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from paho.mqtt.client import topic_matches_sub

from mint.bus.options import Incoming, Overflow, Subscription

# Topics remembered with their subscription: a fog has some hundreds; whoever invents more only makes us match again.
MAX_TOPICS = 4096
# Messages handed over without giving way: 32 signature checks are some 5 ms, which other tasks can wait.
MAX_RUN = 32


class Inbox:
    """An asynchronous iterator over messages; one consumer.

    It ends after `close()`, when all that had come is consumed.
    """

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        self._subscriptions = tuple(subscriptions)
        self._waiting: tuple[deque[tuple[int, Incoming]], ...] = tuple(deque() for _ in subscriptions)
        self._bytes = [0] * len(self._waiting)
        self._by_topic: dict[str, int | None] = {}
        self._arrivals = 0
        self._run = 0
        self._closed = False
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._waiting))

    def which(self, topic: str) -> int | None:
        """The index of the subscription that `topic` belongs to, None when it belongs to none."""
        try:
            return self._by_topic[topic]
        except KeyError:
            pass
        if len(self._by_topic) >= MAX_TOPICS:
            self._by_topic.clear()
        found = next(
            (i for i, s in enumerate(self._subscriptions) if topic_matches_sub(s.filter, topic)), None
        )
        self._by_topic[topic] = found
        return found

    def put(self, index: int, message: Incoming) -> int:
        """Let `message` of subscription `index` wait; how many (it, or older ones) were shed for that."""
        waiting, subscription = self._waiting[index], self._subscriptions[index]
        room = subscription.limit_bytes - len(message.payload)
        shed = 0
        while waiting and (len(waiting) >= subscription.limit or self._bytes[index] > room):
            if subscription.overflow is Overflow.DROP_NEWEST:
                return 1
            self._bytes[index] -= len(waiting.popleft()[1].payload)
            shed += 1
        self._arrivals += 1
        waiting.append((self._arrivals, message))
        self._bytes[index] += len(message.payload)
        self._arrived.set()
        return shed

    def pop(self) -> Incoming | None:
        """The message that came first of all that wait."""
        first = -1
        arrival = self._arrivals + 1
        for index, waiting in enumerate(self._waiting):  # a handful: cheaper than keeping a heap
            if waiting and waiting[0][0] < arrival:
                first, arrival = index, waiting[0][0]
        if first < 0:
            return None
        message = self._waiting[first].popleft()[1]
        self._bytes[first] -= len(message.payload)
        return message

    def close(self) -> None:
        """No more will come."""
        self._closed = True
        self._arrived.set()

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> Incoming:
        self._run += 1
        if self._run >= MAX_RUN:
            self._run = 0
            await asyncio.sleep(0)
        while (message := self.pop()) is None:
            if self._closed:
                raise StopAsyncIteration
            self._run = 0
            self._arrived.clear()
            await self._arrived.wait()
        return message
