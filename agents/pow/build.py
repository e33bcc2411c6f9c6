"""The miner as a program of this machine: miner.c, compiled once for each version of the source."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mint.errors import MachineError

HERE = Path(__file__).parent
SOURCE = HERE / "miner.c"
# Static, so that it runs in an empty image; no -march, for the program finds out by itself what the
# processor can do.
FLAGS = ("-std=gnu11", "-O3", "-static", "-Wall", "-Wextra")
TIMEOUT_S = 300  # 2 s on a PC; a Raspberry Pi Zero under load is a hundred times slower


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
    compiler = os.environ.get("CC", "cc")
    recipe = "\0".join([compiler, platform.machine(), *FLAGS]).encode() + SOURCE.read_bytes()
    program = cache / f"miner-{hashlib.sha256(recipe).hexdigest()[:16]}"
    if program.exists():
        return program
    if shutil.which(compiler) is None:
        raise MachineError(f"no C compiler ({compiler}) here", "install one: apt-get install gcc libc6-dev")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        made = Path(folder, "miner")
        try:
            ran = subprocess.run(
                [compiler, *FLAGS, "-o", str(made), str(SOURCE)],
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MachineError(
                f"{compiler} took over {TIMEOUT_S} s", "see what else this machine does"
            ) from error
        if ran.returncode:
            lines = ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"]
            mend = "see that the C library for static linking is there: apt-get install gcc libc6-dev"
            raise MachineError(f"{compiler} could not compile {SOURCE.name}: {lines[0]}", mend)
        made.replace(program)  # at once, whoever else compiles the same
    return program


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
        source = (HERE / "equation.py").read_bytes() + (HERE / "reference.py").read_bytes()
        return Program((sys.executable, "-m", "agents.pow.reference"), digest(source))


def digest(content: bytes) -> str:
    """The name of a content, as Docker writes it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()
