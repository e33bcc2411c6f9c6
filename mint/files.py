"""Files that are whole or absent, whatever crashes: written beside, synced, renamed."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `data`, on disk before this returns; a crash leaves the old file or the new one.

    Raises:
        OSError: as the system says it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name, so that the next write clears away what a crash left; a file has one writer.
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def next_count(path: Path, at_least: int = 1) -> int:
    """One more than the number in `path`, and no less than `at_least`; on disk before this returns.

    A session number is made so: it grows with every start of a node.

    Raises:
        ValueError: the file holds something else than a number.
        OSError: as the system says it.
    """
    try:
        count = max(int(path.read_text(encoding="ascii")) + 1, at_least)
    except FileNotFoundError:
        count = at_least
    write_atomic(path, f"{count}\n".encode("ascii"))
    return count
