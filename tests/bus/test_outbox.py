"""The queue of outgoing messages: order, bounds, and what is shed first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mint.bus.outbox import Outbox, Outgoing


def outgoing(number: int, qos: int = 1, size: int = 1) -> Outgoing:
    return Outgoing(str(number), b"." * size, qos, False, 0.0)


def names(messages: list[Outgoing]) -> list[int]:
    return [int(m.topic) for m in messages]


def drained(box: Outbox) -> list[int]:
    return names(box.empty())


def test_sheds_the_expendable_first_then_the_oldest() -> None:
    box = Outbox(max_messages=3)
    for number, qos in enumerate([1, 0, 1]):
        assert box.add(outgoing(number, qos)) == []
    assert names(box.add(outgoing(3))) == [1]
    assert names(box.add(outgoing(4))) == [0]
    assert names(box.add(outgoing(5, qos=0))) == [5]
    assert drained(box) == [2, 3, 4]


def test_bytes_are_bounded_too() -> None:
    box = Outbox(max_bytes=10)
    for number in range(3):
        box.add(outgoing(number, size=4))
    assert drained(box) == [1, 2]
    assert names(box.add(outgoing(9, size=11))) == [9]
    assert len(box) == 0


def test_what_was_in_flight_is_first_after_a_reconnection() -> None:
    box = Outbox()
    for number in range(5):
        box.add(outgoing(number))
    for packet_id in (10, 11, 12):
        message = box.next()
        assert message is not None
        box.sent(packet_id, message)
    acknowledged = box.acknowledged(11)
    assert acknowledged is not None
    assert acknowledged.topic == "1"
    assert box.acknowledged(11) is None
    box.connection_lost()
    assert box.in_flight == 0
    assert drained(box) == [0, 2, 3, 4]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "send", "ack", "lose", "back"]), st.integers(0, 1), st.integers(0, 9)
        )
    )
)
def test_never_more_than_allowed_never_out_of_order_never_lost_unsaid(
    steps: list[tuple[str, int, int]],
) -> None:
    box = Outbox(max_messages=5, max_bytes=20)
    shed: list[int] = []
    done: list[int] = []
    packet_id = added = 0
    in_flight: dict[int, int] = {}
    for step, qos, size in steps:
        if step == "add":
            shed += names(box.add(outgoing(added, qos, size)))
            added += 1
        elif step in {"send", "back"}:
            message = box.next()
            if message is None:
                continue
            if step == "back":
                box.put_back(message)
            elif message.qos == 0:
                done.append(int(message.topic))
            else:
                packet_id += 1
                box.sent(packet_id, message)
                in_flight[packet_id] = int(message.topic)
        elif step == "ack" and in_flight:
            oldest = next(iter(in_flight))
            acknowledged = box.acknowledged(oldest)
            assert acknowledged is not None
            done.append(in_flight.pop(oldest))
            assert int(acknowledged.topic) == done[-1]
        elif step == "lose":
            box.connection_lost()
            in_flight.clear()
        assert len(box) - box.in_flight <= 5 + packet_id  # what came back from the wire is not shed for it
    left = drained(box)
    assert left == sorted(left)
    assert sorted(left + shed + done) == list(range(added))
    assert (box._bytes, box._expendable, len(box)) == (0, 0, 0)
