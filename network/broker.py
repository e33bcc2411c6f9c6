"""A private Mosquitto: found, configured from mosquitto/mosquitto.conf, run as a child that ends with us.

Files of one broker, in a folder of its own (0700; 0750 and Mosquitto's group when we are root, who runs it
without privileges): mosquitto.conf, acl, ca.pem, broker.pem, broker.key, broker.log (ours), and data/, the only one
that Mosquitto may write. Mosquitto runs in that folder and knows its files by relative names.
"""

from __future__ import annotations

import asyncio
import ctypes
import datetime
import errno
import itertools
import logging
import os
import pwd
import signal
import socket
import ssl
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Self

from mint.bus.dial import dial
from mint.certificates import CA_CERT, Authority, load_certificate
from mint.errors import BusError, InputError, MachineError
from mint.files import write_atomic
from network.mosquitto_program import HOW_TO_INSTALL, Program, find_mosquitto, unprivileged_user

TEMPLATE = Path(__file__).resolve().parent.parent / "mosquitto" / "mosquitto.conf"
# Loading a database of many queued messages on a Raspberry Pi takes seconds; an answer after this is none.
START_S = 15.0
STOP_S = 5.0
# Two files of this many bytes: some thousand connections' worth of lines each.
LOG_BYTES = 512 * 1024
# Another process may take a free port between our looking and Mosquitto's binding.
PORT_TRIES = 5
# A server certificate with less left than this is renewed at start.
RENEW = datetime.timedelta(days=30)

_log = logging.getLogger("mint.broker")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: nothing may be loaded between fork and exec


