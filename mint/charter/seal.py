"""Signing a charter as the operator, and opening one with nothing but the operator's public key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from mint.charter import rules
from mint.charter.model import Charter
from mint.envelope import Member, Signer, Trust, open_envelope
from mint.errors import InputError, Reason, Rejected
from mint.keys import ED25519, Key, Scheme, network_id
from mint.names import Role
from mint.topics import Topics

OPERATOR = "operator"


@dataclass(frozen=True)
class SealedCharter:
    """A charter whose signature and rules hold; `hash` is what frames, votes and verdicts name it by."""

    charter: Charter
    hash: bytes
    data: bytes
    scheme: Scheme = ED25519

    def trust(self) -> Trust:
        """Whom a node under this charter believes."""
        return self._trust

    @cached_property
    def _trust(self) -> Trust:
        members = {node.name: Member(node.role, node.key) for node in self.charter.nodes}
        return Trust(self.charter.network, members, self.topics(), self.scheme)

    def topics(self) -> Topics:
        """The topics of its fog."""
        return Topics(self.charter.fog)


def seal(charter: Charter, operator: Key, scheme: Scheme = ED25519) -> SealedCharter:
    """Sign `charter` as the operator.

    Raises:
        InputError: its network is another operator's.
    """
    if charter.network != network_id(operator.public):
        raise InputError(
            "charter", "belongs to another operator's network", "sign it with that operator's key"
        )
    return open_charter(Signer(OPERATOR, operator, charter.network).object(charter), operator.public, scheme)


def open_charter(data: bytes, operator: bytes, scheme: Scheme = ED25519) -> SealedCharter:
    """Open a signed charter with the operator's raw public key.

    Raises:
        Rejected: not signed by that operator, another network, or its rules do not hold.
    """
    network = network_id(operator)
    trust = Trust(network, {OPERATOR: Member(Role.OPERATOR, operator)}, Topics("any"), scheme)
    opened = open_envelope(data, trust, expect="charter")
    charter = opened.message
    if not isinstance(charter, Charter):  # the kind's table says so; this says it to the type checker
        raise Rejected(Reason.WRONG_KIND, "not a charter")
    if charter.network != network:
        raise Rejected(Reason.WRONG_NETWORK, "the charter names another network than its signer's")
    try:
        rules.check(charter, "charter")
    except InputError as error:
        raise Rejected(Reason.IMPOSSIBLE, str(error)) from None
    return SealedCharter(charter, opened.hash, data, scheme)


def load_charter(path: Path, operator: bytes, now_ms: int) -> SealedCharter:
    """The signed charter in a file, which must be in force at `now_ms` (Unix ms).

    Raises:
        InputError: no such file, not signed by this operator, or expired.
    """
    try:
        sealed = open_charter(path.read_bytes(), operator)
    except OSError as error:
        raise InputError(
            str(path), f"cannot be read ({error.strerror})", "make it with `mint charter sign`"
        ) from None
    except (Rejected, msgspec.MsgspecError) as error:
        raise InputError(
            str(path), f"is not a valid charter ({error})", "sign it again with `mint charter sign`"
        ) from None
    if now_ms >= sealed.charter.expires_ms:
        raise InputError(str(path), "has expired", "sign a new version with `mint charter sign`")
    return sealed
