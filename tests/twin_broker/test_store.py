"""The frame log on disk: all of a frame or nothing of it, found again, and pruned."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mint.device_clock import DeviceClock
from mint.envelope import object_hash
from mint.errors import InputError
from mint.frame_log import Kept
from mint.messages.judgement import Alarm
from tests.builders import Net
from twin_broker import store as store_module
from twin_broker.storage import Append, Cut, MemoryStorage, Storage, Stored
from twin_broker.store import FrameReader, FrameStore

CLOCK = DeviceClock(b"B" * 16, 2**62, -5, 7, settled=True)
NET = Net(miners=1, devices=1)
VERDICT = NET.signer("det1").object(Alarm(1, "m01", "budget", "what stands for one: any object"))


def stored(number: int, *verdicts: bytes) -> Stored:
    return Stored(Kept(number, number.to_bytes(32, "big"), b"frame %d" % number), (b"one", b"two"), verdicts)


def append(*numbers: int) -> Append:
    return Append(tuple(stored(number) for number in numbers), {"edge1": CLOCK})


def numbers(store: Storage, first: int = 0, count: int = 1000) -> list[int]:
    return [kept.number for kept in store.frames(first, count)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "frames.sqlite"


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, path: Path) -> Iterator[FrameStore | MemoryStorage]:
    if request.param == "memory":
        yield MemoryStorage()
        return
    on_disk = FrameStore(path, b"host")
    yield on_disk
    on_disk.close()


def test_a_log_that_is_empty(store: FrameStore | MemoryStorage) -> None:
    assert (store.newest(), store.frames(1, 9), store.clocks()) == (None, [], {})
    assert (store.samples(1), store.verdicts(1)) == ((), ())


def test_what_is_kept_is_at_hand(store: FrameStore | MemoryStorage) -> None:
    store.keep(append(1, 2, 3))
    store.keep(Append((stored(4, VERDICT),), {}))
    store.keep(append(5))
    newest = store.newest()
    assert newest is not None
    assert (newest.number, newest.hash, newest.data) == (5, (5).to_bytes(32, "big"), b"frame 5")
    assert numbers(store, 2, 3) == [2, 3, 4]
    assert numbers(store, 4, 32) == [4, 5]
    assert [store.samples(n) for n in (4, 6)] == [(b"one", b"two"), ()]
    assert [store.verdicts(n) for n in (3, 4, 5)] == [(), (VERDICT,), ()]
    assert store.clocks() == {"edge1": CLOCK}


def test_what_comes_after_a_cut_is_gone_and_comes_anew(store: FrameStore | MemoryStorage) -> None:
    store.keep(append(1, 2))
    store.keep(Append((stored(3, VERDICT),), {}))
    store.keep(Cut(2))
    assert (numbers(store), store.samples(3), store.verdicts(3)) == ([1, 2], (), ())
    store.keep(Append((stored(3, VERDICT),), {}))
    assert store.verdicts(3) == (VERDICT,)
    store.keep(Cut(0))
    assert store.newest() is None


def test_what_was_kept_is_found_again(path: Path) -> None:
    store = FrameStore(path, b"host")
    store.keep(Append((stored(7, VERDICT),), {"edge1": CLOCK}))
    store.close()
    store = FrameStore(path, b"host")
    assert numbers(store) == [7]
    assert (store.samples(7), store.verdicts(7)) == ((b"one", b"two"), (VERDICT,))
    assert store.clocks() == {"edge1": CLOCK}
    store.close()


def test_after_a_reboot_of_the_host_no_clock_compares(path: Path) -> None:
    store = FrameStore(path, b"host")
    store.keep(append(1))
    store.close()
    store = FrameStore(path, b"host, started again")
    assert store.clocks() == {}
    assert store.newest() is not None
    store.close()


def test_a_number_is_never_written_twice_and_what_fails_leaves_nothing(path: Path) -> None:
    store = FrameStore(path, b"host")
    store.keep(append(1))
    with pytest.raises(sqlite3.IntegrityError):
        store.keep(Append((stored(2), stored(1, VERDICT)), {}))
    assert (numbers(store), store.verdicts(1), store.clocks()) == ([1], (), {"edge1": CLOCK})
    store.keep(append(2))
    store.close()


def test_the_oldest_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("KEEP_FRAMES", 20), ("PRUNE_EVERY", 10)):
        monkeypatch.setattr(store_module, name, value)
    store = FrameStore(path, b"host")
    for number in range(1, 51):
        verdict = NET.signer("det1").object(Alarm(number, "m01", "budget", ""))
        store.keep(Append((stored(number, verdict),), {}))
    assert numbers(store) == list(range(31, 51))
    assert numbers(store, 7, 2) == [31, 32]  # the oldest there are
    assert [bool(store.samples(n)) for n in (30, 31)] == [False, True]
    assert [len(store.verdicts(n)) for n in (30, 31)] == [0, 1]
    store.close()


def test_the_log_of_another_version_says_so_to_who_writes_and_who_reads(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE frame (number INTEGER PRIMARY KEY, hash BLOB, data BLOB, samples BLOB)")
    older = (
        r"frames.sqlite: is the frame log of an older version of MinT \(format 0, this one reads 4\); read it"
    )
    for use in (lambda: FrameStore(path, b"host"), lambda: FrameReader(path).numbers()):
        with pytest.raises(InputError, match=older):
            use()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 5")
    with pytest.raises(InputError, match="of a newer version"):
        FrameStore(path, b"host")


def test_a_verdict_is_known_by_its_hash_whoever_names_it(path: Path) -> None:
    store = FrameStore(path, b"host")
    store.keep(Append((stored(1, VERDICT),), {}))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT hash, number FROM verdict").fetchall() == [(object_hash(VERDICT), 1)]
    store.close()


def test_a_file_that_is_no_log(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(InputError, match="cannot be used as the frame log"):
        FrameStore(path, b"host")
    with pytest.raises(InputError, match="check the --state folder"):
        FrameStore(path / "below", b"host")
