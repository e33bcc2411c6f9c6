"""How many hashes the miner's program computes in a second of CPU time here: what a device's class says in the charter.

Other work on the machine takes caches and clock from a program, and gives it nothing: the best of several short runs is
what the device can do, and no honest miner of its class does more.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence

from agents.pow.build import Program
from mint.errors import MachineError

RUNS, SECONDS = 5, 1
# A run of a second of CPU time, on a machine that is busy with other things.
TIMEOUT_S = 60


def rates(
    program: Program,
    options: Sequence[str] = (),
    runs: int = RUNS,
    seconds: int = SECONDS,
    tell: Callable[[float], None] = lambda _: None,
) -> list[int]:
    """Hashes a CPU-second in each of some runs.

    Args:
        program: the compiled miner.
        options: what else it is run with.
        runs: how many.
        seconds: how much CPU time each takes.
        tell: called with how much of it is done, 0 to 1.

    Raises:
        MachineError: it cannot be run here, or measures nothing.
    """
    found = []
    for run in range(runs):
        tell(run / runs)
        argv = [*program.argv, "--bench", str(seconds), *options]
        try:
            done = subprocess.run(argv, capture_output=True, check=True, timeout=TIMEOUT_S * seconds)
            found.append(int(json.loads(done.stdout)["hashes_per_cpu_second"]))
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
            raise MachineError(
                f"the miner's speed cannot be measured ({error})", "see that it compiles: mint doctor"
            ) from error
    return found


def best_rate(program: Program, options: Sequence[str] = ()) -> int:
    """The best of some runs; see `rates`."""
    return max(rates(program, options))
