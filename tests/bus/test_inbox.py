"""The queue of incoming messages, against a plain model of its rules."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mint.bus.inbox import MAX_RUN, MAX_TOPICS, Inbox
from mint.bus.options import Incoming, Overflow, Subscription

OLDEST, NEWEST = Overflow.DROP_OLDEST, Overflow.DROP_NEWEST


def message(number: int, size: int = 4) -> Incoming:
    return Incoming("t", number.to_bytes(4, "big").ljust(size, b"."), False, None, "t")


subscriptions = st.lists(
    st.builds(
        Subscription,
        filter=st.just("t"),
        limit=st.integers(1, 5),
        limit_bytes=st.integers(1, 60),
        overflow=st.sampled_from(Overflow),
    ),
    min_size=1,
    max_size=4,
)


@given(subscriptions, st.lists(st.tuples(st.integers(-2, 3), st.integers(4, 20)), max_size=80))
def test_keeps_order_bounds_and_count(subs: list[Subscription], steps: list[tuple[int, int]]) -> None:
    inbox = Inbox(subs)
    model: list[tuple[int, Incoming]] = []  # (subscription, message) in order of arrival
    for number, (step, size) in enumerate(steps):
        if step < 0:
            got = inbox.pop()
            assert got == (model.pop(0)[1] if model else None)
            continue
        index = step % len(subs)
        sub, new, shed = subs[index], message(number, size), 0

        def held(index: int = index) -> list[tuple[int, Incoming]]:
            return [entry for entry in model if entry[0] == index]

        def full(sub: Subscription = sub, new: Incoming = new) -> bool:
            total = sum(len(m.payload) for _, m in held()) + len(new.payload)
            return bool(held()) and (len(held()) >= sub.limit or total > sub.limit_bytes)

        if full() and sub.overflow is NEWEST:
            shed = 1
        else:
            while full():
                model.remove(held()[0])
                shed += 1
            model.append((index, new))
        assert inbox.put(index, new) == shed
        assert len(inbox) == len(model)
    assert [inbox.pop() for _ in model] == [m for _, m in model]
    assert inbox.pop() is None


async def test_a_flood_takes_its_own_places_only() -> None:
    inbox = Inbox([Subscription("a/#", limit=3), Subscription("b", limit=3)])
    inbox.put(1, message(0))
    assert sum(inbox.put(0, message(n)) for n in range(1, 1001)) == 997
    inbox.close()
    assert [int.from_bytes(m.payload, "big") async for m in inbox] == [0, 998, 999, 1000]


def test_finds_the_subscription_of_a_topic() -> None:
    inbox = Inbox([Subscription("a/+/x"), Subscription("a/#"), Subscription("b")])
    assert [inbox.which(t) for t in ("a/1/x", "a/1/y", "b", "c", "a/1/x")] == [0, 1, 2, None, 0]


def test_remembers_no_more_topics_than_it_says() -> None:
    inbox = Inbox([Subscription("a/#")])
    for n in range(MAX_TOPICS + 10):
        assert inbox.which(f"a/{n}") == 0
    assert len(inbox._by_topic) <= MAX_TOPICS


async def test_waits_for_the_next_and_ends_when_closed() -> None:
    inbox = Inbox([Subscription("t")])
    waiting = asyncio.create_task(anext(inbox))
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(0, message(1))
    assert await waiting == message(1)
    inbox.put(0, message(2))
    inbox.close()
    assert [m async for m in inbox] == [message(2)]
    with pytest.raises(StopAsyncIteration):
        await anext(inbox)


async def test_a_backlog_gives_way_to_other_tasks() -> None:
    inbox = Inbox([Subscription("t", limit=100)])
    for n in range(100):
        inbox.put(0, message(n))
    inbox.close()
    taken = 0
    others: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: others.append(taken))
    async for _ in inbox:
        taken += 1
    assert len(others) == 1
    assert others[0] < MAX_RUN


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit_bytes": 0}, {"qos": 2}])
def test_a_subscription_without_a_bound_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="subscription t"):
        Subscription("t", **wrong)  # type: ignore[arg-type]
