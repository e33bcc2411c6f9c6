"""Whatever comes to a miner's socket: it does nobody else harm, and only shares are taken for shares."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.pow import exchange as under_test
from agents.pow.work import SOLUTION, WORK, Work, decode
from agents.pow.work_folder import socket_of
from mint.chain.header import target
from tests.pow.exchanging import brute_force, exchanging, some_data, until, value

GIVEN = Work(7, some_data(7), target(50), 100)
SHARES = brute_force(GIVEN, 5_000)
MISSES = [nonce for nonce in range(100, 200) if value(GIVEN.data, nonce) > GIVEN.target]


@pytest.fixture(autouse=True)
def no_pause() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(under_test, "PAUSE_S", 0.01)
        yield


@asynccontextmanager
async def connected(folder: Path, miner: str = "m1") -> AsyncIterator[socket.socket]:
    """A connection to a miner's socket, whoever makes it."""
    path = socket_of(folder, miner)
    await until(path.exists)
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        async with asyncio.timeout(10):
            await until(lambda: client.connect_ex(str(path)) == 0)
            yield client


async def say(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


async def read(client: socket.socket, size: int) -> bytes:
    """`size` bytes, or fewer where the other end hangs up."""
    data = b""
    try:
        while len(data) < size and (
            got := await asyncio.get_running_loop().sock_recv(client, size - len(data))
        ):
            data += got
    except ConnectionResetError:  # hung up with something unread
        pass
    return data


def share(nonce: int) -> bytes:
    return SOLUTION.pack(GIVEN.id, nonce)


MESSAGE = st.one_of(
    st.sampled_from(SHARES).map(share),
    st.sampled_from(SHARES).map(share),
    st.sampled_from(MISSES).map(share),
    st.tuples(st.integers(0, 2**64 - 1), st.sampled_from(SHARES)).map(lambda pair: SOLUTION.pack(*pair)),
    st.binary(min_size=1, max_size=40),
)


def right_part(said: bytes) -> list[int]:
    """The shares in what was said, up to the first message that is none: the rule once more, on the whole bytes."""
    nonces: list[int] = []
    for at in range(0, len(said) - SOLUTION.size + 1, SOLUTION.size):
        number, nonce = SOLUTION.unpack_from(said, at)
        ascending = nonce > nonces[-1] if nonces else nonce >= GIVEN.start
        if number != GIVEN.id or not ascending or value(GIVEN.data, nonce) > GIVEN.target:
            break
        nonces.append(nonce)
    return nonces


@settings(max_examples=60)
@given(
    messages=st.one_of(
        st.lists(MESSAGE, max_size=12),
        st.lists(st.sampled_from(SHARES), unique=True).map(lambda nonces: [share(n) for n in sorted(nonces)]),
    ),
    cuts=st.lists(st.integers(0, 200), max_size=5),
)
def test_of_any_bytes_the_shares_before_the_first_wrong_one_are_taken(
    messages: list[bytes], cuts: list[int]
) -> None:
    said = b"".join(messages)
    places = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
    pieces = [said[begin:end] for begin, end in itertools.pairwise(places)]

    async def speak() -> tuple[list[tuple[str, int, int]], dict[str, int], bytes]:
        with tempfile.TemporaryDirectory() as folder:
            async with exchanging(Path(folder), "m1", "m2") as heard:
                heard.exchange.give("m1", GIVEN)
                async with connected(Path(folder)) as client:
                    work = await read(client, WORK.size)
                    try:
                        for piece in pieces:
                            await say(client, piece)
                            await asyncio.sleep(0)
                    except (BrokenPipeError, ConnectionResetError):  # it has heard enough
                        pass
                await until(
                    lambda: heard.exchange.counts["m1"]["connections"] and not heard.exchange.connected
                )
                told = [heard.queue.get_nowait() for _ in range(heard.queue.qsize())]
                return told, dict(heard.exchange.counts["m1"]), work

    told, counts, work = asyncio.run(speak())
    expected = right_part(said)
    assert decode(work) == GIVEN
    assert told == [("m1", GIVEN.id, nonce) for nonce in expected]
    wrong = len(expected) < len(said) // SOLUTION.size
    cut = not wrong and len(said) % SOLUTION.size > 0
    assert counts == {"connections": 1} | {
        kind: times for kind, times in (("shares", len(expected)), ("wrong", wrong), ("cut", cut)) if times
    }


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (share(MISSES[0]), "misses the target"),
        (share(SHARES[1]) + share(SHARES[0]), "after one that is larger"),
        (share(SHARES[0]) * 2, "after one that is larger"),
        (SOLUTION.pack(8, SHARES[0]), "not given work 8"),
        (share(99), "after one that is larger"),
    ],
    ids=["misses", "descends", "twice", "unknown", "before the first"],
)
async def test_who_says_what_is_no_share_is_hung_up_on_and_may_come_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, said: bytes, named: str
) -> None:
    async with exchanging(tmp_path, "m1") as heard:
        heard.exchange.give("m1", GIVEN)
        for times in range(1, 4):
            async with connected(tmp_path) as client:
                assert len(await read(client, WORK.size)) == WORK.size
                await say(client, said)
                assert await read(client, 1) == b""
            await until(lambda times=times: heard.exchange.counts["m1"]["wrong"] == times)  # type: ignore[misc]
        async with connected(tmp_path) as client:  # told once in a minute, however often
            start = decode(await read(client, WORK.size)).start
            later = next(nonce for nonce in SHARES if nonce >= start)
            await say(client, share(later))
            while await heard.next() != ("m1", GIVEN.id, later):
                pass
    assert [named in line for line in caplog.messages] == [True]


