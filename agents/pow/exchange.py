"""The agent's side of the exchange of work: gives its device's miners work, and hears of the nonces that they find.

Each miner has a socket in a folder of its own (work_folder.py), so that who speaks is known by where, and a miner can
speak for itself alone. Nothing that it does reaches further than its own socket:

    says what is no share     it is hung up on, and may come again PAUSE_S later
    says too much             no more is read than RATE messages a second; then it waits, for its socket is full
    does not read             it has the newest work waiting and no more; the rest is never queued
    sends halves, or nothing  so many bytes are kept
    connects many times       one connection is served, BACKLOG wait, one in PAUSE_S is taken up

What is counted: `shares`, `connections`, `wrong` (messages that are no share), `cut` (ends within a message).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from agents.pow.work import NONCES, SOLUTION, Work
from agents.pow.work_folder import make_folder, socket_of
from mint.bus.quiet import Quiet
from mint.chain.header import pow_hash
from mint.errors import MachineError

# The miner, the work's id, the nonce: a share of it, told once.
Found = Callable[[str, int, int], None]

# Works of a miner of which shares are taken: a miner under a small quota sees new work a moment later, one that was
# paused tells of what it had. A new one comes about once a second.
KEPT = 16
# Shares come one or two a second; the charter allows twenty, and a cheat may be several times as fast.
RATE, BURST = 100.0, 200.0
# As many messages as may come at once: 3 KiB.
READ_BYTES = SOLUTION.size * int(BURST)
# A container that ended and was started again waits so long; a program that fails at once costs a thousandth of a core.
PAUSE_S = 0.5
BACKLOG = 2
# The kernel's least, some four works: more would be out of date when they are read.
SEND_BUFFER_BYTES = 4096
# Where a socket cannot be made (a full disk, a folder of another user), it is tried again.
AGAIN_S = 10.0
# A miner looks every few ms of its CPU time, which is within a second under the least quota.
UNREAD_S = 30.0


class Exchange:
    """`async with`: serves the miners that it is told to, until the end.

    All calls are made in the event loop; `found` is called there too, at most RATE times a second for each miner.
    """

    def __init__(self, folder: Path, found: Found, log: logging.Logger) -> None:
        """`folder`: `exchange_folder` of the agent's state."""
        self._folder, self._found, self._quiet = folder, found, Quiet(log)
        self._doors: dict[str, _Door] = {}
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.serve(())
        await self._tasks.__aexit__(kind, error, trace)

    def serve(self, miners: Collection[str]) -> None:
        """Serve these miners from now on, and no others."""
        for miner in self._doors.keys() - set(miners):
            del self._doors[miner]
            self._serving.pop(miner).cancel()
        for miner in sorted(set(miners) - self._doors.keys()):
            door = _Door(self._folder, miner, self._found, self._quiet)
            self._doors[miner] = door
            self._serving[miner] = self._tasks.create_task(door.serve(), name=f"work of {miner}")

    def give(self, miner: str, work: Work) -> None:
        """Have `miner` work on this instead of what it had; it gets it when it is there, and again when it comes anew.

        Then it begins after the last nonce that it told, so that no share is told twice. Nothing happens for a miner
        that is not served (any more), nor for work that it was given already.

        Raises:
            ValueError: `work` differs from what was given under this id.
        """
        door = self._doors.get(miner)
        if door is not None:
            door.give(work)

    @property
    def connected(self) -> frozenset[str]:
        """The miners that are connected now."""
        return frozenset(miner for miner, door in self._doors.items() if door.connected)

    @property
    def counts(self) -> dict[str, Counter[str]]:
        """What was counted, by miner (see above), since it is served."""
        return {miner: Counter(door.counts) for miner, door in self._doors.items()}


class _Wrong(Exception):
    """A miner said what is no share."""


@dataclass(slots=True)
class _Given:
    """Work, and the nonce from which on it has no share told yet."""

    work: Work
    untold: int


