"""What every test may use: the real broker, the real container engine, hypothesis profiles.

`tests/setup/machine.py` says when a test may be skipped; pyproject.toml loads its hooks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests.exceptions
from docker.errors import DockerException
from hypothesis import settings

from agents.pow.build import Program as MinerProgram
from agents.pow.build import native
from mint.errors import MachineError
from network.mosquitto_program import Program, find_mosquitto
from tests.setup.machine import in_ci, missing

ROOT = Path(__file__).parent.parent

# No deadline anywhere: two shared cores make one example slow now and then, which is no finding.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if in_ci() else "dev")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this checkout."""
    return ROOT


@pytest.fixture(scope="session")
def mosquitto_program() -> Program:
    """The Mosquitto that MinT starts: an installed one, else the one unpacked into .tools."""
    try:
        return find_mosquitto()
    except MachineError:
        missing("Mosquitto")


@pytest.fixture(scope="session")
def program_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the miner is compiled, once."""
    return tmp_path_factory.mktemp("program")


@pytest.fixture(scope="session")
def miner_program(program_cache: Path) -> MinerProgram:
    """miner.c, compiled here."""
    try:
        return native(program_cache)
    except MachineError as error:
        missing(f"a C compiler ({error})")


def _connected() -> docker.DockerClient | None:
    """A client of an engine that answers, or None."""
    try:
        client = docker.from_env(timeout=60)
    except DockerException:
        return None
    try:
        client.ping()
    except (DockerException, requests.exceptions.RequestException):
        client.close()
        return None
    return client


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[docker.DockerClient]:
    """A Docker engine that answers; started where it is installed and we are root."""
    client = _connected()
    if client is None and os.geteuid() == 0 and shutil.which("dockerd"):
        # The same words start it for `make run`. 60 s: twice what the script itself waits.
        subprocess.run(["sh", str(ROOT / "deploy" / "setup.sh"), "docker"], check=False, timeout=60)
        client = _connected()
    if client is None:
        missing("a Docker engine that answers")
    yield client
    client.close()
