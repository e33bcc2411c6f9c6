"""kernel.c: the distances of trajectory.py ten times faster, where this machine has a C compiler (detectors/native.py).

Where nothing can be compiled or loaded numpy does the work, which the log says once.
"""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from pathlib import Path

import numpy as np

from detectors.native import library
from detectors.ssa.parameters import SsaParameters
from detectors.ssa.trajectory import Floats
from mint.errors import MachineError

SOURCE = Path(__file__).with_name("kernel.c")
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
        return Kernel(library(SOURCE))
    except (MachineError, OSError, AttributeError) as error:
        _log.warning("SSA takes numpy, ten times slower than its kernel, for %s", error)
        return None
