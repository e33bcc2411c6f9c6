"""The agent as whoever runs it sees it: a member that listens, and when it wants to sample."""

from __future__ import annotations

import logging

import pytest

from agents.agent import Agent
from mint.bus.options import Incoming
from mint.effects import Now
from mint.errors import Reason
from mint.member import Member
from mint.messages.sample import Ack, Sample, State
from mint.rejections import Rejections
from tests.agents.fog import AGENT, MANAGER, PERIOD_MS, Keys, next_version

NS_PER_MS = 1_000_000
PERIOD_NS = PERIOD_MS * NS_PER_MS
BORN, SAMPLE = State(True, "cgroup v1", ("miner_01",)), Sample(bytes(16), 2, 0, ())
START_NS = 7_000_000_123


class Talk:
    """An agent and its manager; `at(n)`: the time n periods after the start."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.sealed = self.keys.charter()
        log = logging.getLogger("mint.test")
        self.member = Member(
            AGENT,
            self.keys.signer(AGENT, session=7),
            self.keys.operator.public,
            [self.sealed],
            log=log,
            rejections=Rejections(log, lambda: 0.0),
        )
        self.agent = Agent(self.member, BORN, self.at(0))
        self.manager = self.keys.signer(MANAGER)

    def at(self, periods: float) -> Now:
        return Now(START_NS + int(periods * PERIOD_NS), 1_000_000 + int(periods * PERIOD_MS))

    def hears(self, topic: str, data: bytes, periods: float = 0) -> None:
        assert self.agent.receive(Incoming(topic, data, False, None, topic), self.at(periods)) == ()

    def acks(self, sequence: int) -> None:
        topic = self.sealed.topics().ack(AGENT)
        self.hears(topic, self.manager.stream(Ack(AGENT, 7, sequence), topic, self.at(0).wall_ms))


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_samples_are_due_on_one_grid_whatever_they_took(talk: Talk) -> None:
    assert talk.agent.due_ns() == START_NS + PERIOD_NS
    talk.agent.sampled(SAMPLE, BORN, talk.at(1.3), connected=True)
    assert talk.agent.due_ns() == START_NS + 2 * PERIOD_NS
    talk.agent.sampled(SAMPLE, BORN, talk.at(4.7), connected=True)
    assert talk.agent.due_ns() == START_NS + 5 * PERIOD_NS


def test_an_acknowledgement_empties_the_ring_and_a_false_one_is_counted(talk: Talk) -> None:
    talk.agent.connected(talk.at(0))  # takes sequence 1
    talk.agent.sampled(SAMPLE, BORN, talk.at(1), connected=True)
    talk.acks(9)
    assert len(talk.agent.ring) == 1
    assert talk.member.rejections.by_reason == {Reason.IMPOSSIBLE: 1}
    talk.acks(2)
    assert len(talk.agent.ring) == 0


def test_a_new_charter_is_gone_by_and_its_period_from_the_next_sample_on(talk: Talk) -> None:
    newer = next_version(talk.sealed, talk.keys.operator, period_ms=PERIOD_MS // 2)
    talk.hears(talk.sealed.topics().charter(), newer.data, periods=0.2)
    assert talk.agent.charter.hash == newer.hash
    assert talk.agent.due_ns() == START_NS + PERIOD_NS // 2


def test_it_listens_to_charters_and_to_what_is_said_to_it(talk: Talk) -> None:
    topics = talk.sealed.topics()
    assert [one.filter for one in talk.agent.subscriptions()] == [topics.charter(), topics.ack(AGENT)]
