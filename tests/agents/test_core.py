"""The core: what goes out for what comes in, without a broker or a clock."""

from __future__ import annotations

import pytest

from agents.core import SAMPLE_EXPIRY_S, Core
from agents.ring import RING_SAMPLES
from mint.effects import Now, Post
from mint.envelope import Opened, open_envelope
from mint.errors import Reason, Rejected
from mint.messages.sample import Ack, Sample, State
from tests.agents.fog import AGENT, MANAGER, PERIOD_MS, Keys, next_version

MS = 1_000_000
BORN = State(True, "cgroup v1", ("miner_01",))
SAMPLE = Sample(bytes(16), 2, 0, ())


class Talk:
    """A core, and a manager's signer to answer it; `tick` counts periods."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.sealed = self.keys.charter()
        self.core = Core(self.keys.signer(AGENT, session=7), self.sealed, BORN)
        self.manager = self.keys.signer(MANAGER)
        self.tick = 0

    def now(self) -> Now:
        return Now(self.tick * PERIOD_MS * MS, 1_000_000 + self.tick * PERIOD_MS)

    def sampled(self, *, connected: bool = True, state: State = BORN) -> list[Post]:
        self.tick += 1
        return self.core.sampled(SAMPLE, state, self.now(), connected=connected)

    def opened(self, post: Post) -> Opened:
        return open_envelope(post.data, self.sealed.trust(), topic=post.topic)

    def said(self, posts: list[Post]) -> list[tuple[str, int]]:
        bodies = [self.opened(post).body for post in posts]
        return [(body.kind, getattr(body, "sequence", 0)) for body in bodies]

    def ack(self, session: int, sequence: int, device: str = AGENT) -> int:
        topic = self.sealed.topics().ack(AGENT)
        data = self.manager.stream(Ack(device, session, sequence), topic, self.now().wall_ms)
        return self.core.acknowledged(open_envelope(data, self.sealed.trust(), topic=topic), self.now())


def test_a_connection_begins_with_birth_and_what_is_unacknowledged() -> None:
    talk = Talk()
    assert [talk.sampled(connected=False) for _ in range(3)] == [[], [], []]
    posts = talk.core.connected(talk.now())
    assert talk.said(posts) == [("state", 4), ("sample", 1), ("sample", 2), ("sample", 3)]
    assert [(post.retain, post.expiry_s) for post in posts] == [(True, None)] + [(False, SAMPLE_EXPIRY_S)] * 3
    assert talk.opened(posts[0]).message == BORN


def test_a_sample_goes_out_once_if_it_is_acknowledged() -> None:
    talk = Talk()
    talk.core.connected(talk.now())  # takes sequence 1
    for sequence in range(2, 80):
        assert talk.said(talk.sampled()) == [("sample", sequence)]
        assert talk.ack(7, sequence) == 1
    assert len(talk.core.ring) == 0
    assert talk.core.ring.dropped == 0


def test_without_acknowledgement_the_same_bytes_go_out_again_before_newer_ones() -> None:
    talk = Talk()
    talk.core.connected(talk.now())
    first = talk.sampled()
    assert talk.said(talk.sampled()) == [("sample", 3)]
    again = talk.sampled()
    assert talk.said(again) == [("sample", 2), ("sample", 4)]
    assert again[0] == first[0]


def test_a_silent_manager_costs_a_bounded_multiple() -> None:
    talk = Talk()
    talk.core.connected(talk.now())
    posts = [len(talk.sampled()) for _ in range(10 * RING_SAMPLES)]
    assert max(posts) <= 5
    assert len(talk.core.ring) == RING_SAMPLES
    assert talk.core.ring.dropped == 9 * RING_SAMPLES


def test_a_change_of_the_miners_is_a_birth_once() -> None:
    talk = Talk()
    talk.core.connected(talk.now())
    more = State(True, "cgroup v1", ("miner_01", "miner_02"))
    assert talk.said(talk.sampled(state=more)) == [("state", 3), ("sample", 2)]
    assert talk.said(talk.sampled(state=more)) == [("sample", 4)]
    talk.sampled(connected=False, state=BORN)
    assert talk.opened(talk.core.connected(talk.now())[0]).message == BORN


@pytest.mark.parametrize(
    ("session", "sequence", "device", "reason"),
    [
        (7, 3, AGENT, Reason.IMPOSSIBLE),  # not sent yet
        (8, 1, AGENT, Reason.IMPOSSIBLE),  # another agent of our name, or a state folder from a backup
        (7, 2, "edge2", Reason.WRONG_TOPIC),
    ],
)
def test_acks_that_cannot_be(session: int, sequence: int, device: str, reason: Reason) -> None:
    talk = Talk()
    talk.core.connected(talk.now())
    talk.sampled()
    with pytest.raises(Rejected) as rejected:
        talk.ack(session, sequence, device)
    assert rejected.value.reason is reason
    assert len(talk.core.ring) == 1


def test_an_ack_of_an_earlier_run_is_no_news() -> None:
    talk = Talk()
    assert talk.ack(6, 1_000) == 0
    talk.core.connected(talk.now())
    talk.sampled()
    assert talk.ack(6, 1_001) == 0
    assert talk.ack(7, 2) == 1


def test_acks_are_taken_once_also_across_a_new_charter() -> None:
    talk = Talk()
    talk.core.connected(talk.now())
    topic = talk.sealed.topics().ack(AGENT)
    data = talk.manager.stream(Ack(AGENT, 7, 0), topic, talk.now().wall_ms)
    opened = open_envelope(data, talk.sealed.trust(), topic=topic)
    assert talk.core.acknowledged(opened, talk.now()) == 0
    talk.core.take_charter(next_version(talk.sealed, talk.keys.operator, period_ms=1_000))
    with pytest.raises(Rejected) as rejected:
        talk.core.acknowledged(opened, talk.now())
    assert rejected.value.reason is Reason.REPLAYED
    assert talk.core.ring.resend_ns == 2_000 * MS


def test_death_is_a_retained_word_of_this_session() -> None:
    talk = Talk()
    post = talk.core.death(talk.now())
    assert post.retain
    assert talk.opened(post).message == State(False, "", ())
