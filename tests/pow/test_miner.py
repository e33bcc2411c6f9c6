"""miner.c against the Python reference, on every path that this processor has."""

import json
import os
import signal
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.pow import equation
from agents.pow.build import Program

ALL_PATHS = ("shani", "avx512", "avx2", "armv8", "neon", "portable")


@cache
def paths_of(program: Program) -> list[str]:
    ran = subprocess.run([*program.argv, "--selftest"], capture_output=True, text=True, check=True)
    tested = [json.loads(line) for line in ran.stdout.splitlines()]
    assert all(path["right"] for path in tested if path["supported"])
    return [path["path"] for path in tested if path["supported"]]


def solve(program: Program, data: bytes, h: int, start: int, count: int, path: str) -> Any:
    options = ["--difficulty", str(h), "--from", str(start), "--count", str(count), "--path", path]
    ran = subprocess.run([*program.argv, "--solve", data.hex(), *options], capture_output=True, check=True)
    return json.loads(ran.stdout)


def test_the_published_vectors_and_templates_on_all_paths(miner_program: Program) -> None:
    assert "portable" in paths_of(miner_program)


# Templates of which the nonce lies where a header of the chain has it, which is what every path is fast at.
TEMPLATES = st.sampled_from((24, 88, 152)).flatmap(lambda size: st.binary(min_size=size, max_size=size))


# Every example starts a process a path.
@settings(max_examples=40)
@given(
    data=st.one_of(TEMPLATES, st.binary(max_size=200)),
    h=st.integers(0, 9),
    start=st.one_of(st.integers(0, 2**40), st.just(2**32 - 3), st.just(2**64 - 500)),
    count=st.integers(0, 400),
)
def test_the_same_nonce_and_hash_as_the_reference(
    miner_program: Program, data: bytes, h: int, start: int, count: int
) -> None:
    nonce = equation.solve(data, h, start, count)
    expected = (nonce, None) if nonce is None else (nonce, equation.block_hash(data, nonce).hex())
    for path in paths_of(miner_program):
        found = solve(miner_program, data, h, start, count, path)
        assert (found["nonce"], found["hash"]) == expected, path


@pytest.mark.parametrize("language", ["c", "python"])
def test_mined_blocks_are_a_chain_that_solves(miner_program: Program, language: str) -> None:
    reference = (sys.executable, "-m", "agents.pow.reference")
    argv = miner_program.argv if language == "c" else reference
    options = ["--miner", "m_07", "--difficulty", "10", "--parent", str(os.getpid())]
    with subprocess.Popen([*argv, *options], stdout=subprocess.PIPE) as miner:
        assert miner.stdout is not None
        blocks = [json.loads(miner.stdout.readline()) for _ in range(5)]
        miner.kill()
    previous, hashes = equation.GENESIS, 0
    for height, block in enumerate(blocks, start=1):
        data = equation.block_data(previous, "m_07", height)
        assert (block["height"], block["miner"]) == (height, "m_07")
        assert equation.solves(data, block["nonce"], 10)
        assert equation.block_hash(data, block["nonce"]).hex() == block["hash"]
        hashes += block["nonce"] + 1
        assert block["hashes"] == hashes
        previous = bytes.fromhex(block["hash"])
    assert blocks[-1]["cpu_seconds"] >= 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_to(miner_program: Program, number: signal.Signals) -> None:
    argv = [*miner_program.argv, "--difficulty", "4"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as miner:
        assert miner.stdout is not None
        miner.stdout.readline()
        miner.send_signal(number)
        assert miner.wait(5) == 0


def test_it_ends_with_its_parent(miner_program: Program) -> None:
    mine = " ".join(miner_program.argv)
    script = f"{mine} --difficulty 250 --parent $$ & echo $!; read line"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
        assert parent.stdout.read() == b""  # the miner held the pipe's other end: it has ended


def test_it_ends_at_once_for_a_parent_that_is_gone(miner_program: Program) -> None:
    ran = subprocess.run([*miner_program.argv, "--parent", "1"], timeout=5, check=False)
    assert ran.returncode == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--solve", "abc"], "--solve abc"),
        (["--solve", "zz"], "--solve zz"),
        (["--solve", "0 "], "--solve 0 "),
        (["--solve", "00", "--from", "-1"], "--from -1"),
        (["--difficulty", "257"], "--difficulty 257"),
        (["--difficulty", "1x"], "--difficulty 1x"),
        (["--difficulty"], "--difficulty"),
        (["--miner", "No Name"], "--miner No Name"),
        (["--miner", ""], "--miner "),
        (["--path", "magic"], "--path magic"),
        (["--nonsense"], "--nonsense"),
        (["stray"], "stray"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(
    miner_program: Program, options: list[str], named: str
) -> None:
    ran = subprocess.run(
        [*miner_program.argv, *options], capture_output=True, text=True, timeout=5, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert named in ran.stderr


def bench(program: Program, *options: str) -> Any:
    ran = subprocess.run([*program.argv, "--bench", "0", *options], capture_output=True, check=True)
    return json.loads(ran.stdout)


def test_it_takes_what_is_fastest_here_and_bench_says_which(miner_program: Program) -> None:
    rates = {
        path: max(bench(miner_program, "--path", path)["hashes_per_cpu_second"] for _ in range(5))
        for path in paths_of(miner_program)
    }
    taken = bench(miner_program)["path"]
    assert rates[taken] > 0.8 * max(rates.values()) > 100_000


def test_every_path_is_documented(miner_program: Program) -> None:
    ran = subprocess.run([*miner_program.argv, "--help"], capture_output=True, text=True, check=True)
    assert all(path in ran.stdout for path in ALL_PATHS)
