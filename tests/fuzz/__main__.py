"""Fuzzing for as long as one likes: `python -m tests.fuzz --minutes 10`.

Decoders and campaigns by turns, each with a seed of its own. What does not hold is shown with its seed, with which
`--seed N --once` shows it again; exit code 1 then.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.fuzz.campaign import CASTS, campaign
from tests.fuzz.decoders import Decoders

# Inputs for decoders between two campaigns: a second's worth.
INPUTS = 5_000
PROGRESS_S = 15.0


def turn(seed: int, decoders: Decoders, totals: Counter[str]) -> None:
    """One turn.

    Raises:
        AssertionError: something does not hold.
    """
    cast = CASTS[seed % len(CASTS)]
    told = campaign(seed, cast)
    totals.update(campaigns=1, injected=told.injected, rejected=told.rejected, verdicts=told.verdicts)
    totals.update({f"fault {kind}": count for kind, count in told.faults.items()})
    rng = random.Random(seed)
    for _ in range(INPUTS):
        decoders.once(rng)
    totals["decoded"] += INPUTS


def main() -> int:
    """Fuzz; 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, default=None, help="the first seed (default: from the clock)")
    parser.add_argument("--once", action="store_true", help="this seed alone")
    options = parser.parse_args()
    seed = int(time.time()) if options.seed is None else options.seed
    print(f"fuzz: {options.minutes:g} minutes from seed {seed} on")
    totals: Counter[str] = Counter()
    end_s = time.monotonic() + 60 * options.minutes
    said_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        decoders = Decoders(Path(folder))
        while options.once or time.monotonic() < end_s:
            try:
                turn(seed, decoders, totals)
            except AssertionError as error:
                traceback.print_exception(error)
                print(f"fuzz: seed {seed}, liars {CASTS[seed % len(CASTS)]}: {error}")
                print(f"fuzz: see it again with: python -m tests.fuzz --once --seed {seed}")
                return 1
            if options.once or time.monotonic() - said_s > PROGRESS_S:
                said_s = time.monotonic()
                print(f"fuzz: seed {seed}: {_shown(totals)}", flush=True)
            if options.once:
                return 0
            seed += 1
    print(f"fuzz: nothing found: {_shown(totals)}")
    return 0


def _shown(totals: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(totals.items()))


if __name__ == "__main__":
    sys.exit(main())