class _Door:
    """One miner's socket, whoever comes to it, and what work it was given."""

    def __init__(self, folder: Path, miner: str, found: Found, quiet: Quiet) -> None:
        self.connected = False
        self.counts: Counter[str] = Counter()
        self._folder, self._miner, self._found, self._quiet = folder, miner, found, quiet
        self._given: dict[int, _Given] = {}  # by id, the newest last
        self._new = asyncio.Event()  # the newest is to be sent
        self._unread_since: float | None = None

    def give(self, work: Work) -> None:
        """See Exchange."""
        known = self._given.get(work.id)
        if known is not None:
            if known.work != work:
                raise ValueError(f"work {work.id} of {self._miner} was given before, with other content")
            return
        self._given[work.id] = _Given(work, work.start)
        while len(self._given) > KEPT:
            del self._given[next(iter(self._given))]
        self._new.set()
        waited = self._unread_since
        if waited is not None and asyncio.get_running_loop().time() - waited > UNREAD_S:
            self._say("unread", f"has not read its work for {UNREAD_S:.0f} s: it is paused or stuck")

    async def serve(self) -> None:
        """Listen, and serve one connection after the other, until cancelled."""
        while True:
            try:
                with _listening(self._folder, self._miner) as listening:
                    await self._accept(listening)
            except (OSError, MachineError) as error:
                self._say("socket", f"has no socket: {error}; trying again in {AGAIN_S:.0f} s")
            await asyncio.sleep(AGAIN_S)

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(listening)
            with connection:
                self.counts["connections"] += 1
                self.connected = True
                try:
                    await self._converse(connection)
                finally:
                    self.connected = False
            await asyncio.sleep(PAUSE_S)

    async def _converse(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._new.set()
        writing = asyncio.create_task(self._write(connection))
        try:
            await self._read(connection)
        except _Wrong as wrong:
            self.counts["wrong"] += 1
            self._say("wrong", f"said what is no share ({wrong}) and was hung up on")
        finally:
            writing.cancel()
            await asyncio.wait((writing,))  # it lets go of the connection before that is closed
            if not writing.cancelled():
                writing.result()  # a mistake of ours is not hidden
            self._unread_since = None

    async def _write(self, connection: socket.socket) -> None:
        """The newest work, whenever there is some."""
        loop = asyncio.get_running_loop()
        with suppress(OSError):  # it has gone, or reads no more; what it said before is read to the end
            while True:
                await self._new.wait()
                self._new.clear()
                newest = next(reversed(self._given.values()), None)
                if newest is not None and newest.untold < NONCES:
                    self._unread_since = loop.time()
                    await loop.sock_sendall(connection, replace(newest.work, start=newest.untold).encode())
                    self._unread_since = None

    async def _read(self, connection: socket.socket) -> None:
        """Take what it says until it goes, at most RATE messages a second."""
        loop = asyncio.get_running_loop()
        tokens, at, rest = BURST, loop.time(), b""
        while got := await _received(connection):
            rest += got
            whole = len(rest) - len(rest) % SOLUTION.size
            for number, nonce in SOLUTION.iter_unpack(rest[:whole]):
                self._take(number, nonce)
            rest = rest[whole:]
            tokens, at = min(BURST, tokens + RATE * (loop.time() - at)), loop.time()
            tokens -= whole // SOLUTION.size
            if tokens < 0:
                self._say("flood", f"says more than {RATE:.0f} shares a second, and is heard more slowly")
                await asyncio.sleep(-tokens / RATE)
        if rest:
            self.counts["cut"] += 1

    def _take(self, number: int, nonce: int) -> None:
        given = self._given.get(number)
        if given is None:
            raise _Wrong(f"it was not given work {number}, or long ago")
        if nonce < given.untold:
            raise _Wrong(f"nonce {nonce} after one that is larger")
        if int.from_bytes(pow_hash(given.work.data, nonce), "big") > given.work.target:
            raise _Wrong(f"nonce {nonce} misses the target")
        given.untold = nonce + 1
        self.counts["shares"] += 1
        self._found(self._miner, number, nonce)

    def _say(self, kind: str, text: str) -> None:
        self._quiet.warning(f"{kind} {self._miner}", f"miner {self._miner} {text}")


async def _received(connection: socket.socket) -> bytes:
    """What is said next; nothing more where it has gone."""
    with suppress(ConnectionResetError):  # it went with work unread; what it had said was read before
        return await asyncio.get_running_loop().sock_recv(connection, READ_BYTES)
    return b""


def _listening(exchange: Path, miner: str) -> socket.socket:
    """A socket in the miner's folder that listens, in place of the one that was there.

    Raises:
        MachineError: the folder cannot be made.
        OSError: the socket cannot.
    """
    folder, path = make_folder(exchange, miner), socket_of(exchange, miner)
    # A socket's address holds 107 characters, a path may have more: its folder is named by a descriptor.
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listening.bind(f"/proc/self/fd/{place}/{path.name}")
        path.chmod(0o666)  # whoever sees the folder may connect
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    finally:
        os.close(place)
    return listening
