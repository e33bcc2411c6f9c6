"""The frame log on disk: all of a frame or nothing of it, found again, and pruned."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mint.errors import InputError
from mint.messages.frame import Decision
from twin_broker import store as store_module
from mint.device_clock import DeviceClock
from twin_broker.core import Closed
from twin_broker.store import FrameStore

CLOCK = DeviceClock(b"B" * 16, 2**62, -5, 7, settled=True)


def closed(number: int, *decided: Decision) -> Closed:
    frame_hash = number.to_bytes(32, "big")
    data = b"frame %d" % number
    return Closed(number, frame_hash, data, number, (b"one", b"two"), {"edge1": CLOCK}, decided, ())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "frames.sqlite"


def test_a_log_that_is_empty(path: Path) -> None:
    store = FrameStore(path, b"host")
    assert (store.newest(), store.range(1, 9), store.decisions(), store.clocks()) == (None, [], [], {})
    store.close()


def test_what_was_appended_is_found_again(path: Path) -> None:
    store = FrameStore(path, b"host")
    decision = Decision(bytes(32), "m01", 7, 2)
    for number in range(1, 6):
        store.append(closed(number, decision))
    store.close()
    store = FrameStore(path, b"host")
    newest = store.newest()
    assert newest is not None
    assert (newest.number, newest.data, newest.samples) == (5, b"frame 5", (b"one", b"two"))
    assert [frame.number for frame in store.range(2, 3)] == [2, 3, 4]
    assert [frame.number for frame in store.range(4, 32)] == [4, 5]
    assert store.decisions() == [decision]
    assert store.clocks() == {"edge1": CLOCK}
    store.close()


def test_after_a_reboot_of_the_host_no_clock_compares(path: Path) -> None:
    store = FrameStore(path, b"host")
    store.append(closed(1))
    store.close()
    store = FrameStore(path, b"host, started again")
    assert store.clocks() == {}
    assert store.newest() is not None
    store.close()


def test_a_number_is_never_written_twice_and_a_failed_frame_leaves_nothing(path: Path) -> None:
    store = FrameStore(path, b"host")
    store.append(closed(1))
    with pytest.raises(sqlite3.IntegrityError):
        store.append(closed(1, Decision(bytes(32), "m01", 7, 2)))
    assert store.decisions() == []
    store.append(closed(2))
    store.close()


def test_the_oldest_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("KEEP_FRAMES", 20), ("PRUNE_EVERY", 10), ("KEEP_DECISIONS", 5)):
        monkeypatch.setattr(store_module, name, value)
    store = FrameStore(path, b"host")
    for number in range(1, 51):
        store.append(closed(number, Decision(bytes(32), "m01", number, 1)))
    assert [frame.number for frame in store.range(0, 100)] == list(range(31, 51))
    assert [frame.number for frame in store.range(7, 2)] == [31, 32]  # the oldest there are
    assert [decision.began for decision in store.decisions()] == list(range(46, 51))
    store.close()


def test_a_file_that_is_no_log(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(InputError, match="cannot be used as the frame log"):
        FrameStore(path, b"host")
    with pytest.raises(InputError, match="check the --state folder"):
        FrameStore(path / "below", b"host")
