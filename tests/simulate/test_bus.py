"""The broker in memory and the clients at it: what MQTT and Mosquitto do, and what they lose."""

from __future__ import annotations

import random

import pytest

from mint.bus.options import Incoming, Subscription
from network.simulate import broker as broker_module
from network.simulate.client import SILENCE_NS, Client
from network.simulate.link import Disturbance
from network.simulate.schedule import S
from tests.simulate.toys import TOPICS, Bench

SAMPLE, FRAME, VOTE = TOPICS.sample("edge1"), TOPICS.frame(), TOPICS.vote("det1")


class User:
    """A client whose messages are collected."""

    def __init__(self, bench: Bench, name: str, *filters: str, qos: int = 1, limit: int = 1024) -> None:
        self.client: Client = bench.client(name)
        self.got: list[Incoming] = []
        self.connections = 0
        self.subscriptions = [Subscription(one, limit=limit, qos=qos) for one in filters]
        self.start()

    def start(self) -> None:
        self.client.start(self.subscriptions, self.got.append, self._connected)

    def _connected(self) -> None:
        self.connections += 1

    def post(
        self, topic: str, text: str, qos: int = 1, retain: bool = False, expiry_s: float | None = None
    ) -> None:
        self.client.post(topic, text.encode(), qos, retain, expiry_s)

    @property
    def texts(self) -> list[str]:
        return [one.payload.decode() for one in self.got]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_message_reaches_whoever_listens_and_may_and_nobody_else(bench: Bench) -> None:
    edge = User(bench, "edge1")
    manager = User(bench, "manager", TOPICS.sample("+"))
    other = User(bench, "edge2", TOPICS.sample("+"), "mint/1/fog1/#")
    deaf = User(bench, "det1", TOPICS.vote("+"))
    bench.run(1)
    edge.post(SAMPLE, "a")
    bench.run(1)
    assert manager.texts == ["a"]
    assert manager.got[0].filter == TOPICS.sample("+")
    assert not other.got, "the access list filters at delivery"
    assert not deaf.got


def test_two_filters_that_match_are_one_delivery(bench: Bench) -> None:
    edge = User(bench, "edge1")
    manager = User(bench, "manager", "mint/1/#", TOPICS.sample("+"))
    bench.run(1)
    edge.post(SAMPLE, "a")
    bench.run(1)
    assert manager.texts == ["a"]


def test_what_the_access_list_denies_is_refused_and_reaches_nobody(bench: Bench) -> None:
    edge = User(bench, "edge1")
    manager = User(bench, "manager", "mint/1/fog1/#")
    bench.run(1)
    for topic in (TOPICS.sample("edge2"), FRAME, VOTE, TOPICS.charter()):
        edge.post(topic, "lie", retain=True)
    bench.run(1)
    assert not manager.got
    assert edge.client.counters["refused"] == bench.broker.counters["denied"] == 4


def test_a_retained_message_waits_for_those_who_come_and_an_empty_one_clears_it(bench: Bench) -> None:
    manager = User(bench, "manager")
    bench.run(1)
    manager.post(TOPICS.charter(), "one", retain=True)
    manager.post(TOPICS.charter(), "two", retain=True)
    bench.run(1)
    late = User(bench, "det1", TOPICS.charter())
    bench.run(1)
    assert late.texts == ["two"]
    assert late.got[0].retained
    manager.post(TOPICS.charter(), "", retain=True)
    bench.run(1)
    assert late.texts == ["two", ""]
    assert not late.got[1].retained, "to who was there it is a message like any other"
    later = User(bench, "det2", TOPICS.charter())
    bench.run(1)
    assert not later.got


def test_who_was_away_gets_qos_1_in_order_and_no_qos_0(bench: Bench) -> None:
    edge = User(bench, "edge1")
    manager = User(bench, "manager", TOPICS.sample("+"))
    low = User(bench, "det1", TOPICS.sample("+"), qos=0)
    bench.run(1)
    for user in (manager, low):
        user.client.stop(flushes=True)
    for number in range(5):
        edge.post(SAMPLE, str(number), qos=number % 2)
    bench.run(1)
    for user in (manager, low):
        user.start()
    bench.run(2)
    assert manager.texts == ["1", "3"]
    assert not low.got


