"""The agent's core: what to send when it connects, samples, is acknowledged or ends.

Pure: samples, acknowledgements and the two clocks come in, messages to post go out. While there is no
connection samples only go into the ring; a new connection begins with the birth and everything that the
manager has not said to have stored, in order.
"""

from __future__ import annotations

from agents.ring import RESEND_PERIODS, Ring
from mint.charter.seal import SealedCharter
from mint.effects import Now, Post
from mint.envelope import Envelope, Opened, ReplayGuard, Signer
from mint.errors import Reason, Rejected
from mint.messages.sample import Ack, Sample, State
from mint.names import Role
from mint.sign_bytes import Stream
from mint.wire import decode

# Samples older than this say nothing that later ones do not; a full queue at the broker would drop the
# newest.
SAMPLE_EXPIRY_S = 60
NS_PER_MS = 1_000_000


class Core:
    """One device's side of the conversation with the twin manager.

    `signer` has this run's session, `state` is what the first birth says.
    """

    def __init__(self, signer: Signer, charter: SealedCharter, state: State) -> None:
        self._signer = signer
        self.device = signer.name
        topics = charter.topics()
        self.state_topic, self.sample_topic = topics.state(self.device), topics.sample(self.device)
        self.ack_topic = topics.ack(self.device)
        self._state, self._told = state, state
        self._guard = ReplayGuard(charter.charter.clock_tolerance_ms)
        self.ring = Ring(_resend_ns(charter))

    def take_charter(self, charter: SealedCharter) -> None:
        """Go by a new charter of the same fog; what was accepted before is not accepted again."""
        guard = ReplayGuard(charter.charter.clock_tolerance_ms)
        for manager in charter.charter.nodes_of(Role.MANAGER):
            guard.resume(manager.name, self.ack_topic, *self._guard.place(manager.name, self.ack_topic))
        self._guard = guard
        self.ring.resend_ns = _resend_ns(charter)

    def death(self, now: Now) -> Post:
        """The death: last will, or the word of an agent that ends on purpose."""
        return self._state_post(State(False, "", ()), now)

    def connected(self, now: Now) -> list[Post]:
        """A connection stands: birth, and every sample that is not acknowledged."""
        again = [self._sample_post(data) for data in self.ring.everything(now.monotonic_ns)]
        return [self._birth(now), *again]

    def sampled(self, sample: Sample, state: State, now: Now, *, connected: bool) -> list[Post]:
        """A new sample, and the state as it is now: what to post, a changed state and older samples first."""
        data = self._signer.stream(sample, self.sample_topic, now.wall_ms)
        again = self.ring.unacked(now.monotonic_ns) if connected else []
        self.ring.add(*_place(data), data, now.monotonic_ns)
        self._state = state
        if not connected:
            return []
        births = [self._birth(now)] if state != self._told else []
        return [*births, *(self._sample_post(older) for older in again), self._sample_post(data)]

    def acknowledged(self, opened: Opened, now: Now) -> int:
        """Take an acknowledgement whose envelope is valid; how many samples left the ring.

        Raises:
            Rejected: not for us, replayed, or of samples that we never sent.
        """
        body, ack = opened.body, opened.message
        if not isinstance(body, Stream) or not isinstance(ack, Ack):  # the kind's table says so
            raise Rejected(Reason.WRONG_KIND, "not an ack")
        self._guard.check(body, now.wall_ms)
        if ack.device != self.device:
            raise Rejected(Reason.WRONG_TOPIC, f"ack of {ack.device} for {self.device}")
        if (ack.session, ack.sequence) > max(self.ring.newest, (self._signer.session, 0)):
            raise Rejected(
                Reason.IMPOSSIBLE,
                f"{body.sender} has session {ack.session} sequence {ack.sequence} of us, we are at session "
                f"{self._signer.session}: another agent runs as {self.device}, or its state folder was put back",
            )
        self._guard.accept(body)
        return self.ring.acked(ack.session, ack.sequence)

    def _birth(self, now: Now) -> Post:
        self._told = self._state
        return self._state_post(self._state, now)

    def _state_post(self, state: State, now: Now) -> Post:
        data = self._signer.stream(state, self.state_topic, now.wall_ms)
        return Post(self.state_topic, data, retain=True)

    def _sample_post(self, data: bytes) -> Post:
        return Post(self.sample_topic, data, expiry_s=SAMPLE_EXPIRY_S)


def _place(data: bytes) -> tuple[int, int]:
    body = decode(decode(data, Envelope).body, Stream)
    return body.session, body.sequence


def _resend_ns(charter: SealedCharter) -> int:
    return RESEND_PERIODS * charter.charter.period_ms * NS_PER_MS
