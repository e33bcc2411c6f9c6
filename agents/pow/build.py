"""The miner as a program of this machine: miner.c and what it includes, compiled once for each version of them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mint.errors import MachineError
from mint.native import compiled

HERE = Path(__file__).parent
SOURCE = HERE / "miner.c"
INCLUDES = (HERE / "sha256.h", HERE / "search.h", HERE / "work.h")
REFERENCE = (HERE / "equation.py", HERE / "work.py", HERE / "reference.py")
# Static, so that it runs in an empty image; no -march, for the program finds out by itself what the
# processor can do.
FLAGS = ("-std=gnu11", "-O3", "-static", "-Wall", "-Wextra")
MEND = "see that the C library for static linking is there: apt-get install gcc libc6-dev"


@dataclass(frozen=True, slots=True)
class Program:
    """How to start the miner, and what it is ("sha256:" and the hash of the program file or source)."""

    argv: tuple[str, ...]
    digest: str


def build(cache: Path) -> Path:
    """The compiled miner in the folder `cache`; compiled only if it is not there yet.

    Raises:
        MachineError: there is no compiler, or it fails.
    """
    return compiled(SOURCE, cache, FLAGS, MEND, includes=INCLUDES)


def native(cache: Path) -> Program:
    """The compiled miner.

    Raises:
        MachineError: as `build`.
    """
    path = build(cache)
    return Program((str(path),), digest(path.read_bytes()))


def native_or_reference(cache: Path, say: Callable[[str], None]) -> Program:
    """The compiled miner, or where none can be compiled the Python reference, which is said."""
    try:
        return native(cache)
    except MachineError as error:
        say(f"miner: the slow Python reference, for {error}")
        source = b"".join(file.read_bytes() for file in REFERENCE)
        return Program((sys.executable, "-m", "agents.pow.reference"), digest(source))


def digest(content: bytes) -> str:
    """The name of a content, as Docker writes it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()
