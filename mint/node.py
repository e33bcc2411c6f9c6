"""A node of the network: what every long-running component needs before it does its own work.

A component is started with the charter, its name, its keys, the broker and a folder for its state; it holds no
trust but the operator's public key. Without a valid charter it does nothing and says so.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from mint.charter.seal import SealedCharter, load_charter
from mint.effects import Now
from mint.envelope import Signer
from mint.errors import InputError
from mint.files import next_count, write_atomic
from mint.keys import SigningKey, load_public
from mint.member import Member
from mint.names import Role, checked_name
from mint.rejections import Rejections

# Files in a node's `--keys` folder, as `mint init` writes them.
SIGNING_KEY, OPERATOR_KEY = "node.key", "operator.pub"
TLS_KEY, TLS_CERTIFICATE, CA_CERTIFICATE = "tls.key", "tls.pem", "ca.pem"

# Files in its `--state` folder.
SESSION, CHARTERS = "session", "charters"


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """How a component is started."""

    charter: Path
    node: str
    keys: Path
    host: str
    port: int
    state: Path


def wall_ms() -> int:
    """Unix time in ms; the one place components read the wall clock."""
    return time.time_ns() // 1_000_000


def now() -> Now:
    """Both clocks."""
    return Now(time.monotonic_ns(), wall_ms())


class Node(Member):
    """One running node: a member with its keys, its charters and its session on disk."""

    def __init__(self, options: NodeOptions, role: Role) -> None:
        """Load everything.

        Raises:
            InputError: a file or name is missing or wrong, or the charter gives this node another role or key.
        """
        self.options = options
        name = checked_name(options.node, "--node")
        log = logging.getLogger(f"mint.{name}")
        operator = load_public(options.keys / OPERATOR_KEY)
        key = SigningKey.load(options.keys / SIGNING_KEY)
        given, kept = _load_charters(options, operator)
        newest = max((*kept, given), key=lambda sealed: sealed.charter.version)
        _check_membership(options, name, newest, role, key)
        if newest.hash not in {sealed.hash for sealed in kept}:
            _write(options, newest)
        if wall_ms() >= newest.charter.expires_ms:
            raise InputError(str(options.charter), "the newest charter has expired", "sign a new version")
        self.session = _next_session(options)
        signer = Signer(name, key, newest.charter.network, self.session)
        super().__init__(
            name, signer, operator, (*kept, newest), log=log, rejections=Rejections(log, time.monotonic)
        )

    def keep(self, sealed: SealedCharter) -> None:
        """Know `sealed` from now on, on disk before this returns.

        Raises:
            InputError: the disk refuses.
        """
        _write(self.options, sealed)
        super().keep(sealed)

    def forget(self, sealed: SealedCharter) -> None:
        """Know a charter no more, here and on disk."""
        super().forget(sealed)
        (self.options.state / CHARTERS / _file_name(sealed)).unlink(missing_ok=True)


def _load_charters(options: NodeOptions, operator: bytes) -> tuple[SealedCharter, list[SealedCharter]]:
    """The charter given, and those kept of its fog."""
    given = load_charter(options.charter, operator, wall_ms())
    kept = [
        load_charter(path, operator, 0)  # one that has expired still explains the past
        for path in sorted((options.state / CHARTERS).glob("*.signed"))
    ]
    return given, [sealed for sealed in kept if sealed.charter.fog == given.charter.fog]


def _write(options: NodeOptions, sealed: SealedCharter) -> None:
    folder = options.state / CHARTERS
    try:
        write_atomic(folder / _file_name(sealed), sealed.data)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _check_membership(
    options: NodeOptions, name: str, sealed: SealedCharter, role: Role, key: SigningKey
) -> None:
    member = sealed.trust().members.get(name)
    where = str(options.charter)
    if member is None:
        raise InputError(where, f"does not name node {name!r}", "add it to [[nodes]] and sign again")
    if member.role is not role:
        raise InputError(where, f"says that {name!r} is {member.role}", f"start it with `mint {member.role}`")
    if member.key != key.public:
        raise InputError(
            str(options.keys / SIGNING_KEY), f"is not the key that the charter gives {name!r}", "copy its own"
        )


def _next_session(options: NodeOptions) -> int:
    path = options.state / SESSION
    try:
        # Not below the seconds since 1970: on a disk that was put back, or is a new one, the count alone would give a
        # session of the past, to which nobody listens.
        return next_count(path, at_least=wall_ms() // 1000)
    except ValueError:
        raise InputError(
            str(path), "does not hold a number", "restore it, or remove it and this node's key"
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(str(path), f"cannot be written ({error.strerror})", "give this user the --state folder")


def _file_name(sealed: SealedCharter) -> str:
    """By version, so that a listing is in order."""
    return f"{sealed.charter.version:020d}.signed"
