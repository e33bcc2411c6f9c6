"""The compiled miner, and the Python reference, at the real exchange over a real socket."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agents.pow.build import Program
from agents.pow.work import Work
from mint.chain.header import target
from tests.pow.exchanging import REFERENCE, brute_force, exchanging, mining, some_data, until, value
from tests.pow.test_miner import paths_of

NEVER = 0  # a target that no hash meets


@pytest.fixture(params=["c", "python"])
def program(request: pytest.FixtureRequest) -> Program:
    compiled: Program = request.getfixturevalue("miner_program")
    return compiled if request.param == "c" else REFERENCE


# Odd targets, and starts where the nonce's lower half, or all of it, runs over.
@pytest.mark.parametrize(
    ("start", "bound"), [(0, target(997)), (2**32 - 2_000, target(211)), (7, target(1 << 12) - 12345)]
)
async def test_every_nonce_that_meets_the_target_is_told_in_order(
    tmp_path: Path, program: Program, start: int, bound: int
) -> None:
    work = Work(1, some_data(start), bound, start)
    async with exchanging(tmp_path, "m1") as heard:
        heard.exchange.give("m1", work)
        with mining(program, tmp_path):
            told = await heard.shares(1, 60)
    assert told == brute_force(work, told[-1])


async def test_on_every_path_of_this_processor(tmp_path: Path, miner_program: Program) -> None:
    for number, path in enumerate(paths_of(miner_program)):
        work = Work(number, some_data(number), target(641), 5)
        async with exchanging(tmp_path, "m1") as heard:
            heard.exchange.give("m1", work)
            with mining(miner_program, tmp_path, "m1", "--path", path):
                told = await heard.shares(number, 50)
        assert told == brute_force(work, told[-1]), path


async def test_the_whole_target_is_compared_to_its_last_bit(tmp_path: Path, program: Program) -> None:
    """The best nonce of a range meets a target that is its own hash, and misses one that is a bit lower."""
    data, many = some_data(3), 20_000
    first, second = sorted(range(many), key=lambda nonce: value(data, nonce))[:2]
    async with exchanging(tmp_path, "m1") as heard:
        with mining(program, tmp_path):
            heard.exchange.give("m1", Work(1, data, value(data, first)))
            assert await heard.shares(1, 1) == [first]
            heard.exchange.give("m1", Work(2, data, value(data, second) - 1))
            assert await heard.shares(2, 1) == [first]
            heard.exchange.give("m1", Work(3, data, value(data, first) - 1))
            assert (await heard.shares(3, 1))[0] >= many


async def test_the_last_nonces_are_tried_and_then_it_waits_for_more(tmp_path: Path, program: Program) -> None:
    last = Work(1, some_data(9), target(16), 2**64 - 500)
    expected = brute_force(last, 2**64 - 1)
    async with exchanging(tmp_path, "m1") as heard:
        heard.exchange.give("m1", last)
        with mining(program, tmp_path):
            assert await heard.shares(1, len(expected)) == expected
            heard.exchange.give("m1", Work(2, some_data(10), target(1 << 20)))
            assert (await heard.next())[1] == 2  # nothing more of the first came between
        assert heard.exchange.counts["m1"]["wrong"] == 0


async def test_work_whose_last_nonce_was_told_is_not_given_again(tmp_path: Path, program: Program) -> None:
    async with exchanging(tmp_path, "m1") as heard:
        heard.exchange.give("m1", Work(1, some_data(9), 2**256 - 1, 2**64 - 1))
        with mining(program, tmp_path):
            assert await heard.next() == ("m1", 1, 2**64 - 1)
        with mining(program, tmp_path):
            await until(lambda: heard.exchange.counts["m1"]["connections"] == 2)
            heard.exchange.give("m1", Work(2, some_data(10), target(1 << 16)))
            assert (await heard.next())[1] == 2


async def test_new_work_takes_the_place_of_old_for_good(tmp_path: Path, program: Program) -> None:
    numbers: list[int] = []
    async with exchanging(tmp_path, "m1") as heard:
        with mining(program, tmp_path):
            heard.exchange.give("m1", Work(0, some_data(0), NEVER))
            await until(lambda: heard.exchange.connected)
            for number in range(1, 10):
                heard.exchange.give("m1", Work(number, some_data(number), target(1 << 17)))
                while not numbers or numbers[-1] != number:
                    numbers.append((await heard.next())[1])
    assert numbers == sorted(numbers)


async def test_many_works_at_once_and_only_the_newest_is_done(tmp_path: Path, program: Program) -> None:
    async with exchanging(tmp_path, "m1") as heard:
        with mining(program, tmp_path):
            await until(lambda: heard.exchange.connected)
            for number in range(1000):
                heard.exchange.give("m1", Work(number, some_data(number), target(1 << 16)))
            assert await heard.next() == ("m1", 999, brute_force_first(some_data(999), target(1 << 16)))


def brute_force_first(data: bytes, bound: int) -> int:
    return next(nonce for nonce in range(1 << 24) if value(data, nonce) <= bound)


async def test_each_miner_has_work_of_its_own(tmp_path: Path, miner_program: Program) -> None:
    works = {f"m{i}": Work(i, some_data(i), target(1 << 20)) for i in range(3)}
    async with exchanging(tmp_path, *works) as heard:
        for miner, work in works.items():
            heard.exchange.give(miner, work)
        with (
            mining(miner_program, tmp_path, "m0"),
            mining(miner_program, tmp_path, "m1"),
            mining(miner_program, tmp_path, "m2"),
        ):
            told = {await heard.next() for _ in range(30)}
            await until(lambda: heard.exchange.connected == set(works))
    assert {miner for miner, _, _ in told} == set(works)
    for miner, number, nonce in told:
        assert number == works[miner].id
        assert value(works[miner].data, nonce) <= works[miner].target


async def test_an_agent_that_starts_again_finds_its_miners_again(tmp_path: Path, program: Program) -> None:
    """The miner is there first, outlives three agents, and uses nothing while there is none."""
    with mining(program, tmp_path) as process:
        for run in range(3):
            async with exchanging(tmp_path, "m1") as heard:
                work = Work(run, some_data(run), target(997))
                heard.exchange.give("m1", work)
                told = await heard.shares(run, 20)
            assert told == brute_force(work, told[-1])
        assert process.poll() is None


async def test_without_work_a_miner_uses_nothing(tmp_path: Path, program: Program) -> None:
    async with exchanging(tmp_path, "m1") as heard:
        with mining(program, tmp_path) as process:
            await until(lambda: heard.exchange.connected)
            before = cpu_ticks(process.pid)
            await asyncio.sleep(0.3)  # time for some 30 ticks
            assert cpu_ticks(process.pid) - before <= 1


def cpu_ticks(pid: int) -> int:
    """User and system time in hundredths of a second (proc(5))."""
    spent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(spent[11]) + int(spent[12])


async def test_a_miner_that_starts_again_tells_no_share_twice_and_leaves_none_out(
    tmp_path: Path, program: Program
) -> None:
    work = Work(1, some_data(77), target(1 << 18))
    told: list[int] = []
    async with exchanging(tmp_path, "m1") as heard:
        heard.exchange.give("m1", work)
        for _ in range(3):
            with mining(program, tmp_path) as process:
                told += await heard.shares(1, 2)
                process.kill()
                process.wait()
            await until(lambda: not heard.exchange.connected)
            while not heard.queue.empty():
                told.append(heard.queue.get_nowait()[2])
        assert heard.exchange.counts["m1"] == {"shares": len(told), "connections": 3}
    assert told == brute_force(work, told[-1])


async def test_a_path_may_be_longer_than_a_sockets_address(tmp_path: Path, program: Program) -> None:
    folder = tmp_path / ("long" * 20) / ("longer" * 20)
    async with exchanging(folder, "m1") as heard:
        heard.exchange.give("m1", Work(1, some_data(1), target(100)))
        with mining(program, folder):
            assert await heard.shares(1, 1)


async def test_a_miner_that_is_served_no_more_is_hung_up_on(tmp_path: Path, miner_program: Program) -> None:
    async with exchanging(tmp_path, "m1", "m2") as heard:
        with mining(miner_program, tmp_path, "m1"), mining(miner_program, tmp_path, "m2"):
            await until(lambda: heard.exchange.connected == {"m1", "m2"})
            heard.exchange.serve(["m2"])
            heard.exchange.give("m1", Work(1, some_data(1), target(1)))
            heard.exchange.give("m2", Work(2, some_data(1), target(1000)))
            assert (await heard.next())[:2] == ("m2", 2)
            assert heard.exchange.connected == {"m2"}
            heard.exchange.serve(["m1", "m2"])
            heard.exchange.give("m1", Work(3, some_data(1), target(1000)))
            while (await heard.next())[:2] != ("m1", 3):
                pass
