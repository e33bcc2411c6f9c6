"""Typed MessagePack, the Merkle root, names, topics and the table of kinds."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mint import kinds
from mint.errors import InputError, MintError, Reason, Rejected
from mint.merkle import leaf_hash, root
from mint.messages.frame import FrameRequest
from mint.messages.sample import Ack
from mint.names import Role, checked_name, is_name, scope
from mint.topics import Topics, may_read, may_write
from mint.wire import Wire, decode, encode

TOPICS = Topics("fog1")


# --- wire ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        ["edge1", 1],  # a field is missing
        ["edge1", 1, 2, 3],  # one too many
        ["edge1", 1, -1],
        ["edge1", 1, 2**63],
        ["edge1", 1, 2.0],
        ["edge1", True, 2],
        ["edge1", "1", 2],
        [b"edge1", 1, 2],
        ["Edge1", 1, 2],
        ["edge1\n", 1, 2],
        ["edge/1", 1, 2],
        ["", 1, 2],
        ["e" * 33, 1, 2],
        {"device": "edge1", "session": 1, "sequence": 2},
        None,
    ],
)
def test_decoding_takes_nothing_but_the_fields_in_their_types_and_ranges(fields: Any) -> None:
    with pytest.raises(Rejected) as caught:
        decode(msgpack.packb(fields), Ack)
    assert caught.value.reason is Reason.MALFORMED


def test_trailing_bytes_are_refused() -> None:
    data = encode(Ack("edge1", 1, 2))
    assert decode(data, Ack) == Ack("edge1", 1, 2)
    for more in (b"\0", data):
        with pytest.raises(Rejected, match="trailing"):
            decode(data + more, Ack)


def every_wire(of: type[Wire] = Wire) -> list[type[Wire]]:
    return [kind for sub in of.__subclasses__() for kind in (sub, *every_wire(sub))]


@given(st.binary(max_size=200), st.sampled_from(every_wire()))
def test_random_bytes_raise_nothing_but_rejected(data: bytes, as_type: type[Wire]) -> None:
    for mutant in (data, b"\x9a" + data, b"\xdc\x00\x0a" + data):
        with contextlib.suppress(Rejected):
            decode(mutant, as_type)


@pytest.mark.parametrize("as_type", every_wire())
@pytest.mark.parametrize(
    "data",
    [b"\x91" * 100_000, b"\x81" * 100_000, b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xc1", b""],
)
def test_no_bytes_make_the_decoder_nest_or_allocate_without_end(data: bytes, as_type: type[Wire]) -> None:
    with pytest.raises(Rejected):
        decode(data, as_type)


def test_a_reply_may_be_asked_for_no_more_frames_than_it_may_carry() -> None:
    assert decode(encode(FrameRequest("det1", "manager", 1, 32, False)), FrameRequest).count == 32
    for count in (0, 33):
        with pytest.raises(Rejected):
            decode(msgpack.packb(["det1", "manager", 1, count, False]), FrameRequest)


# --- merkle -------------------------------------------------------------------------------------------


def by_the_book(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_the_book(leaves[:k]) + by_the_book(leaves[k:])).digest()


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_the_root_is_that_of_rfc_6962(entries: list[bytes]) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    assert root(leaves) == by_the_book(leaves)


def test_the_root_of_certificate_transparencys_own_vectors() -> None:
    entries = [
        b"",
        b"\x00",
        b"\x10",
        bytes.fromhex("2021"),
        bytes.fromhex("3031"),
        bytes.fromhex("40414243"),
        bytes.fromhex("5051525354555657"),
        bytes.fromhex("606162636465666768696a6b6c6d6e6f"),
    ]
    leaves = [leaf_hash(entry) for entry in entries]
    assert root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root(leaves[:2]).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert root(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


# --- names and topics ---------------------------------------------------------------------------------


@given(st.text(max_size=40))
def test_a_name_is_safe_as_topic_level_folder_and_common_name(text: str) -> None:
    safe = (
        1 <= len(text) <= 32 and set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789_") and text[0] != "_"
    )
    assert is_name(text) == safe


def test_a_wrong_name_is_said_with_its_place_and_the_rule() -> None:
    assert checked_name("pi_4", "--node") == "pi_4"
    with pytest.raises(InputError, match=r"^--node: 'Pi 4' is not a name; use 1 to 32 of a-z"):
        checked_name("Pi 4", "--node")


def test_a_networks_scope_is_the_beginning_of_its_id() -> None:
    assert scope(bytes(range(32))) == "000102030405"


def topic_of(kind: str, sender: str) -> str:
    """The topic that a kind of message of this sender goes to, where anyone else is named `x`."""
    return {
        "charter": TOPICS.charter(),
        "state": TOPICS.state(sender),
        "sample": TOPICS.sample(sender),
        "ack": TOPICS.ack("x"),
        "frame": TOPICS.frame(),
        "request": TOPICS.frame_request(),
        "reply": TOPICS.frame_reply("x"),
        "twin": TOPICS.twin("x"),
        "behaviour": TOPICS.behaviour(sender),
        "alarm": TOPICS.alarm(sender),
        "vote": TOPICS.vote(sender),
        "verdict": TOPICS.verdict(sender, "x"),
        "receipt": TOPICS.receipt(sender),
        "fault": TOPICS.fault(sender),
        "block": TOPICS.block(),
        "shares": TOPICS.share(sender),
        "block_request": TOPICS.block_request(),
        "block_reply": TOPICS.block_reply("x"),
    }[kind]


def matches(filter_: str, topic: str) -> bool:
    wanted, given_ = filter_.split("/"), topic.split("/")
    if wanted[-1] == "#":
        return given_[: len(wanted) - 1] == wanted[:-1]
    return len(wanted) == len(given_) and all(w in ("+", g) for w, g in zip(wanted, given_, strict=True))


# An absence is only in blocks.
TOLD = {name: kind for name, kind in kinds.BY_NAME.items() if name != "absence"}


@pytest.mark.parametrize("kind", TOLD.values(), ids=lambda kind: kind.name)
def test_whoever_may_send_a_kind_may_write_its_topic_at_the_broker(kind: kinds.Kind) -> None:
    topic = topic_of(kind.name, "me")
    assert kind.fits(TOPICS, "me", topic)
    for role in kind.roles:
        assert any(matches(filter_, topic) for filter_ in may_write(role, "me", TOPICS)), role
        assert any(matches(filter_, topic) for filter_ in may_read(Role.CONSOLE, "c", TOPICS))


@pytest.mark.parametrize("kind", TOLD.values(), ids=lambda kind: kind.name)
def test_a_kind_fits_no_other_topic(kind: kinds.Kind) -> None:
    own = topic_of(kind.name, "me")
    assert not kinds.BY_NAME["absence"].fits(TOPICS, "me", own)
    for other in TOLD:
        if other != kind.name:
            assert not kind.fits(TOPICS, "me", topic_of(other, "me"))
    other_fog = own.replace("fog1", "fog2")
    for wrong in (other_fog, own + "/more", own.rpartition("/")[0], own.rpartition("/")[0] + "/", ""):
        assert not kind.fits(TOPICS, "me", wrong), wrong


def test_a_topic_that_names_its_sender_fits_only_that_sender() -> None:
    kinds_of_one = ("state", "sample", "behaviour", "alarm", "vote", "verdict", "receipt", "fault", "shares")
    for kind in kinds_of_one:
        assert not kinds.BY_NAME[kind].fits(TOPICS, "other", topic_of(kind, "me"))


def test_an_agent_reads_nothing_of_its_neighbours() -> None:
    read = may_read(Role.AGENT, "edge1", TOPICS)
    for topic in (TOPICS.sample("edge2"), TOPICS.ack("edge2"), TOPICS.alarm("det1"), TOPICS.frame()):
        assert not any(matches(filter_, topic) for filter_ in read)


def test_nobody_may_write_in_anothers_name() -> None:
    for role in Role:
        for filter_ in may_write(role, "me", TOPICS):
            for sender_topic in (
                "agent/+",
                "vote/+",
                "alarm/+",
                "behaviour/+",
                "receipt/+",
                "fault/+",
                "verdict/+",
            ):
                assert not filter_.startswith(f"mint/1/fog1/{sender_topic}"), (role, filter_)


def test_what_is_no_message_of_the_bus_is_the_programs_mistake() -> None:
    class Other(Wire, frozen=True):
        pass

    with pytest.raises(MintError, match="Other is not a message"):
        kinds.of(Other())