class Broker:
    """A Mosquitto on `address`:`port`, a child of this process, with its files in `folder`.

    `acl` is the text of the access list (network/acl.py); `hosts` are further names and addresses that clients
    reach it by; without `port` a free one is taken, which stays for the life of this object.
    """

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        acl: str,
        *,
        address: str = "127.0.0.1",
        port: int | None = None,
        hosts: Iterable[str] = (),
        program: Program | None = None,
    ) -> None:
        self.folder, self.address, self.port = folder, address, port or 0
        self._authority, self._acl, self._hosts = authority, acl, tuple(hosts)
        self._program = program or find_mosquitto()
        self._user = unprivileged_user(self._program.path) if os.geteuid() == 0 else None
        self._process: Process | None = None
        self._lines = _Lines(folder / "broker.log")
        self._copying: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the running Mosquitto."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Write the files, start Mosquitto, and return when it accepts TLS connections.

        Raises:
            MachineError: it does not start; its own words are in the message.
            InputError: the folder cannot be written.
        """
        for attempt in range(PORT_TRIES):
            try:
                port = _claim(self.address, self.port)
                self._prepare(port)
                await self._launch(port)
            except _PortTakenError as error:
                if self.port or attempt == PORT_TRIES - 1:
                    raise MachineError(
                        f"port {self.port} on {self.address} is taken", "choose another or end what uses it"
                    ) from error
            else:
                self.port = port
                return

    async def stop(self) -> None:
        """End it in order: it saves its database first."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it at once, as a power cut would (for tests and drills)."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """Stop and start on the same port, with all that it kept.

        Raises:
            MachineError: as `start`.
        """
        await self.stop()
        await self.start()

    async def reload(self, acl: str) -> None:
        """Let it take over another access list; connections stay.

        Raises:
            MachineError: it is not running, or ended.
        """
        self._acl = acl
        self._give("acl", acl.encode())
        process = self._process
        if process is None or process.returncode is not None:
            raise MachineError("the broker is not running", "start it first")
        process.send_signal(signal.SIGHUP)
        # Mosquitto reloads at the end of a turn of its loop; a handshake takes it more than one.
        await self._accepts(process, self.port)

    async def wait(self) -> int:
        """Return, with its exit status, when it has ended."""
        return 0 if self._process is None else await self._process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # --- its files ---

    def _prepare(self, port: int) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            data = self.folder / "data"
            data.mkdir(mode=0o700, exist_ok=True)
            if self._user is not None:
                os.chown(self.folder, 0, self._user.pw_gid)
                self.folder.chmod(0o750)
                _chown_all(data, self._user)
            config = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
                ADDRESS=self.address, PORT=port, USER=self._user.pw_name if self._user else "root"
            )
            self._give("mosquitto.conf", config.encode())
            self._give("acl", self._acl.encode())
            self._give(CA_CERT, self._authority.cert)
            if self._needs_certificate():
                issued = self._authority.issue_server((self.address, *self._hosts))
                self._give("broker.key", issued.key)
                self._give("broker.pem", issued.cert)
        except OSError as error:
            where = str(error.filename or self.folder)
            raise InputError(
                where, f"cannot be written ({error.strerror})", "choose a folder of your own"
            ) from None

    def _needs_certificate(self) -> bool:
        path = self.folder / "broker.pem"
        try:
            cert = load_certificate(path)
            cert.verify_directly_issued_by(load_certificate(self.folder / CA_CERT))
        except Exception:  # missing, broken or of another CA, in whatever way: make it anew
            return True
        return bool(self._hosts) or cert.not_valid_after_utc - datetime.datetime.now(datetime.UTC) < RENEW

    def _give(self, name: str, data: bytes) -> None:
        """Write a file that Mosquitto may read, and nobody else."""
        path = self.folder / name
        write_atomic(path, data, 0o600)
        if self._user is not None:
            os.chown(path, 0, self._user.pw_gid)
            path.chmod(0o640)

    # --- its process ---

    async def _launch(self, port: int) -> None:
        user = self._user
        try:
            process = await asyncio.create_subprocess_exec(
                self._program.path,
                "-c",
                "mosquitto.conf",
                cwd=self.folder,
                env=self._program.environment,
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
                start_new_session=True,  # Ctrl-C is for us, who stop it in order
                # Privileges go before the death signal is set: dropping them clears it.
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
                preexec_fn=_dies_with(os.getpid()),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise MachineError(f"{self._program.path} cannot be started ({error})", HOW_TO_INSTALL) from None
        self._process = process
        if process.stderr is not None:  # PIPE: it never is
            self._copying = asyncio.create_task(self._lines.copy(process.stderr), name="broker log")
        try:
            await self._accepts(process, port)
        except BaseException:
            await self.kill()
            raise

    async def _accepts(self, process: Process, port: int) -> None:
        """Return when it accepts TLS as our own broker; a stranger on the port fails the handshake."""
        exited = asyncio.create_task(process.wait())
        answers = asyncio.create_task(self._answers(port))
        try:
            await asyncio.wait((exited, answers), timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
            if not exited.done() and answers.done():
                return answers.result()
        finally:
            answers.cancel()
            exited.cancel()
            await asyncio.gather(answers, exited, return_exceptions=True)
        if process.returncode is None:
            raise MachineError(
                f"the broker accepts no connection after {START_S:g} s", f"see {self._lines.path}"
            )
        if self._copying is not None:
            await self._copying
        if "Address already in use" in self._lines.last:
            raise _PortTakenError
        raise MachineError(
            f"mosquitto ended with {process.returncode}: {self._lines.last.strip()}",
            f"see {self._lines.path}",
        )

    async def _answers(self, port: int) -> None:
        context = ssl.create_default_context(cadata=self._authority.cert.decode())
        host = self.address if self.address not in ("0.0.0.0", "::") else "localhost"  # noqa: S104 # compared, not bound
        for attempt in itertools.count():
            with suppress(BusError):
                (await dial(host, port, context)).close()
                return
            await asyncio.sleep(min(0.01 * 2**attempt, 0.2))

    async def _end(self, signal_: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.send_signal(signal_)
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._copying is not None:
            await self._copying
            self._copying = None


class _PortTakenError(Exception):
    """Someone else listens there."""


class _Lines:
    """Copies the broker's words to a file that stays small."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = ""  # the last few lines

    async def copy(self, stream: asyncio.StreamReader) -> None:
        """Until the stream ends."""
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than 64 KiB: the reader has thrown it away
                continue
            if not line:
                return
            self.last = (self.last + line.decode(errors="replace"))[-2000:]
            self._write(line)

    def _write(self, line: bytes) -> None:
        try:
            with self.path.open("ab") as file:
                file.write(line)
                size = file.tell()
            if size >= LOG_BYTES:
                self.path.replace(self.path.with_name(self.path.name + ".1"))
        except OSError as error:  # a full disk must not stop the broker
            _log.warning("cannot write %s: %s", self.path, error)


def _chown_all(folder: Path, user: pwd.struct_passwd) -> None:
    for path in (folder, *folder.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _claim(address: str, port: int) -> int:
    """`port`, or a free one for 0, after a look whether it can be listened on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise _PortTakenError from None
            where, wrong = f"broker address {address}:{port}", f"cannot be used ({error.strerror})"
            raise InputError(where, wrong, "try 127.0.0.1 and a port above 1024") from None
        return int(probe.getsockname()[1])


def _dies_with(parent: int) -> Callable[[], None]:
    """For between fork and exec: the kernel ends the child in order (SIGTERM) when `parent` is gone."""

    def tell_the_kernel() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it went before we could say so
            os._exit(1)

    return tell_the_kernel
