"""A host: effects in their order, a crash before any of them, what the disk keeps and what it does not."""

from __future__ import annotations

import pytest

from mint.effects import Effect, Keep, Now, Post, Say
from mint.envelope import Envelope
from mint.messages.sample import Ack
from mint.sign_bytes import Stream
from mint.wire import decode
from network.simulate.charter import NETWORK
from network.simulate.schedule import MS, S
from network.simulate.signing import verifies
from tests.simulate.toys import TOPICS, Bench, Toy

SAMPLE = TOPICS.sample("edge1")


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.toy("manager", None, TOPICS.sample("+"))
    bench.toy("edge1", SAMPLE)
    return bench


def test_a_component_is_ticked_when_it_is_due_and_a_little_late(bench: Bench) -> None:
    bench.run(10.5)
    assert bench.heard("manager") == list(range(1, 11))
    assert bench.alive("edge1").due == bench.hosts["edge1"].clock.monotonic_ns(0) + 11 * S


@pytest.mark.parametrize("effects", range(6))
def test_a_crash_comes_before_the_effect_it_is_set_for_and_what_was_stored_stays(
    bench: Bench, effects: int
) -> None:
    bench.run(3.5)
    bench.done.clear()
    bench.hosts["edge1"].crash_after(effects, 2 * S)
    # Ticks ask for Keep and Post in turn: an odd count has stored a number that was not told.
    bench.run(effects // 2 + 1)
    done = [effect for name, effect in bench.done if name == "edge1"]
    assert len(done) == effects
    assert isinstance(done[-1], Post if effects % 2 == 0 else Keep) if done else effects == 0
    assert bench.hosts["edge1"].component is None
    bench.run(10)
    assert bench.alive("edge1") is not bench.made["edge1"][0]
    heard = bench.heard("manager")
    untold = [4 + effects // 2] if effects % 2 else []
    assert sorted(heard + untold) == list(range(1, max(heard) + 1))


def test_every_start_is_a_new_session(bench: Bench) -> None:
    host = bench.hosts["edge1"]
    bench.run(1)
    first = host.disk.session
    host.crash(S)
    bench.run(3)
    assert host.disk.session == first + 1


def test_who_is_down_hears_nothing_and_who_comes_back_gets_what_waited(bench: Bench) -> None:
    bench.run(2.5)
    bench.hosts["manager"].crash(3 * S)
    bench.run(2)
    assert bench.heard("manager") == [1, 2]
    bench.run(10)
    assert bench.heard("manager") == list(range(1, 15))
    assert len(bench.made["manager"]) == 2


def test_an_old_backup_brings_back_the_storage_and_the_session(bench: Bench) -> None:
    host = bench.hosts["edge1"]
    bench.run(3.5)
    backup = host.disk.copy()
    bench.run(5)
    host.restore(backup, S)
    bench.run(1.5)
    assert host.disk.session == backup.session + 1
    assert bench.alive("edge1").number == 3
    bench.run(2)
    assert bench.heard("manager")[-2:] == [4, 5]


def test_a_process_that_stands_still_is_told_everything_when_it_goes_on(bench: Bench) -> None:
    bench.run(1.5)
    bench.hosts["manager"].freeze()
    bench.hosts["edge1"].freeze()
    bench.run(5)
    assert bench.heard("manager") == [1]
    bench.hosts["edge1"].thaw()
    bench.run(1)
    assert bench.heard("manager") == [1]
    bench.hosts["manager"].thaw()
    assert bench.heard("manager") == list(range(1, 8))


def test_a_fast_clock_is_a_fast_component(bench: Bench) -> None:
    host = bench.hosts["edge1"]
    bench.run(1.5)
    host.clock.dilate(bench.schedule.now_ns, 1_000_000)
    host.clock_changed()
    bench.run(5)
    assert bench.alive("edge1").number == 11


def test_what_is_said_is_signed_as_the_next_of_this_session() -> None:
    bench = Bench()

    class Speaker(Toy):
        def tick(self, now: Now) -> tuple[Effect, ...]:
            self.due += S
            return (Say(TOPICS.ack("edge1"), Ack("edge1", 1, 1), qos=1),)

    bench.add("manager", lambda start: Speaker(start, None, ()))
    bench.toy("edge1", None, TOPICS.ack("edge1"))
    bench.run(1.5)
    bench.hosts["manager"].crash(100 * MS)
    bench.run(3)
    key = bench.hosts["manager"].key
    places = []
    for incoming in bench.alive("edge1").heard:
        envelope = decode(incoming.payload, Envelope)
        body = decode(envelope.body, Stream)
        assert verifies(key.public, envelope.signature, b"MinT/1" + NETWORK + envelope.body)
        assert (body.sender, body.topic) == ("manager", incoming.topic)
        places.append((body.session, body.sequence))
    assert places == [(1, 1), (2, 1), (2, 2)]


def test_what_a_component_raises_is_not_swallowed(bench: Bench) -> None:
    class Broken(Toy):
        def tick(self, now: Now) -> tuple[Effect, ...]:
            raise ZeroDivisionError

    bench.add("det1", lambda start: Broken(start, None, ()))
    with pytest.raises(ZeroDivisionError):
        bench.run(2)
