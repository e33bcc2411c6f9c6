"""What a miner hashes here, measured with the miner itself."""

from __future__ import annotations

import pytest

from agents.pow.build import Program
from agents.pow.rate import best_rate, rates
from mint.errors import MachineError


def test_the_rate_is_measured_in_runs_that_are_told_of(miner_program: Program) -> None:
    told: list[float] = []
    plain = rates(miner_program, ("--path", "portable"), runs=2, tell=told.append)
    assert told == [0.0, 0.5]
    assert len(plain) == 2
    assert min(plain) > 100_000, "any processor of the last twenty years hashes so much"


@pytest.mark.parametrize("argv", [("false",), ("true",), ("echo", "{}"), ("no-such-program",)])
def test_a_program_that_measures_nothing_is_said(argv: tuple[str, ...]) -> None:
    with pytest.raises(MachineError, match="speed cannot be measured"):
        best_rate(Program(argv, ""))
