from pathlib import Path

import pytest

from agents.pow.build import Program, native
from mint.errors import MachineError
from tests.setup.machine import missing


@pytest.fixture(scope="session")
def program_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("program")


@pytest.fixture(scope="session")
def miner_program(program_cache: Path) -> Program:
    """miner.c, compiled here."""
    try:
        return native(program_cache)
    except MachineError as error:
        missing(f"a C compiler ({error})")
