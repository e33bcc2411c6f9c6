"""What a component needs before its own work: files, keys, charters on disk, counted rejections, the courier."""

from __future__ import annotations

import logging
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from mint.bus.options import Incoming
from mint.charter.model import Node as Member
from mint.charter.model import replaced
from mint.charter.seal import seal
from mint.courier import Courier
from mint.effects import Post, Say
from mint.envelope import Opened, open_envelope
from mint.errors import InputError, Reason, Rejected
from mint.files import next_count, write_atomic
from mint.keys import SigningKey, load_public, network_id, new_key, verifies
from mint.member import MAX_CHARTERS
from mint.messages.frame import FrameRequest
from mint.messages.judgement import Alarm
from mint.messages.sample import Ack
from mint.names import Role
from mint.node import CHARTERS, OPERATOR_KEY, SESSION, SIGNING_KEY, Node, NodeOptions, wall_ms
from mint.rejections import QUIET_S, Rejections
from mint.sign_bytes import Stream
from tests.builders import Net, key_of
from tests.ground import Ground

NET = Net(miners=1, devices=1)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path, NET)


# --- files --------------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomic(path, b"one", mode=0o600)
    write_atomic(path, b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_a_crash_left_half_written_goes_with_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (tmp_path / ".file.new").write_bytes(b"half")
    (tmp_path / ".file.new").chmod(0o644)
    write_atomic(path, b"whole", mode=0o600)
    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_count_grows_with_every_call_and_needs_no_clock(tmp_path: Path) -> None:
    assert [next_count(tmp_path / "count") for _ in range(3)] == [1, 2, 3]
    (tmp_path / "count").write_text("nonsense")
    with pytest.raises(ValueError, match="nonsense"):
        next_count(tmp_path / "count")


# --- keys ---------------------------------------------------------------------------------------------


def test_keys_sign_as_rfc_8032_says() -> None:
    # RFC 8032, 7.1, test 2.
    key = SigningKey.from_seed(
        bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    )
    assert key.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert verifies(key.public, key.sign(b"\x72"), b"\x72")
    assert not verifies(key.public, key.sign(b"\x72"), b"\x73")
    assert not verifies(new_key().public, key.sign(b"\x72"), b"\x72")
    for public, signature in ((bytes(31), bytes(64)), (bytes(32), bytes(63)), (b"\xff" * 32, bytes(64))):
        assert not verifies(public, signature, b"")


def test_a_key_goes_to_a_file_for_its_owner_alone_and_back(tmp_path: Path) -> None:
    key = new_key()
    key.save(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert SigningKey.load(tmp_path / "key").public == key.public


def test_a_key_file_that_will_not_do_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(InputError, match=r"cannot read the key \(No such file.*mint init"):
        SigningKey.load(path)
    new_key().save(path)
    path.chmod(0o640)
    with pytest.raises(InputError, match=rf"others may read.*chmod 600 {path}"):
        SigningKey.load(path)
    path.chmod(0o600)
    path.write_bytes(b"-----BEGIN NONSENSE-----")
    with pytest.raises(InputError, match="is not a PEM private key"):
        SigningKey.load(path)


def test_a_public_key_is_64_hex_digits(tmp_path: Path) -> None:
    path = tmp_path / "operator.pub"
    path.write_text(NET.operator.public.hex() + "\n")
    assert load_public(path) == NET.operator.public
    for content, said in (("zz", "not a public key in hex"), ("ab", "holds 1 bytes, not 32")):
        path.write_text(content)
        with pytest.raises(InputError, match=said):
            load_public(path)
    with pytest.raises(InputError, match="cannot read the public key"):
        load_public(tmp_path / "none")


def test_networks_are_told_apart_by_their_operators() -> None:
    assert network_id(NET.operator.public) == NET.network
    assert network_id(new_key().public) != NET.network
    assert len(NET.network) == 32


# --- node ---------------------------------------------------------------------------------------------


def test_a_node_starts_with_its_charter_and_a_new_session_each_time(ground: Ground) -> None:
    session = int(time.time())
    for _ in range(2):
        node = ground.node("det1")
        assert (node.name, node.charter) == ("det1", NET.sealed)
        assert node.session > session - 1  # above the last, and of no time before
        session = node.session + 1
        request = FrameRequest("det1", "manager", 1, 1, False)
        body = open_envelope(node.signer.stream(request, "t", 0), node.trust).body
        assert isinstance(body, Stream)
        assert body.session == node.session


def test_a_state_folder_that_was_put_back_does_not_bring_back_its_sessions(ground: Ground) -> None:
    first = ground.node("det1").session
    (ground.options("det1").state / SESSION).write_text("7\n")
    assert ground.node("det1").session >= first


@pytest.mark.parametrize(
    ("name", "role", "said"),
    [
        ("det1", Role.MANAGER, "says that 'det1' is detector; start it with `mint detector`"),
        ("det9", Role.DETECTOR, "does not name node 'det9'; add it to"),
        ("Det", Role.DETECTOR, "--node: 'Det' is not a name"),
    ],
)
def test_a_node_the_charter_knows_otherwise(ground: Ground, name: str, role: Role, said: str) -> None:
    options = ground.options("det1")
    with pytest.raises(InputError) as caught:
        Node(NodeOptions(options.charter, name, options.keys, "", 0, options.state), role)
    assert said in str(caught.value)


def test_a_node_with_anothers_key(ground: Ground) -> None:
    key_of("det2").save(ground.folder / "det1" / SIGNING_KEY)
    with pytest.raises(InputError, match="is not the key that the charter gives 'det1'"):
        ground.node("det1")


def test_a_node_without_a_charter_does_nothing_and_says_so(ground: Ground) -> None:
    ground.charter.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        ground.node("det1")
    ground.charter.write_bytes(NET.sealed.data)
    (ground.folder / "det1" / OPERATOR_KEY).write_text(key_of("mallory").public.hex())
    with pytest.raises(InputError, match="is not a valid charter"):
        ground.node("det1")


def test_a_damaged_session_is_not_guessed(ground: Ground) -> None:
    ground.node("det1")
    (ground.options("det1").state / SESSION).write_text("?")
    with pytest.raises(InputError, match="does not hold a number"):
        ground.node("det1")


def test_a_newer_charter_is_taken_kept_and_found_again(ground: Ground) -> None:
    node = ground.node("det1")
    assert node.take_charter(NET.sealed.data, wall_ms()) is None
    second = NET.next_version(title="two")
    assert node.take_charter(second.data, wall_ms()) == second
    assert (node.charter, set(node.charters)) == (second, {NET.sealed.hash, second.hash})
    again = ground.node("det1")
    assert (again.charter, set(again.charters)) == (second, {NET.sealed.hash, second.hash})


def test_trust_follows_the_charter(ground: Ground) -> None:
    node = ground.node("det1")
    nodes = tuple(member for member in NET.charter.nodes if member.name != "det4")
    more = Member("det5", Role.DETECTOR, key_of("det5").public)
    node.take_charter(NET.next_version(nodes=(*nodes, more)).data, wall_ms())
    alarm = Alarm(1, "m01", "budget", "")
    assert open_envelope(NET.signer("det5").object(alarm), node.trust).sender == "det5"
    with pytest.raises(Rejected):
        open_envelope(NET.signer("det4").object(alarm), node.trust)


def test_charters_that_are_not_taken(ground: Ground) -> None:
    node = ground.node("det1")
    mallory = key_of("mallory")
    for data, reason in (
        (NET.next_version(fog="fog2").data, Reason.WRONG_NETWORK),
        (NET.next_version(version=1, title="other").data, Reason.OLD_CHARTER),
        (NET.next_version(expires_ms=1).data, Reason.WRONG_TIME),
        (
            seal(replaced(NET.charter, network=network_id(mallory.public), version=2), mallory).data,
            Reason.BAD_SIGNATURE,
        ),
        (b"nonsense", Reason.MALFORMED),
    ):
        with pytest.raises(Rejected) as caught:
            node.take_charter(data, wall_ms())
        assert caught.value.reason is reason
    assert node.charter == NET.sealed


def test_no_more_charters_are_kept_than_the_bound(ground: Ground) -> None:
    node = ground.node("det1")
    for version in range(2, MAX_CHARTERS + 5):
        node.take_charter(NET.next_version(version=version).data, wall_ms())
    assert len(node.charters) == MAX_CHARTERS
    assert node.charter.hash in node.charters
    assert len(list((ground.options("det1").state / CHARTERS).iterdir())) == MAX_CHARTERS
    assert ground.node("det1").charter.charter.version == MAX_CHARTERS + 4


def test_an_expired_charter_that_is_kept_does_not_stop_a_node_that_was_given_a_newer_one(
    ground: Ground,
) -> None:
    ground.node("det1").take_charter(NET.next_version(title="soon over").data, wall_ms())
    kept = next(
        path for path in (ground.options("det1").state / CHARTERS).iterdir() if "2.signed" in path.name
    )
    kept.write_bytes(NET.next_version(expires_ms=1).data)
    third = NET.next_version(version=3)
    ground.charter.write_bytes(third.data)
    assert ground.node("det1").charter == third


# --- rejections ---------------------------------------------------------------------------------------


def test_rejections_are_counted_by_reason_and_said_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    rejections = Rejections(logging.getLogger("mint.test"), lambda: now)
    for _ in range(100):
        rejections.count(Rejected(Reason.REPLAYED, "again"), "a/topic")
    rejections.count(Rejected(Reason.MALFORMED, "what"), "a/topic")
    assert caplog.messages == [
        "rejected replayed on a/topic: again",
        "rejected malformed on a/topic: what",
    ]
    now = QUIET_S
    rejections.count(Rejected(Reason.REPLAYED, "again"), "b/topic")
    assert caplog.messages[2:] == ["rejected replayed on b/topic: again (100 since last said)"]
    assert rejections.by_reason == {Reason.REPLAYED: 101, Reason.MALFORMED: 1}


# --- courier ------------------------------------------------------------------------------------------


class Wire:
    """Where a courier posts to, remembering it."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, bytes, dict[str, Any]]] = []

    def post(self, topic: str, data: bytes, **how: Any) -> None:
        self.posted.append((topic, data, how))


def courier_of(node: Node) -> tuple[Courier, Wire]:
    wire = Wire()
    return Courier(node, wire), wire  # type: ignore[arg-type]  # it needs nothing but post


def test_what_is_said_is_signed_as_the_next_of_the_session_and_objects_go_as_they_are(ground: Ground) -> None:
    node = ground.node("manager")
    courier, wire = courier_of(node)
    topic = node.topics.ack("edge1")
    courier.send([Post("t", b"object", retain=True), Say(topic, Ack("edge1", 1, 1), qos=1, expiry_s=9)] * 2)
    (one, data, how), (_, stream, how_said), *_ = wire.posted
    assert (one, data, how) == ("t", b"object", {"qos": 1, "retain": True, "expiry_s": None})
    assert how_said == {"qos": 1, "retain": False, "expiry_s": 9}
    places = []
    for _, envelope, _ in wire.posted[1::2]:
        body = open_envelope(envelope, node.trust, topic=topic).body
        assert isinstance(body, Stream)
        places.append((body.session, body.sequence))
    assert places == [(node.session, 1), (node.session, 2)]
    assert stream != wire.posted[3][1]


def test_whatever_comes_is_opened_or_counted_and_nothing_stops(ground: Ground) -> None:
    node = ground.node("det1")
    courier, _ = courier_of(node)
    handled: list[Opened] = []

    def handle(opened: Opened, _: Incoming) -> None:
        handled.append(opened)
        if opened.sender == "det3":
            raise Rejected(Reason.IMPOSSIBLE, "the handler's own reason")

    def comes(topic: str, payload: bytes) -> None:
        courier.opened(Incoming(topic, payload, False, None, topic), handle)

    def alarm(name: str) -> bytes:
        return NET.signer(name).object(Alarm(1, "m01", "budget", ""))

    comes(node.topics.alarm("det2"), alarm("det2"))
    comes(node.topics.alarm("det3"), alarm("det3"))
    comes(node.topics.alarm("det2"), b"")  # a retained topic was cleared
    comes(node.topics.alarm("det2"), b"garbage")
    comes(node.topics.alarm("det4"), alarm("det2"))
    comes("some/other/topic", alarm("det2"))
    comes(node.topics.charter(), NET.sealed.data)
    comes(node.topics.charter(), b"garbage")
    comes(node.topics.charter(), NET.next_version().data)
    assert [opened.sender for opened in handled] == ["det2", "det3"]
    assert node.rejections.by_reason == {
        Reason.IMPOSSIBLE: 1,
        Reason.MALFORMED: 2,
        Reason.WRONG_TOPIC: 2,
    }
    assert node.charter.charter.version == 2
