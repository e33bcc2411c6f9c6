"""kernel.c: the distances of trajectory.py ten times faster, where this machine has a C compiler.

Compiled at first use and kept in the user's cache folder ($XDG_CACHE_HOME, else ~/.cache); where that cannot be
written to, or others can write to it, compiled anew for each process in a folder that is deleted at once. Where
nothing can be compiled or loaded numpy does the work, which the log says once.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from detectors.ssa.parameters import SsaParameters
from detectors.ssa.trajectory import Floats
from mint.errors import MachineError
from mint.native import compiled, ours_alone

SOURCE = Path(__file__).with_name("kernel.c")
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
MEND = "see that the compiler is whole: apt-get install gcc libc6-dev"
# What the kernel may lay on the stack: an eighth of what Linux gives a thread. 120 lagged vectors of L = 60 fit.
STACK_BYTES = 1 << 20
# Windows that it decomposes side by side, at most.
LANES = 8

_log = logging.getLogger("mint.ssa")


class Kernel:
    """The loaded library."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._distances = library.ssa_distances
        self._distances.restype = None
        self._distances.argtypes = [ctypes.c_int64, *(ctypes.c_int,) * 6, *(ctypes.c_void_p,) * 4]

    @staticmethod
    def takes(parameters: SsaParameters) -> bool:
        """Whether matrices of this size fit on its stack."""
        L, span = parameters.L, parameters.span
        return LANES * 8 * ((span - L + 1) * L + 2 * L * L + span + 5 * L) <= STACK_BYTES

    def distances(self, windows: Floats, parameters: SsaParameters) -> tuple[Floats, Floats, Floats]:
        """D, D~_{n,I,0,K} and the error of the subspace, as an angle: (miners, span) to 3 x (miners,).

        The angle is an estimate, inf where the decomposition did not converge and no number where there is none.
        """
        P, given = parameters, np.ascontiguousarray(windows, np.float64)
        D, own, angle = np.empty((3, len(given)))
        arrays = (given.ctypes.data, D.ctypes.data, own.ctypes.data, angle.ctypes.data)
        self._distances(len(given), P.L, P.N, P.span, P.p, P.q, P.l, *arrays)
        return D, own, angle


@cache
def kernel() -> Kernel | None:
    """The kernel, or None where numpy has to do; compiled at the first call."""
    try:
        return Kernel(_library())
    except (MachineError, OSError, AttributeError) as error:
        _log.warning("SSA takes numpy, ten times slower than its kernel, for %s", error)
        return None


def _library() -> ctypes.CDLL:
    flags = FLAGS + (FLAGS_X86 if platform.machine() == "x86_64" else ())
    try:
        folder = _cache()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Looked at before and after: what lies there, and what was laid there.
        if ours_alone(folder):
            made = compiled(SOURCE, folder, flags, MEND)
            if ours_alone(made):
                return ctypes.CDLL(str(made))
    except (OSError, RuntimeError):
        pass  # no home; read-only, full, or nothing may be run from there
    with tempfile.TemporaryDirectory() as folder_of_ours:
        return ctypes.CDLL(str(compiled(SOURCE, Path(folder_of_ours), flags, MEND)))


def _cache() -> Path:
    """By the XDG base directory specification, which has relative paths ignored."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path("~/.cache").expanduser()) / "mint"
