"""Miners of every runtime work for their agent, whichever of the two starts first, or starts again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from agents.pow import exchange as under_test
from agents.pow.choose import choose
from agents.pow.runtime import Runtime
from agents.pow.work import Work
from agents.pow.work_folder import exchange_folder, socket_of
from mint.chain.header import target
from mint.containers.model import Quota
from tests.containers.engine import cgroups
from tests.pow.exchanging import Heard, brute_force, exchanging, some_data, until, value
from tests.pow.test_runtimes import KINDS

SHARE = Quota.of_ppm(200_000)
WORK = Work(1, some_data(1), target(1 << 18))  # some forty shares a second of such a quota


def scope() -> str:
    return f"test_rx_{os.getpid()}"


@pytest.fixture(autouse=True)
def set_up(
    program_cache: Path, miner_program: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "miners").mkdir()
    (tmp_path / "miners" / "program").symlink_to(program_cache)
    monkeypatch.setattr(under_test, "PAUSE_S", 0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As agent and miners' service find it, each from its own state."""
    found = exchange_folder(tmp_path / "miners", scope())
    assert found == exchange_folder(tmp_path / "agent", scope())
    return found


@pytest.fixture
def runtime(request: pytest.FixtureRequest, tmp_path: Path, folder: Path) -> Iterator[Runtime]:
    kind = request.param
    if kind == "docker":
        request.getfixturevalue("docker_engine")
    if kind != "duty":
        cgroups()
    made = choose(scope(), tmp_path / "miners", kind, lambda _: None, folder)
    yield made
    made.close()


async def shares(heard: Heard, miner: str, count: int) -> list[int]:
    nonces: list[int] = []
    while len(nonces) < count:
        told, number, nonce = await heard.next()
        assert number == WORK.id
        assert value(WORK.data, nonce) <= WORK.target
        if told == miner:
            nonces.append(nonce)
    return nonces


@pytest.mark.parametrize("runtime", KINDS, indirect=True)
async def test_whoever_starts_first_or_again_they_find_each_other(runtime: Runtime, folder: Path) -> None:
    # The agent first, with work for a miner that is not there yet.
    async with exchanging(folder, "m1") as heard:
        heard.exchange.give("m1", WORK)
        await until(socket_of(folder, "m1").is_socket)
        await asyncio.to_thread(runtime.start, "m1", SHARE)
        told = await shares(heard, "m1", 2)

        # The miner again: it begins after what it told.
        await asyncio.to_thread(runtime.stop, "m1")
        await until(lambda: not heard.exchange.connected)
        told += [heard.queue.get_nowait()[2] for _ in range(heard.queue.qsize())]
        await asyncio.to_thread(runtime.start, "m1", SHARE)
        told += await shares(heard, "m1", 2)
        assert told == sorted(set(told))
        assert told[:3] == brute_force(WORK, told[2])
    pids = runtime.hold("m1").pids()

    # Another miner before its agent; then the agent again, for both.
    await asyncio.to_thread(runtime.start, "m2", SHARE)
    async with exchanging(folder, "m1", "m2") as heard:
        for miner in ("m1", "m2"):
            heard.exchange.give(miner, WORK)
            assert await shares(heard, miner, 1)
        assert runtime.hold("m1").pids() == pids


@pytest.mark.docker
@pytest.mark.parametrize("runtime", KINDS[:1], indirect=True)
async def test_a_container_sees_its_own_socket_and_can_write_nothing(
    runtime: Runtime, folder: Path, docker_engine: docker.DockerClient
) -> None:
    async with exchanging(folder, "m1", "m2") as heard:
        for miner in ("m1", "m2"):
            await asyncio.to_thread(runtime.start, miner, SHARE)
        container = docker_engine.containers.get(f"mint-{scope()}-m1")
        (mount,) = container.attrs["Mounts"]
        assert (mount["Source"], mount["Destination"], mount["RW"]) == (
            str(folder / "m1"),
            "/exchange",
            False,
        )
        assert container.attrs["HostConfig"]["NetworkMode"] == "none"
        inside = Path(f"/proc/{container.attrs['State']['Pid']}/root/exchange")
        assert os.listdir(inside) == ["socket"]  # noqa: PTH208 (pathlib would follow the link out of the container)
        with pytest.raises(OSError, match="Read-only"):
            (inside / "more").touch()

        # Started again by the engine, it comes again.
        heard.exchange.give("m1", WORK)
        told = await shares(heard, "m1", 1)
        await asyncio.to_thread(container.restart, timeout=1)
        told += await shares(heard, "m1", 1)
        assert told == sorted(set(told))
        await until(lambda: heard.exchange.counts["m1"]["connections"] == 2)


@pytest.mark.docker
@pytest.mark.parametrize("runtime", KINDS[:1], indirect=True)
async def test_what_an_earlier_run_left_without_an_exchange_is_replaced(
    runtime: Runtime, folder: Path, tmp_path: Path
) -> None:
    earlier = choose(scope(), tmp_path / "miners", "docker", lambda _: None)
    await asyncio.to_thread(earlier.start, "m1", SHARE)
    (pid,) = earlier.hold("m1").pids()
    usage = earlier.hold("m1").counters().usage_ns
    async with exchanging(folder, "m1") as heard:
        heard.exchange.give("m1", WORK)
        await asyncio.to_thread(runtime.start, "m1", SHARE)
        assert await shares(heard, "m1", 1)
        (after,) = runtime.hold("m1").pids()
        await asyncio.to_thread(runtime.start, "m1", SHARE)  # and now nothing changes
        assert runtime.hold("m1").pids() == (after,) != (pid,)
    assert runtime.hold("m1").counters().usage_ns > usage


async def test_without_a_compiler_the_reference_works_for_the_agent(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    runtime = choose(scope(), tmp_path / "miners", "duty", lambda _: None, folder)
    try:
        async with exchanging(folder, "m1") as heard:
            heard.exchange.give("m1", Work(WORK.id, WORK.data, target(1 << 15)))
            await asyncio.to_thread(runtime.start, "m1", SHARE)
            _, number, nonce = await heard.next()
            assert number == WORK.id
            assert value(WORK.data, nonce) <= target(1 << 15)
    finally:
        await asyncio.to_thread(runtime.close)
