"""A detector's memory on disk."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.store import FILE, Memory, MemoryStore
from mint.errors import InputError


def test_memory_is_found_again_and_a_damaged_one_is_not_guessed(tmp_path: Any) -> None:
    store = MemoryStore(tmp_path)
    assert store.load() is None
    memory = Memory(7, b"h" * 32, {"big": 2**200, "float": 0.1, "nan": None}, b"vote")
    store.save(memory)
    assert store.load() == memory
    for damaged in (b"", b"{}", b'{"format": 2}', b"[]", b'{"format": 1, "number": 1, "head": "zz"}'):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(InputError, match="give this detector a new key"):
            store.load()