def test_a_full_queue_keeps_the_oldest_and_its_publisher_sees_success(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "MAX_QUEUED", 3)
    edge = User(bench, "edge1")
    manager = User(bench, "manager", TOPICS.sample("+"))
    bench.run(1)
    manager.client.stop(flushes=True)
    for number in range(5):
        edge.post(SAMPLE, str(number))
    bench.run(1)
    manager.start()
    bench.run(1)
    assert manager.texts == ["0", "1", "2"]
    assert bench.broker.counters["dropped"] == 2
    assert not edge.client.counters["refused"]


def test_what_has_expired_is_not_delivered_and_what_has_not_says_how_long_it_lasts(bench: Bench) -> None:
    edge = User(bench, "edge1")
    manager = User(bench, "manager", TOPICS.sample("+"))
    bench.run(1)
    manager.client.stop(flushes=True)
    edge.post(SAMPLE, "short", expiry_s=5)
    edge.post(SAMPLE, "long", expiry_s=60)
    bench.run(10)
    manager.start()
    bench.run(1)
    assert manager.texts == ["long"]
    assert manager.got[0].expiry_s == 50


def test_what_was_posted_without_a_connection_goes_out_on_the_next_one(bench: Bench) -> None:
    manager = User(bench, "manager", TOPICS.sample("+"))
    bench.run(1)
    bench.broker.stop(keeps=True)
    edge = User(bench, "edge1")
    edge.post(SAMPLE, "first")
    edge.post(SAMPLE, "stale", expiry_s=1)
    edge.post(SAMPLE, "second")
    bench.run(3)
    bench.broker.start()
    bench.run(40)
    edge.post(SAMPLE, "third")
    bench.run(1)
    assert manager.texts == ["first", "second", "third"]
    assert edge.client.counters["failed"] > 1


def test_the_outbox_is_bounded_and_sheds_the_oldest(bench: Bench) -> None:
    bench.broker.stop(keeps=True)
    edge = User(bench, "edge1")
    for number in range(4200):
        edge.post(SAMPLE, str(number))
    assert edge.client.counters["dropped"] == 4200 - 4096


@pytest.mark.parametrize("keeps", [True, False])
def test_a_restart_keeps_what_was_acknowledged_or_loses_it_all_since_the_last_save(
    bench: Bench, keeps: bool
) -> None:
    edge, manager = User(bench, "edge1"), User(bench, "manager", TOPICS.sample("+"))
    bench.run(1)
    manager.post(TOPICS.charter(), "old", retain=True)
    bench.run(1)
    bench.broker.save()
    manager.post(TOPICS.charter(), "new", retain=True)
    bench.run(1)
    manager.client.stop(flushes=True)
    edge.post(SAMPLE, "a")
    bench.run(1)
    bench.broker.stop(keeps=keeps)
    bench.run(1)
    bench.broker.start()
    manager.start()
    late = User(bench, "det1", TOPICS.charter())
    bench.run(60)
    assert late.texts == (["new"] if keeps else ["old"])
    assert manager.texts == (["a"] if keeps else [])
    assert edge.connections == 2


def test_without_any_save_a_restart_forgets_the_sessions_and_clients_subscribe_anew(bench: Bench) -> None:
    edge, manager = User(bench, "edge1"), User(bench, "manager", TOPICS.sample("+"))
    bench.run(1)
    bench.broker.stop(keeps=False)
    bench.broker.start()
    bench.run(2)
    edge.post(SAMPLE, "a")
    bench.run(1)
    assert manager.texts == ["a"]


def test_a_short_partition_delays_and_a_long_one_breaks_the_connection_and_loses_no_qos_1(
    bench: Bench,
) -> None:
    edge, manager = User(bench, "edge1"), User(bench, "manager", TOPICS.sample("+"))
    bench.run(10)
    edge.client.part()
    edge.post(SAMPLE, "held")
    bench.run(20)
    assert not manager.got
    edge.client.heal()
    bench.run(1)
    assert manager.texts == ["held"]
    assert edge.connections == 1
    edge.client.part()
    edge.post(SAMPLE, "again")
    edge.post(SAMPLE, "lost", qos=0)
    bench.run(SILENCE_NS / S + 5)
    assert not edge.client.online
    edge.client.heal()
    bench.run(45)
    assert manager.texts == ["held", "again"]
    assert edge.connections == 2


def test_what_a_listener_has_not_acknowledged_comes_again_after_its_partition(bench: Bench) -> None:
    edge, manager = User(bench, "edge1"), User(bench, "manager", TOPICS.sample("+"))
    bench.run(10)
    manager.client.part()
    for number in range(100):
        edge.post(SAMPLE, str(number))
        bench.run(1)
    assert not manager.got
    manager.client.heal()
    bench.run(45)
    assert manager.texts == [str(number) for number in range(100)]


