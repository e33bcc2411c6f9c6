"""A miner, compiled or the reference, whose agent is another program: halves, another version, none any more."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.pow.build import Program
from agents.pow.work import SOLUTION, WORK, Work
from mint.chain.header import target
from tests.pow.exchanging import REFERENCE, brute_force, mining, some_data

NEVER = Work(1, some_data(1), 0)
EASY = Work(2, some_data(2), target(100), 17)


@pytest.fixture(params=["c", "python"])
def program(request: pytest.FixtureRequest) -> Program:
    compiled: Program = request.getfixturevalue("miner_program")
    return compiled if request.param == "c" else REFERENCE


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[socket.socket]:
    (tmp_path / "m1").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "m1" / "socket"))
        listening.listen()
        listening.settimeout(20)
        yield listening


def accepted(agent: socket.socket) -> socket.socket:
    connection, _ = agent.accept()
    connection.settimeout(20)
    return connection


def solutions(connection: socket.socket, count: int) -> list[tuple[int, ...]]:
    said = b""
    while len(said) < count * SOLUTION.size:
        got = connection.recv(4096)
        assert got
        said += got
    return [SOLUTION.unpack_from(said, SOLUTION.size * i) for i in range(count)]


def test_an_agent_that_has_gone_is_looked_for_though_nothing_was_found(
    tmp_path: Path, program: Program, agent: socket.socket
) -> None:
    with mining(program, tmp_path):
        for _ in range(3):
            with accepted(agent) as connection:
                connection.sendall(NEVER.encode())


def test_work_in_pieces_is_done_when_it_is_whole(
    tmp_path: Path, program: Program, agent: socket.socket
) -> None:
    with mining(program, tmp_path), accepted(agent) as connection:
        connection.sendall(NEVER.encode() + EASY.encode()[:5])
        for at in range(5, WORK.size):
            connection.sendall(EASY.encode()[at : at + 1])
        found = solutions(connection, 5)
    assert found == [(EASY.id, nonce) for nonce in brute_force(EASY, found[-1][1])]


def test_an_agent_of_another_version_is_left_and_asked_again(
    tmp_path: Path, program: Program, agent: socket.socket
) -> None:
    with mining(program, tmp_path) as process:
        with accepted(agent) as connection:
            connection.sendall(b"MiNTwrk2" + EASY.encode()[8:])
            assert connection.recv(1) == b""
        with accepted(agent) as connection:
            connection.sendall(EASY.encode())
            assert len(solutions(connection, 1)) == 1
        assert process.stderr is not None
        process.kill()
        assert (
            process.stderr.read()
            == b"miner: the agent gives another kind of work: it is of another version\n"
        )


def test_where_the_agent_does_not_read_it_waits_and_nothing_is_lost(
    tmp_path: Path, program: Program, agent: socket.socket
) -> None:
    every = Work(3, some_data(3), 2**256 - 1)
    with mining(program, tmp_path), accepted(agent) as connection:
        connection.sendall(every.encode())
        connection.recv(1, socket.MSG_PEEK)
        found = solutions(connection, 3_000)  # more than its socket holds
    assert found == [(3, nonce) for nonce in range(3_000)]
