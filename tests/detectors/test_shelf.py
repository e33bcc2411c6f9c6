"""The shelf of evidence: which sample a frame rests on, and its bytes while they are needed."""

from __future__ import annotations

import json

from detectors.evidence import MAX_SAMPLE_BYTES, RECENT, WAITING_PER_DEVICE, Shelf
from mint.merkle import leaf_hash
from mint.messages.frame import DeviceEntry
from mint.messages.judgement import SampleRef

BOOT = b"B" * 16


def device(data: bytes, sequence: int = 1, name: str = "edge1") -> DeviceEntry:
    return DeviceEntry(name, 1, sequence, BOOT, 0, leaf_hash(data) if data else b"")


def test_a_sample_is_kept_when_a_frame_rests_on_it_whichever_comes_first() -> None:
    shelf = Shelf()
    shelf.sample("edge1", b"early")
    shelf.frame(1, [device(b"early"), device(b"other", name="edge2")])
    shelf.frame(2, [device(b"late"), device(b"", name="edge2")])
    shelf.sample("edge1", b"late")
    shelf.sample("edge1", b"never named")
    assert [shelf.envelope(leaf_hash(data)) for data in (b"early", b"late", b"other", b"never named")] == [
        b"early",
        b"late",
        None,
        None,
    ]
    assert shelf.ref("edge1", 2) == SampleRef("edge1", 1, 1, leaf_hash(b"late"))
    assert shelf.ref("edge2", 2) is None
    assert shelf.frame_of(leaf_hash(b"late")) == 2


def test_the_shelf_keeps_what_is_pinned_or_recent_and_no_more_waits_than_the_bound() -> None:
    shelf = Shelf()
    for number in range(1, RECENT + 21):
        shelf.sample("edge1", b"%d" % number)
        shelf.frame(number, [device(b"%d" % number, number)])
    shelf.prune({("edge1", 3)})
    kept = [number for number in range(1, RECENT + 21) if shelf.ref("edge1", number) is not None]
    assert kept == [3, *range(21, RECENT + 21)]
    assert shelf.envelope(leaf_hash(b"3")) == b"3"
    assert shelf.envelope(leaf_hash(b"4")) is None
    for number in range(200):
        shelf.sample("edge1", b"x%d" % number)
    assert len(shelf._waiting["edge1"]) == WAITING_PER_DEVICE
    again = Shelf()
    again.restore(json.loads(json.dumps(shelf.state())))
    assert again.ref("edge1", 3) == shelf.ref("edge1", 3)
    assert again.envelope(leaf_hash(b"3")) is None  # to be asked for
    again.sample("edge1", b"3")
    assert again.envelope(leaf_hash(b"3")) == b"3"


def test_what_is_larger_than_any_sample_does_not_wait() -> None:
    shelf = Shelf()
    huge = bytes(MAX_SAMPLE_BYTES + 1)
    shelf.sample("edge1", huge)
    shelf.frame(1, [device(huge)])
    assert shelf.envelope(leaf_hash(huge)) is None


def test_what_is_shown_is_kept_where_a_frame_rests_on_it_and_else_takes_no_place() -> None:
    shelf = Shelf()
    shelf.frame(1, [device(b"asked for")])
    assert shelf.shown(leaf_hash(b"asked for"), b"asked for")
    assert not shelf.shown(leaf_hash(b"forced on us"), b"forced on us")
    assert shelf.envelope(leaf_hash(b"asked for")) == b"asked for"
    assert shelf._waiting == {}


def test_what_is_void_is_forgotten() -> None:
    shelf = Shelf()
    for number in (1, 2, 3):
        shelf.sample("edge1", b"%d" % number)
        shelf.frame(number, [device(b"%d" % number, number)])
    shelf.cut(2)
    assert [shelf.ref("edge1", number) is not None for number in (1, 2, 3)] == [True, True, False]
    assert [shelf.envelope(leaf_hash(b"%d" % n)) for n in (1, 2, 3)] == [b"1", b"2", None]
