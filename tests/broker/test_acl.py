"""The access list: as text, and in force at a real broker for every role and topic."""

from __future__ import annotations

import random

import pytest
from paho.mqtt.client import topic_matches_sub

from mint.bus import Subscription
from mint.errors import BusError, InputError
from mint.names import Role
from mint.topics import Topics, may_read, may_write
from network.acl import acl
from tests.broker.fog import NODES, TOPICS, Fog, eventually, receive

NAMES = [name for name, _ in NODES]
OTHER = Topics("other")
EVERY_TOPIC = [
    TOPICS.charter(),
    TOPICS.frame(),
    TOPICS.frame_request(),
    TOPICS.twin("m1"),
    TOPICS.block(),
    TOPICS.block_request(),
    *(
        make(name)
        for make in (
            TOPICS.state,
            TOPICS.sample,
            TOPICS.ack,
            TOPICS.frame_reply,
            TOPICS.behaviour,
            TOPICS.alarm,
            TOPICS.vote,
            TOPICS.receipt,
            TOPICS.fault,
            TOPICS.share,
            TOPICS.block_reply,
        )
        for name in NAMES
    ),
    *(TOPICS.verdict(name, "m1") for name in NAMES),
    OTHER.charter(),
    OTHER.sample("pi1"),
    "$SYS/broker/version",
    "anything",
]


def grants(filters: tuple[str, ...], topic: str) -> bool:
    return any(topic_matches_sub(filter_, topic) for filter_ in filters)


def test_the_text_names_each_node_once_and_grants_what_topics_py_says() -> None:
    text = acl([("pi1", Role.AGENT), ("d1", Role.DETECTOR)], TOPICS)
    rules = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert rules[rules.index("user pi1") :] == [
        "user pi1",
        "topic write mint/1/fog1/agent/pi1/state",
        "topic write mint/1/fog1/agent/pi1/sample",
        "topic write mint/1/fog1/chain/block",
        "topic write mint/1/fog1/chain/share/pi1",
        "topic write mint/1/fog1/chain/request",
        "topic write mint/1/fog1/chain/reply/+",
        "topic read mint/1/fog1/charter",
        "topic read mint/1/fog1/ack/pi1",
        "topic read mint/1/fog1/verdict/+/+",
        "topic read mint/1/fog1/fault/+",
        "topic read mint/1/fog1/vote/+",
        "topic read mint/1/fog1/chain/block",
        "topic read mint/1/fog1/chain/share/+",
        "topic read mint/1/fog1/chain/request",
        "topic read mint/1/fog1/chain/reply/pi1",
    ]
    assert rules[0] == "user d1"
    assert "pattern" not in " ".join(rules)


def test_the_same_nodes_give_the_same_bytes() -> None:
    shuffled = list(NODES)
    random.Random(1).shuffle(shuffled)
    assert acl(shuffled, TOPICS) == acl(NODES, TOPICS)


@pytest.mark.parametrize(
    ("nodes", "wrong"),
    [
        ([("pi1", Role.AGENT), ("pi1", Role.MANAGER)], "two nodes are called pi1"),
        ([("pi1\ntopic #", Role.AGENT)], "not a name"),
    ],
)
def test_names_that_would_give_rights_to_others_are_refused(
    nodes: list[tuple[str, Role]], wrong: str
) -> None:
    with pytest.raises(InputError, match=wrong):
        acl(nodes, TOPICS)


@pytest.mark.parametrize(("name", "role"), NODES)
async def test_each_node_writes_its_topics_and_no_other(fog: Fog, name: str, role: Role) -> None:
    allowed, refused = set(), set()
    async with fog.bus(name) as bus:
        for topic in EVERY_TOPIC:
            try:
                await bus.publish(topic, b"x")
            except BusError as error:
                assert error.reason == "Not authorized"  # noqa: PT017 # one of many, each either way
                refused.add(topic)
            else:
                allowed.add(topic)
    assert allowed == {t for t in EVERY_TOPIC if grants(may_write(role, name, TOPICS), t)}
    assert allowed
    assert refused


async def test_each_node_reads_its_topics_and_no_other(fog: Fog) -> None:
    """Everyone subscribes to everything; all that can be written is; then the manager's charter ends it."""
    writable = {t for t in EVERY_TOPIC if any(grants(may_write(role, n, TOPICS), t) for n, role in NODES)}
    writable.discard(TOPICS.charter())
    buses = {name: fog.bus(name, subscriptions=[Subscription("#")]) for name in NAMES}
    async with (
        buses["operator"],
        buses["manager"],
        buses["pi1"],
        buses["pi2"],
        buses["d1"],
        buses["d2"],
        buses["enforcer"],
        buses["console"],
    ):
        for bus in buses.values():
            await bus.connected.wait()
        for topic in sorted(writable):
            writer = next(n for n, role in NODES if grants(may_write(role, n, TOPICS), topic))
            await buses[writer].publish(topic, b"x")
        await buses["operator"].publish(TOPICS.charter(), b"end")
        for name, role in NODES:
            expected = {t for t in writable if grants(may_read(role, name, TOPICS), t)} | {TOPICS.charter()}
            got = {message.topic for message in await receive(buses[name], len(expected))}
            assert got == expected, name


async def test_a_new_list_holds_at_once_for_who_is_connected(fog: Fog) -> None:
    async with fog.bus("pi1") as agent, fog.bus("manager", subscriptions=[Subscription("#")]) as manager:
        await manager.connected.wait()
        await agent.publish(TOPICS.sample("pi1"), b"x")
        await fog.broker.reload(acl([node for node in NODES if node[0] != "pi1"], TOPICS))
        with pytest.raises(BusError, match="Not authorized"):
            await agent.publish(TOPICS.sample("pi1"), b"y")
        await fog.broker.reload(acl(NODES, TOPICS))
        await agent.publish(TOPICS.sample("pi1"), b"z")
        assert [m.payload for m in await receive(manager, 2)] == [b"x", b"z"]
        await eventually(lambda: agent.counters["connections", ""] == 1)