async def test_halves_are_waited_for_and_of_what_is_cut_off_nothing_is_taken(tmp_path: Path) -> None:
    async with exchanging(tmp_path, "m1") as heard:
        heard.exchange.give("m1", GIVEN)
        async with connected(tmp_path) as client:
            for byte in share(SHARES[0]) + share(SHARES[1])[:9]:
                await say(client, bytes([byte]))
            assert await heard.next() == ("m1", GIVEN.id, SHARES[0])
        await until(lambda: heard.exchange.counts["m1"]["cut"] == 1)
        assert heard.queue.empty()


async def test_who_does_not_read_has_the_newest_work_waiting_and_no_heap(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "UNREAD_S", 0.0)
    async with exchanging(tmp_path, "m1") as heard, connected(tmp_path) as client:
        await until(lambda: heard.exchange.connected)
        for number in range(2_000):
            heard.exchange.give("m1", Work(number, some_data(number), 5))
            await asyncio.sleep(0)  # so that each could be sent
        numbers = [decode(await read(client, WORK.size)).id]
        while numbers[-1] != 1_999:
            numbers.append(decode(await read(client, WORK.size)).id)
    assert len(numbers) < 20
    assert numbers == sorted(set(numbers))
    assert len(caplog.messages) == 1
    assert "miner m1 has not read its work" in caplog.messages[0]


async def test_shares_of_the_last_works_are_taken_and_of_older_ones_not(tmp_path: Path) -> None:
    newest = under_test.KEPT
    async with exchanging(tmp_path, "m1") as heard:
        for number in range(newest + 1):
            heard.exchange.give("m1", Work(number, GIVEN.data, GIVEN.target, GIVEN.start))
        async with connected(tmp_path) as client:
            for number in (1, newest):
                await say(client, SOLUTION.pack(number, SHARES[0]))
                assert await heard.next() == ("m1", number, SHARES[0])
            await say(client, SOLUTION.pack(0, SHARES[0]))
            await until(lambda: heard.exchange.counts["m1"]["wrong"] == 1)
    assert heard.queue.empty()


async def test_a_flood_is_heard_slowly_and_others_are_heard_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(under_test, "BURST", 20.0)
    monkeypatch.setattr(under_test, "READ_BYTES", 20 * SOLUTION.size)
    every = Work(1, some_data(1), target(1))  # each nonce is a share
    loop = asyncio.get_running_loop()
    async with exchanging(tmp_path, "m1", "m2") as heard:
        heard.exchange.give("m1", every)
        heard.exchange.give("m2", every)
        async with connected(tmp_path, "m1") as flood, connected(tmp_path, "m2") as other:
            began = loop.time()
            flooding = asyncio.create_task(say(flood, b"".join(SOLUTION.pack(1, n) for n in range(100_000))))
            counts = heard.exchange.counts
            while counts["m1"]["shares"] < 60:
                nonce = counts["m2"]["shares"]
                await say(other, SOLUTION.pack(1, nonce))
                while (await heard.next())[0] != "m2":
                    pass
                await asyncio.sleep(0.02)
                counts = heard.exchange.counts
            took = loop.time() - began
            assert counts["m1"]["shares"] <= 2 * 20 + under_test.RATE * took
            assert counts["m2"]["shares"] > 5
            assert not flooding.done()
            flooding.cancel()
    assert any("says more than 100 shares a second" in line for line in caplog.messages)


