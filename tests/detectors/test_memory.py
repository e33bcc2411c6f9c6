"""A detector's memory and its copy of the log, on disk and without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detectors.store import FILE, KEEP_FRAMES, LOG, PRUNE_EVERY, Cut, Memory, MemoryStorage, Store
from mint.errors import InputError
from mint.frame_log import Kept

STATE: dict[str, Any] = {"big": 2**200, "float": 0.1, "nan": None}


def kept(number: int) -> Kept:
    return Kept(number, b"%032d" % number, b"frame %d" % number)


def test_memory_is_found_again_and_a_damaged_one_is_not_guessed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.memory() is None
    memory = Memory(7, b"h" * 32, STATE, b"vote", b"fault")
    store.keep(memory)
    store.close()
    again = Store(tmp_path)
    assert again.memory() == memory
    damaged = (b"", b"{}", b'{"format": 4}', b"[]", b'{"format": 5, "number": 1, "head": "zz"}', b"\xff")
    for data in damaged:
        (tmp_path / FILE).write_bytes(data)
        with pytest.raises(InputError, match="give this detector a new key"):
            again.memory()
    again.close()


@pytest.mark.parametrize("on_disk", [True, False])
def test_the_copy_of_the_log_keeps_what_came_first_and_cuts_what_is_void(
    tmp_path: Path, on_disk: bool
) -> None:
    storage = Store(tmp_path) if on_disk else MemoryStorage()
    assert storage.log.newest() is None
    for number in (1, 2, 3, 5):
        storage.keep(kept(number))
    storage.keep(Kept(2, b"x" * 32, b"another"))
    assert storage.log.frames(2, 2) == [kept(2), kept(3)]
    assert storage.log.frames(4, 9) == [kept(5)]
    storage.keep(Cut(2))
    assert storage.log.newest() == kept(2)
    storage.keep(kept(3))
    assert storage.log.frames(1, 9) == [kept(1), kept(2), kept(3)]
    storage.keep(Cut(0))
    assert (storage.log.newest(), storage.log.frames(1, 9)) == (None, [])


def test_a_memory_without_a_disk_is_what_it_was_when_it_was_kept() -> None:
    storage, state = MemoryStorage(), {"lies": [1]}
    storage.keep(Memory(1, b"", state, b""))
    state["lies"].append(2)
    found = storage.memory()
    assert found is not None
    assert found.state == {"lies": [1]}


def test_the_copy_is_pruned_now_and_then(tmp_path: Path) -> None:
    store = Store(tmp_path)
    last = KEEP_FRAMES + PRUNE_EVERY
    for number in (1, PRUNE_EVERY - 1, PRUNE_EVERY, last - 1, last):
        store.keep(kept(number))
    assert [one.number for one in store.log.frames(1, 9)] == [PRUNE_EVERY, last - 1, last]
    store.close()


def test_a_log_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(b"no database at all, and long enough to see that" * 9)
    with pytest.raises(InputError, match="remove it: it is asked for again"):
        Store(tmp_path)
