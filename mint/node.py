"""A node of the network: what every long-running component needs before it does its own work.

A component is started with the charter, its name, its keys, the broker and a folder for its state; it holds no
trust but the operator's public key. Without a valid charter it does nothing and says so.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from mint.charter.seal import SealedCharter, load_charter, open_charter
from mint.envelope import Signer
from mint.errors import InputError, Reason, Rejected
from mint.files import next_count, write_atomic
from mint.keys import SigningKey, load_public
from mint.names import Role, checked_name
from mint.rejections import Rejections

# Files in a node's `--keys` folder, as `mint init` writes them.
SIGNING_KEY, OPERATOR_KEY = "node.key", "operator.pub"
TLS_KEY, TLS_CERTIFICATE, CA_CERTIFICATE = "tls.key", "tls.pem", "ca.pem"

# Files in its `--state` folder.
SESSION, CHARTERS = "session", "charters"

# Charters a node keeps to judge verdicts of the recent past; a network has a new one every few months.
MAX_CHARTERS = 16


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


class Node:
    """One running node: its name and keys, the charters it knows, its signer, its count of rejections."""

    def __init__(self, options: NodeOptions, role: Role) -> None:
        """Load everything.

        Raises:
            InputError: a file or name is missing or wrong, or the charter gives this node another role or key.
        """
        self.options = options
        self.name = checked_name(options.node, "--node")
        self.log = logging.getLogger(f"mint.{self.name}")
        self.rejections = Rejections(self.log, time.monotonic)
        self._operator = load_public(options.keys / OPERATOR_KEY)
        # Those in force before as well, by hash: the frame log and verdicts of the past name them.
        self.charters: dict[bytes, SealedCharter] = {}
        self.charter = self._load_charters()
        self.trust = self.charter.trust()
        self.topics = self.charter.topics()
        key = SigningKey.load(options.keys / SIGNING_KEY)
        self._check_membership(role, key)
        self.session = self._next_session()
        self.signer = Signer(self.name, key, self.charter.charter.network, self.session)

    def take_charter(self, data: bytes) -> SealedCharter | None:
        """Take a charter from the bus; the new current one, or None when it is the one we have.

        It is on disk before this returns.

        Raises:
            Rejected: not the operator's, another fog's, expired, or older than what we have.
        """
        sealed = open_charter(data, self._operator)
        if sealed.hash == self.charter.hash:
            return None
        if sealed.charter.fog != self.charter.charter.fog:
            raise Rejected(Reason.WRONG_NETWORK, f"charter of fog {sealed.charter.fog}")
        if sealed.charter.version <= self.charter.charter.version:
            raise Rejected(Reason.OLD_CHARTER, f"version {sealed.charter.version} is not newer than ours")
        if wall_ms() >= sealed.charter.expires_ms:
            raise Rejected(Reason.WRONG_TIME, f"charter version {sealed.charter.version} has expired")
        self._keep(sealed)
        self.charter = sealed
        self.trust = sealed.trust()
        self.log.info("charter version %d is now in force here", sealed.charter.version)
        return sealed

    def _load_charters(self) -> SealedCharter:
        """The newest of the charter given and those kept; all of them are known from now on."""
        given = load_charter(self.options.charter, self._operator, wall_ms())
        for path in sorted((self.options.state / CHARTERS).glob("*.signed")):
            kept = load_charter(path, self._operator, 0)  # one that has expired still explains the past
            if kept.charter.fog == given.charter.fog:
                self.charters[kept.hash] = kept
        newest = max((*self.charters.values(), given), key=lambda sealed: sealed.charter.version)
        if newest.hash not in self.charters:
            self._keep(newest)
        if wall_ms() >= newest.charter.expires_ms:
            raise InputError(
                str(self.options.charter), "the newest charter has expired", "sign a new version"
            )
        return newest

    def _keep(self, sealed: SealedCharter) -> None:
        """Know `sealed` from now on, on disk before this returns; the oldest of too many is forgotten."""
        folder = self.options.state / CHARTERS
        try:
            write_atomic(folder / _file_name(sealed), sealed.data)
            self.charters[sealed.hash] = sealed
            while len(self.charters) > MAX_CHARTERS:
                oldest = min(self.charters.values(), key=lambda kept: kept.charter.version)
                del self.charters[oldest.hash]
                (folder / _file_name(oldest)).unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                str(folder), f"cannot be written ({error.strerror})", "give this user the --state folder"
            ) from None

    def _check_membership(self, role: Role, key: SigningKey) -> None:
        member = self.charter.trust().members.get(self.name)
        where = str(self.options.charter)
        if member is None:
            raise InputError(where, f"does not name node {self.name!r}", "add it to [[nodes]] and sign again")
        if member.role is not role:
            raise InputError(
                where, f"says that {self.name!r} is {member.role}", f"start it with `mint {member.role}`"
            )
        if member.key != key.public:
            raise InputError(
                str(self.options.keys / SIGNING_KEY),
                f"is not the key that the charter gives {self.name!r}",
                "copy its own",
            )

    def _next_session(self) -> int:
        path = self.options.state / SESSION
        try:
            return next_count(path)
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