async def test_who_connects_many_times_is_served_once_and_others_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "PAUSE_S", 0.2)
    loop = asyncio.get_running_loop()
    async with exchanging(tmp_path, "m1", "m2") as heard:
        heard.exchange.give("m2", GIVEN)
        path = str(socket_of(tmp_path, "m1"))
        await until(Path(path).exists)
        began = loop.time()
        for _ in range(300):
            with socket.socket(socket.AF_UNIX) as client:
                client.setblocking(False)
                client.connect_ex(path)
        async with connected(tmp_path, "m2") as client:
            await say(client, share(SHARES[0]))
            assert await heard.next() == ("m2", GIVEN.id, SHARES[0])
        heard.exchange.give("m1", GIVEN)
        async with connected(tmp_path, "m1") as client:  # once those who waited are through
            assert len(await read(client, WORK.size)) == WORK.size
        assert heard.exchange.counts["m1"]["connections"] <= 2 + (loop.time() - began) / 0.2


async def test_who_connects_beside_a_miner_takes_nothing_from_it(tmp_path: Path) -> None:
    async with exchanging(tmp_path, "m1") as heard:
        heard.exchange.give("m1", GIVEN)
        async with connected(tmp_path) as miner:
            assert len(await read(miner, WORK.size)) == WORK.size
            async with connected(tmp_path) as second:
                await say(second, share(MISSES[0]))
                await say(miner, share(SHARES[0]))
                assert await heard.next() == ("m1", GIVEN.id, SHARES[0])
                assert heard.exchange.counts["m1"] == {"connections": 1, "shares": 1}


async def test_where_no_socket_can_be_made_the_miner_waits_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(under_test, "AGAIN_S", 0.05)
    (tmp_path / "m1" / "socket").mkdir(parents=True)
    async with exchanging(tmp_path, "m1", "m2") as heard:
        for miner in ("m1", "m2"):
            heard.exchange.give(miner, GIVEN)
        async with connected(tmp_path, "m2") as client:
            assert await read(client, 1)
        await until(lambda: caplog.messages)
        (tmp_path / "m1" / "socket").rmdir()
        async with connected(tmp_path) as client:
            assert await read(client, 1)
    assert len(caplog.messages) == 1
    assert "miner m1 has no socket" in caplog.messages[0]


async def test_work_is_told_apart_by_its_number(tmp_path: Path) -> None:
    async with exchanging(tmp_path, "m1") as heard:
        heard.exchange.give("m1", GIVEN)
        heard.exchange.give("m1", GIVEN)
        with pytest.raises(ValueError, match="work 7 of m1 was given before, with other content"):
            heard.exchange.give("m1", Work(7, some_data(8), GIVEN.target))
        heard.exchange.give("m3", GIVEN)  # who is not served


async def test_a_mistake_in_what_hears_of_shares_is_not_hidden(tmp_path: Path) -> None:
    def found(_miner: str, _number: int, _nonce: int) -> None:
        raise RuntimeError("a mistake")

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a mistake")):
        async with under_test.Exchange(tmp_path, found, logging.getLogger("test")) as exchange:
            exchange.serve(["m1"])
            exchange.give("m1", GIVEN)
            async with connected(tmp_path) as client:
                await say(client, share(SHARES[0]))
                await asyncio.sleep(10)


async def test_only_its_user_comes_to_the_folder_and_whoever_sees_a_miners_may_connect(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "exchange" / "scope"
    async with exchanging(folder, "m1"):
        await until(socket_of(folder, "m1").is_socket)
        await until(lambda: socket_of(folder, "m1").stat().st_mode & 0o777 == 0o666)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "m1").stat().st_mode & 0o777 == 0o755
