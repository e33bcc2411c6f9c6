"""Simulated runs of every script, shared: measuring is what tests look at."""

from __future__ import annotations

import numpy as np
import pytest

from network.reproduce import colluders, fig3, fig4
from network.reproduce.script import Script
from network.reproduce.simulated import simulated
from network.trace import Trace

# One run's peak may be a tenth of another's: what is said of peaks is said of a few runs.
RUNS = 4


def runs(script: Script, count: int) -> list[Trace]:
    return [simulated(script, np.random.default_rng([7, number])) for number in range(count)]


@pytest.fixture(scope="session")
def doubling() -> list[Trace]:
    return runs(fig3.SCRIPT, RUNS)


@pytest.fixture(scope="session")
def steps() -> list[Trace]:
    return runs(fig4.SCRIPT, RUNS)


@pytest.fixture(scope="session")
def colluding() -> Trace:
    return runs(colluders.SCRIPT, 1)[0]
