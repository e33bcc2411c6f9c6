"""Where an experiment's telemetry comes from: simulation, containers that run now, or a recording of such."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np

from agents.pow.choose import choose
from mint.budget import PPM
from mint.errors import InputError
from network.local import fair_cpu
from network.recording import SETTLE_S, QuotaChange, Recording, record
from network.reproduce.script import NAMES, Script
from network.reproduce.simulated import ENTITLED_PPM, simulated
from network.trace import Trace
from network.trace_file import read_trace, write_trace

Say = Callable[[str], None]


class Source(Protocol):
    """Gives the telemetry of a script's run number `repetition` (from 1); tells `progress` of seconds done.

    `about` says what it is, in a picture's title.
    """

    about: str

    def __call__(self, script: Script, repetition: int, progress: Callable[[int], None]) -> Trace:
        """See Source."""


class Simulation:
    """Simulated telemetry; the same for the same seed, whatever else is reproduced with it."""

    about = "simulated"

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, script: Script, repetition: int, progress: Callable[[int], None]) -> Trace:
        """See Source."""
        rng = np.random.default_rng([self._seed, zlib.crc32(script.name.encode()), repetition])
        trace = simulated(script, rng)
        progress(script.seconds)
        return trace


class Containers:
    """Real containers, started anew for each run; what was recorded stays in `folder`."""

    about = "real containers"

    def __init__(self, folder: Path, scope: str, say: Say) -> None:
        """`scope`: what they are filed under, so that a killed run's are found and removed by the next."""
        self._folder, self._scope, self._say = folder, scope, say

    def __call__(self, script: Script, repetition: int, progress: Callable[[int], None]) -> Trace:
        """See Source."""
        entitled = min(ENTITLED_PPM, round(fair_cpu(len(NAMES)) * PPM))
        changes = [
            QuotaChange(change.t_s, NAMES[change.miner], entitled * change.percent // 100)
            for change in script.changes
        ]
        recording = Recording(dict.fromkeys(NAMES, entitled), script.seconds, changes)
        with TemporaryDirectory(prefix="mint-") as state:
            runtime = choose(self._scope, Path(state), None, self._say)
            try:
                runtime.sweep()
                trace = record(runtime, recording, lambda: progress(1))
            finally:
                runtime.close()
        write_trace(recorded(self._folder, script, repetition), trace)
        return trace


class Recordings:
    """What `Containers` left in `folder`."""

    about = Containers.about

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, script: Script, repetition: int, progress: Callable[[int], None]) -> Trace:
        """See Source."""
        path = recorded(self._folder, script, repetition)
        trace = read_trace(path)
        whole = (script.seconds + 1, len(NAMES))
        if trace.counters is None or trace.present.shape != whole or not trace.present.all():
            raise InputError(
                str(path),
                f"is no recording of {len(NAMES)} miners for {script.seconds} s",
                "name the folder that `mint reproduce --real` wrote to",
            )
        progress(script.seconds)
        return trace


def recorded(folder: Path, script: Script, repetition: int) -> Path:
    """The file of one recording."""
    return folder / f"recording_{script.name}_{repetition}.csv"


def recording_s(script: Script) -> float:
    """How long one recording takes, but for starting and ending its containers."""
    return SETTLE_S + script.seconds
