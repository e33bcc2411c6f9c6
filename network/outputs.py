"""Files that a command writes for its user: refused before the work where they cannot be made, and whole or absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mint.errors import InputError


def writable(path: Path | None, option: str) -> Path | None:
    """`path`, when a file can be made there: said now, not after the run.

    Raises:
        InputError: it names the option.
    """
    if path is not None and (path.is_dir() or not os.access(path.resolve().parent, os.W_OK | os.X_OK)):
        raise InputError(option, f"{path} cannot be written", "name a file in a folder that you may write")
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, that takes the place of `path` when the `with` block ends well.

    A pipe or a terminal is written to as it is.

    Raises:
        InputError: it cannot be made.
        OSError: as the system says it, while it is written.
    """
    target = path.resolve()
    plain = target.is_file() or not target.exists()
    written = target.with_name(f".{target.name}.new") if plain else target
    try:
        file = written.open("wb")
    except OSError as error:
        raise InputError(
            str(path), f"cannot be written ({error.strerror})", "name a file that you may write"
        ) from None
    try:
        with file:
            yield file
        if plain:
            written.replace(target)
    finally:
        if plain:
            written.unlink(missing_ok=True)