def test_an_unacknowledged_message_is_sent_again_and_comes_twice(bench: Bench) -> None:
    edge, manager = User(bench, "edge1"), User(bench, "manager", TOPICS.sample("+"))
    bench.run(10)
    edge.client.link.down.hold()  # its PUBACK does not pass
    edge.post(SAMPLE, "a")
    bench.run(1)
    assert manager.texts == ["a"]
    edge.client.lost()
    edge.client.link.down.release()
    bench.run(2)
    assert manager.texts == ["a", "a"]


def test_what_a_killed_process_had_written_is_still_sent_and_what_a_host_without_power_had_is_not(
    bench: Bench,
) -> None:
    edge, manager = User(bench, "edge1"), User(bench, "manager", TOPICS.sample("+"))
    for number, flushes in enumerate((True, False)):
        bench.run(2)
        edge.post(SAMPLE, str(number))
        edge.client.stop(flushes=flushes)
        bench.run(1)
        edge.start()
    assert manager.texts == ["0"]


def test_a_process_that_stands_still_sheds_by_the_rule_of_its_subscription(bench: Bench) -> None:
    edge, manager = User(bench, "edge1"), User(bench, "manager", TOPICS.sample("+"), limit=3)
    bench.run(1)
    manager.client.freeze()
    for number in range(5):
        edge.post(SAMPLE, str(number))
    bench.run(1)
    assert not manager.got
    manager.client.thaw()
    assert manager.texts == ["2", "3", "4"]
    assert manager.client.counters["shed"] == 2


@pytest.mark.parametrize("reorder", [False, True])
def test_order_holds_over_one_link_and_when_reordered_for_each_publisher_and_topic_alone(
    bench: Bench, reorder: bool
) -> None:
    edge, manager = User(bench, "edge1"), User(bench, "manager", "mint/1/fog1/agent/#")
    bench.run(1)
    for way in (edge.client.link.up, manager.client.link.down):
        way.disturb(Disturbance(random.Random(3), delay_ns=S, reorder=reorder))
    for number in range(40):
        edge.post((SAMPLE, TOPICS.state("edge1"))[number % 2], str(number))
    bench.run(5)
    numbers = [int(text) for text in manager.texts]
    assert sorted(numbers) == list(range(40))
    assert [n for n in numbers if n % 2] == list(range(1, 40, 2))
    assert [n for n in numbers if not n % 2] == list(range(0, 40, 2))
    assert (numbers != sorted(numbers)) is reorder


def test_loss_takes_qos_0_and_delays_qos_1(bench: Bench) -> None:
    edge, manager = User(bench, "edge1"), User(bench, "manager", TOPICS.sample("+"))
    bench.run(1)
    edge.client.link.up.disturb(Disturbance(random.Random(3), loss_ppm=300_000))
    for number in range(200):
        edge.post(SAMPLE, str(number), qos=number % 2)
        bench.run(0.1)
    bench.run(30)
    numbers = [int(text) for text in manager.texts]
    assert [n for n in numbers if n % 2] == list(range(1, 200, 2))
    assert 50 < len([n for n in numbers if not n % 2]) < 90
    assert numbers == sorted(numbers)


def test_duplicates_come_later_and_delay_nobody(bench: Bench) -> None:
    edge, manager = User(bench, "edge1"), User(bench, "manager", TOPICS.sample("+"))
    bench.run(1)
    manager.client.link.down.disturb(Disturbance(random.Random(3), duplicate_ppm=500_000))
    for number in range(100):
        edge.post(SAMPLE, str(number))
        bench.run(0.01)
    bench.run(0.01)
    first = list(dict.fromkeys(manager.texts))
    assert first == [str(number) for number in range(100)]
    bench.run(5)
    assert 130 < len(manager.got) < 170


def test_the_broker_hands_the_session_to_who_connects_last(bench: Bench) -> None:
    one, two = User(bench, "det1", FRAME), User(bench, "det1", FRAME)
    manager = User(bench, "manager")
    bench.run(0.05)
    two_was_last = two.client.online
    bench.run(0.2)
    manager.post(FRAME, "f")
    bench.run(0.01)
    assert two_was_last
    assert len(one.got) + len(two.got) == 1
