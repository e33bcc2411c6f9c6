"""The C of this folder, compiled where there is a compiler: what numpy does call by call, done in one.

Compiled at first use and kept in the user's cache folder ($XDG_CACHE_HOME, else ~/.cache); where that cannot be
written to, or others can write to it, compiled anew for each process in a folder that is deleted at once. Where
nothing can be compiled or loaded numpy does the work.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mint.errors import MachineError
from mint.native import compiled, ours_alone

# -march=native: it runs where it is compiled. -fno-math-errno: a square root is one instruction. Nothing that lets
# the compiler reorder sums. -Wno-psabi: no vector is passed to another compiler's code.
FLAGS = (
    "-std=gnu11",
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-Wall",
    "-Wextra",
    "-Wno-psabi",
    "-shared",
    "-fPIC",
)
# x86 compilers use half of a 64-byte vector register unless told otherwise.
FLAGS_X86 = ("-mprefer-vector-width=512",)
# For what gives numpy's numbers to the last bit: no product is added without being rounded, and integers wrap.
FLAGS_EXACT = ("-ffp-contract=off", "-fwrapv")
MEND = "see that the compiler is whole: apt-get install gcc libc6-dev"
# Rows of columns begin so many bytes apart, or odd multiples of it: whole vectors fit in, and where miners are a
# power of two, the rows of one miner do not all want the same place in the processor's cache.
ALIGNED = 64

_log = logging.getLogger("mint.native")


@cache
def exact(source: Path, constants: tuple[tuple[str, object], ...] = ()) -> ctypes.CDLL | None:
    """The library made of `source` with these macros; None where numpy has to do, which the log says once."""
    defines = tuple(f"-D{name}={value!r}" for name, value in constants)
    try:
        return library(source, FLAGS_EXACT + defines)
    except (MachineError, OSError) as error:
        _log.warning("numpy does the work of %s, slower for few miners, for %s", source.name, error)
        return None


def library(source: Path, flags: Sequence[str] = ()) -> ctypes.CDLL:
    """The loaded library made of `source`.

    Raises:
        MachineError: there is no compiler, or it fails.
        OSError: it cannot be written or loaded.
    """
    flags = (*FLAGS, *(FLAGS_X86 if platform.machine() == "x86_64" else ()), *flags)
    try:
        folder = _cache()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Looked at before and after: what lies there, and what was laid there.
        if ours_alone(folder):
            made = compiled(source, folder, flags, MEND)
            if ours_alone(made):
                return ctypes.CDLL(str(made))
    except (OSError, RuntimeError):
        pass  # no home; read-only, full, or nothing may be run from there
    with tempfile.TemporaryDirectory() as folder_of_ours:
        return ctypes.CDLL(str(compiled(source, Path(folder_of_ours), flags, MEND)))


def _cache() -> Path:
    """By the XDG base directory specification, which has relative paths ignored."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path("~/.cache").expanduser()) / "mint"


def columns(rows: int, miners: int, dtype: type[np.generic]) -> NDArray[Any]:
    """Zeros, (rows, miners), of which each row has room for whole vectors (ALIGNED) behind its last miner."""
    items = ALIGNED // np.dtype(dtype).itemsize
    return np.zeros((rows, (-(-miners // items) | 1) * items), dtype)[:, :miners]


def places(layout: Mapping[str, int]) -> dict[str, int]:
    """The first row of each name, where it has so many rows."""
    first, at = {}, 0
    for name, count in layout.items():
        first[name], at = at, at + count
    return first
