"""The signed envelope: every reason to refuse one is reached, and no change of a signed one gets through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mint import kinds
from mint.charter.seal import open_charter
from mint.envelope import Envelope, ReplayGuard, Signer, object_hash, open_envelope
from mint.errors import Reason, Rejected
from mint.keys import SIGNATURE_SIZE
from mint.messages.judgement import Alarm
from mint.messages.sample import Ack, State
from mint.sign_bytes import Object, Stream
from mint.wire import encode
from tests.builders import Net, key_of

NET = Net(miners=1, devices=2)
TRUST = NET.sealed.trust()
TOPICS = NET.sealed.topics()
ALARM = Alarm(7, "m01", "budget", "above")
ACK = Ack("edge1", 1, 1)


def alarm() -> bytes:
    return NET.signer("det1").object(ALARM)


def ack(session: int = 1) -> bytes:
    return NET.signer("manager", session).stream(ACK, TOPICS.ack("edge1"), 5000)


def signed(name: str, body: Stream | Object, network: bytes = NET.network) -> bytes:
    """Whatever `body` says, signed by `name`."""
    return Signer(name, key_of(name), network)._sealed(body)


@contextmanager
def refused(reason: Reason, match: str | None = None) -> Iterator[None]:
    with pytest.raises(Rejected, match=match) as caught:
        yield
    assert caught.value.reason is reason
    assert "\n" not in str(caught.value)


def test_a_good_one_opens_as_what_was_said() -> None:
    opened = open_envelope(alarm(), TRUST, topic=TOPICS.alarm("det1"), expect="alarm")
    assert (opened.sender, opened.message, opened.data) == ("det1", ALARM, alarm())
    assert opened.hash == object_hash(alarm())
    stream = open_envelope(ack(), TRUST, topic=TOPICS.ack("edge1"))
    assert stream.message == ACK
    assert isinstance(stream.body, Stream)
    assert (stream.body.session, stream.body.sequence, stream.body.time_ms) == (1, 1, 5000)


def test_an_object_may_come_inside_another_message_where_there_is_no_topic() -> None:
    assert open_envelope(alarm(), TRUST).message == ALARM


def test_sequences_count_up_from_one() -> None:
    signer = NET.signer("manager", 3)
    places = []
    for _ in range(3):
        body = open_envelope(signer.stream(ACK, TOPICS.ack("edge1"), 0), TRUST).body
        assert isinstance(body, Stream)
        places.append((body.session, body.sequence))
    assert places == [(3, 1), (3, 2), (3, 3)]


# --- every reason -------------------------------------------------------------------------------------


def test_oversize() -> None:
    with refused(Reason.OVERSIZE):
        open_envelope(bytes(kinds.MAX_BYTES + 1), TRUST)
    big = signed("det1", Object("alarm", "det1", bytes(5000)))
    with refused(Reason.OVERSIZE, "alarm of 5.* at most 4096"):
        open_envelope(big, TRUST)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x92",
        msgpack.packb([b"", b""]),
        msgpack.packb([b"", bytes(64)]),
        msgpack.packb([msgpack.packb(["o", "alarm"]), bytes(64)]),
        msgpack.packb([msgpack.packb(["x", "alarm", "det1", b""]), bytes(64)]),
        msgpack.packb([msgpack.packb(["o", "ALARM", "det1", b""]), bytes(64)]),
        msgpack.packb([msgpack.packb(["o", "alarm", "../det1", b""]), bytes(64)]),
        msgpack.packb({"body": b"", "signature": bytes(64)}),
        alarm() + b"\0",
    ],
)
def test_malformed(data: bytes) -> None:
    with refused(Reason.MALFORMED):
        open_envelope(data, TRUST)


def test_malformed_payload_of_an_honest_signer() -> None:
    data = signed("det1", Object("alarm", "det1", b"\x90"))
    with refused(Reason.MALFORMED):
        open_envelope(data, TRUST)


def test_unknown_sender() -> None:
    with refused(Reason.UNKNOWN_SENDER):
        open_envelope(NET.signer("stranger").object(ALARM), TRUST)


def test_wrong_role() -> None:
    for name in ("manager", "edge1", "enforcer"):
        data = NET.signer(name).object(ALARM)
        with refused(Reason.WRONG_ROLE):
            open_envelope(data, TRUST)


def test_wrong_topic() -> None:
    for topic in (TOPICS.alarm("det2"), TOPICS.vote("det1"), "mint/1/fog2/alarm/det1"):
        with refused(Reason.WRONG_TOPIC):
            open_envelope(alarm(), TRUST, topic=topic)
    # A stream also says itself where it belongs: one device's acknowledgement is not another's.
    with refused(Reason.WRONG_TOPIC):
        open_envelope(ack(), TRUST, topic=TOPICS.ack("edge2"))


def test_wrong_kind() -> None:
    with refused(Reason.WRONG_KIND):
        open_envelope(alarm(), TRUST, expect="vote")
    nonsense = signed("det1", Object("nonsense", "det1", b""))
    with refused(Reason.WRONG_KIND):
        open_envelope(nonsense, TRUST)
    as_object = signed("manager", Object("ack", "manager", encode(ACK)))
    with refused(Reason.WRONG_KIND):
        open_envelope(as_object, TRUST)
    as_stream = signed("det1", Stream("alarm", "det1", 1, 1, 0, TOPICS.alarm("det1"), encode(ALARM)))
    with refused(Reason.WRONG_KIND):
        open_envelope(as_stream, TRUST)


def test_bad_signature() -> None:
    body, _ = msgpack.unpackb(alarm())
    with refused(Reason.BAD_SIGNATURE):
        open_envelope(msgpack.packb([body, bytes(64)]), TRUST)
    in_anothers_name = signed("det2", Object("alarm", "det1", encode(ALARM)))
    with refused(Reason.BAD_SIGNATURE):
        open_envelope(in_anothers_name, TRUST)


def test_another_networks_message_is_not_ours_though_the_key_is() -> None:
    elsewhere = Signer("det1", key_of("det1"), bytes(32)).object(ALARM)
    with refused(Reason.BAD_SIGNATURE):
        open_envelope(elsewhere, TRUST)


def test_the_signature_is_checked_before_the_payload_is_decoded() -> None:
    body = encode(Object("alarm", "det1", b"\xc1 not even MessagePack"))
    with refused(Reason.BAD_SIGNATURE):
        open_envelope(encode(Envelope(body, bytes(64))), TRUST)


# --- replay -------------------------------------------------------------------------------------------


def stream(session: int, sequence: int, time_ms: int = 0, topic: str = "t") -> Stream:
    return Stream("ack", "manager", session, sequence, time_ms, topic, b"")


def test_a_stream_goes_forward_only() -> None:
    guard = ReplayGuard(1000)
    guard.check(stream(2, 5), 0)
    guard.check(stream(2, 5), 0)  # checking records nothing
    guard.accept(stream(2, 5))
    assert guard.place("manager", "t") == (2, 5)
    for body, reason in (
        (stream(1, 9), Reason.OLD_SESSION),
        (stream(2, 5), Reason.REPLAYED),
        (stream(2, 4), Reason.REPLAYED),
    ):
        with refused(reason):
            guard.check(body, 0)
    guard.check(stream(2, 6), 0)
    guard.check(stream(3, 1), 0)
    guard.check(stream(1, 1, topic="another"), 0)
    guard.resume("manager", "t", 7, 7)
    with refused(Reason.OLD_SESSION):
        guard.check(stream(6, 8), 0)


def test_a_streams_time_is_near_ours() -> None:
    guard = ReplayGuard(1000, max_age_ms=5000)
    for good in (5000, 11_000, 10_000):
        guard.check(stream(1, 1, good), 10_000)
    for bad in (4999, 11_001, 0, 2**63 - 1):
        with refused(Reason.WRONG_TIME):
            guard.check(stream(1, 1, bad), 10_000)


# --- laws ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [alarm, ack], ids=["object", "stream"])
def test_no_single_changed_byte_gets_through(make: Callable[[], bytes]) -> None:
    data = make()
    for at in range(len(data)):
        for flip in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            mutant = bytearray(data)
            mutant[at] ^= flip
            with pytest.raises(Rejected):
                open_envelope(bytes(mutant), TRUST)


@given(st.data())
def test_no_changed_inserted_or_removed_bytes_get_through(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([alarm(), ack(), NET.sealed.data]))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 8)))
    mutant = whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:]
    if mutant == whole:
        return
    with pytest.raises(Rejected):
        open_envelope(mutant, TRUST)
    with pytest.raises(Rejected):
        open_charter(mutant, NET.operator.public)


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_rejected(data: bytes) -> None:
    for mutant in (data, encode(Envelope(data, bytes(SIGNATURE_SIZE)))):
        with pytest.raises(Rejected):
            open_envelope(mutant, TRUST)
        with pytest.raises(Rejected):
            open_charter(mutant, NET.operator.public)


@given(st.binary(max_size=100))
def test_no_random_payload_of_an_honest_signer_raises_anything_but_rejected(payload: bytes) -> None:
    for kind in kinds.BY_NAME.values():
        name = next(
            n for n, role in {**NET.roles, "operator": None}.items() if role in kind.roles or role is None
        )
        body: Stream | Object = Object(kind.name, name, payload)
        if kind.stream:
            body = Stream(kind.name, name, 1, 1, 0, "t", payload)
        try:
            open_envelope(signed(name, body), TRUST)
        except Rejected:
            continue


def test_another_encoding_of_the_same_envelope_is_refused() -> None:
    """Samples are named by the hash of their envelope: it must have one encoding only."""
    body, signature = msgpack.unpackb(alarm())
    longer = b"\x92\xc5" + len(body).to_bytes(2, "big") + body + msgpack.packb(signature)
    with refused(Reason.MALFORMED):
        open_envelope(longer, TRUST)


def test_state_of_a_will_is_a_stream_like_any_other() -> None:
    data = NET.signer("edge1", 4).stream(State(False, "docker", ()), TOPICS.state("edge1"), 0)
    assert open_envelope(data, TRUST, topic=TOPICS.state("edge1")).message == State(False, "docker", ())
