"""Whatever comes to a detector is judged, told of or counted: nothing is raised, nothing stalls.

tests/fuzz has whole fogs among liars; this is what a single detector hears.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mint.messages.frame import Decision, FrameReply
from mint.sign_bytes import Stream
from mint.wire import MOST, decode, encode
from tests.detectors.fog import Fog
from tests.detectors.test_faults import next_frame

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
VALUES: tuple[Any, ...] = (
    0,
    1,
    -1,
    MOST,
    b"",
    bytes(32),
    "",
    "m01",
    "manager",
    (),
    (b"",),
    "budget",
    None,
    True,
    0.5,
)


@cache
def heard() -> tuple[Fog, list[tuple[str, str, bytes]]]:
    """A fog that has had an attack, and every kind of thing that was said in it: by whom, where, what."""
    fog = Fog()
    fog.run(15)
    fog.cheat("m03")
    fog.run(10)
    fog.say("det3", fog.topics.vote("det4"), fog.net.signer("det4").object(fog.votes["det1"][20]))
    kinds: dict[str, list[tuple[str, str, bytes]]] = {}
    for name, topic, data in fog.said:
        kind = "charter" if topic == fog.topics.charter() else fog.opened(data).body.kind
        kinds.setdefault(kind, []).append((name, topic, data))
    return fog, [one for said in kinds.values() for one in said[-6:]]


def goes_on(fog: Fog, votes: int) -> None:
    """The detector judges on with the others, and what it voted is what they voted."""
    before = fog.newest
    fog.run(12)
    assert fog.number("det1") == fog.number("det2") == fog.newest > before
    mine = fog.votes["det1"]
    assert len(mine) > votes
    assert all(
        vote == fog.votes["det2"][number] for number, vote in mine.items() if number in fog.votes["det2"]
    )
    assert not fog.detector("det1")._faults.done


@settings(max_examples=12, phases=PHASES)
@given(st.data())
def test_bytes_that_nobody_signed(data: st.DataObject) -> None:
    fog, said = heard()
    votes = len(fog.votes["det1"])
    rejected = fog.parts["det1"].member.rejections.by_reason
    for _ in range(20):
        _, topic, real = data.draw(st.sampled_from(said))
        if data.draw(st.booleans()):
            bent = data.draw(st.binary(max_size=300))
        else:
            at = data.draw(st.integers(0, len(real) - 1))
            bent = real[:at] + bytes([real[at] ^ data.draw(st.integers(1, 255))]) + real[at + 1 :]
            bent = bent[: data.draw(st.integers(0, len(bent)))] if data.draw(st.booleans()) else bent
        before, sampled = rejected.total(), fog.topics.device_of_sample(topic) is not None
        listens = any(part for part in fog.parts["det1"].filters if topic.startswith(part.rstrip("+#/")))
        fog.say("det1", topic, bent)
        if bent and listens and not sampled:
            assert rejected.total() == before + 1, topic
    goes_on(fog, votes)


def bent_message(data: st.DataObject, message: msgspec.Struct) -> msgspec.Struct | None:
    """The message with one of its fields, or of what is in them, otherwise; None where that cannot be sent."""
    fields = list(message.__struct_fields__)
    field = data.draw(st.sampled_from(fields))
    old = getattr(message, field)
    if isinstance(old, tuple) and old and isinstance(old[0], msgspec.Struct) and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(old) - 1))
        inner = bent_message(data, old[at])
        new: Any = old if inner is None else (*old[:at], inner, *old[at + 1 :])
    else:
        new = data.draw(st.sampled_from(VALUES))
    bent = msgspec.structs.replace(message, **{field: new})
    try:
        decode(encode(bent), type(message))
    except Exception:  # whatever is wrong with it, it is no message
        return None
    return bent


@settings(max_examples=12, phases=PHASES)
@given(st.data())
def test_messages_that_other_detectors_and_devices_bent_and_signed(data: st.DataObject) -> None:
    fog, said = heard()
    votes = len(fog.votes["det1"])
    of_others = [one for one in said if one[0] in ("det3", "det4", "edge1")]
    for _ in range(12):
        name, topic, real = data.draw(st.sampled_from(of_others))
        opened = fog.opened(real)
        bent = bent_message(data, opened.message)
        if bent is None:
            continue
        signer = fog.net.signer(name, 50)
        signer._sequence = 1000 + len(fog.said)
        streams = isinstance(opened.body, Stream)
        again = signer.stream(bent, topic, fog.now.wall_ms) if streams else signer.object(bent)
        fog.say("det1", topic, again)
    goes_on(fog, votes)


@pytest.mark.parametrize("offence", [0, 1, MOST])
def test_a_frame_whose_rules_cannot_be_checked_against_the_one_before_stops_nobody(offence: int) -> None:
    """The first frame of one that has none before it: what it decides is all that there is."""
    fog = Fog(off=["det2"])
    fog.run(14.5)
    number = fog.newest + 30
    entries = tuple(
        msgspec.structs.replace(one, present=False, offences=offence, decided=number)
        if one.miner == "m01"
        else msgspec.structs.replace(one, present=False)
        for one in fog.frames[fog.newest].miners
    )
    data = next_frame(fog, miners=entries, decisions=(Decision(b"v" * 32, "m01", offence),), number=number)
    part = fog.parts["det2"]
    part.start()
    part.part._course.follower.rewind(number - 1, None)
    fog.say("det2", fog.topics.frame(), data)
    assert fog.kinds("det2") == (["bad_frame"] if offence == 0 else [])
    assert fog.number("det2") == number - 1


def test_replies_that_were_not_asked_for_make_nobody_skip_a_frame() -> None:
    fog = Fog()
    fog.run(15)
    topic = fog.topics.frame_reply("det2")
    fog.lost = lambda sender, receiver, on: receiver == "det2"
    fog.run(10)
    fog.lost = lambda *_: False
    liar = fog.net.signer("det4", 60)
    newest, at = fog.data_of(fog.newest), fog.number("det2")
    for asked in (at + 1, at + 1, at, 0, at + 2) * 4:
        reply = FrameReply(asked, newest, (newest,), ())
        fog.say("det2", topic, liar.stream(reply, topic, fog.now.wall_ms))
    fog.run(3)
    assert fog.number("det2") == fog.newest
    kept = [one.number for one in fog.parts["det2"].disk.log.frames(0, 1 << 20)]
    assert kept == list(range(1, fog.newest + 1))


def test_proofs_that_nobody_asked_for_take_no_place() -> None:
    fog = Fog()
    fog.run(15)
    topic = fog.topics.frame_reply("det2")
    liar, other = fog.net.signer("det4", 60), fog.net.signer("edge1", 60)
    shelf = fog.detector("det2")._shelf
    waiting = {device: len(samples) for device, samples in shelf._waiting.items()}
    sample = fog.edges["edge1"].sample(fog.now_ns)
    forced = tuple(other.stream(sample, fog.topics.sample("edge1"), n) for n in range(300))
    fog.say("det2", topic, liar.stream(FrameReply(1, b"", (), forced), topic, fog.now.wall_ms))
    assert {device: len(samples) for device, samples in shelf._waiting.items()} == waiting
