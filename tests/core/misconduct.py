"""A short log, and what a liar would make of it: forged frames, notes and votes, and the faults that show them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mint.charter.model import Node
from mint.charter.seal import SealedCharter
from mint.envelope import Signer, object_hash
from mint.errors import Reason, Rejected
from mint.fault import Shown, verify_fault
from mint.messages.fault import Fault, FaultKind
from mint.messages.frame import Decision
from mint.messages.judgement import Verdict, Vote
from tests.builders import Net, key_of
from tests.twin_broker.fog import Fog
from tests.twin_broker.verdicts import verdict

NET = Net(miners=4, devices=2)
FOG = Fog(NET)
FOG.run(6)
FRAMES = {told.number: told.frame for told in FOG.told}
DATA = {told.number: told.data for told in FOG.told}
KNOWN = {NET.sealed.hash: NET.sealed}
OTHER_KEY = key_of("another manager")


def sample(number: int, device: str = "edge1") -> bytes:
    return next(data for data in FOG.storage.samples(number) if NET.opened(data).sender == device)


def forged(of: int, key: str = "manager", /, **changes: Any) -> bytes:
    """A frame of the log with changes, signed by its manager."""
    return Signer("manager", key_of(key), NET.network).object(msgspec.structs.replace(FRAMES[of], **changes))


def fault(kind: FaultKind, *proof: bytes, **changes: Any) -> Fault:
    """About frame 5 of the manager, if nothing else is said."""
    made = Fault("fog1", kind, "manager", 5, "", proof)
    return msgspec.structs.replace(made, **changes)


def shown(given: Fault, charters: dict[bytes, SealedCharter] | None = None) -> Shown:
    found = verify_fault(given, charters or KNOWN)
    assert (found.kind, found.accused, found.frame, found.about) == (
        given.kind,
        given.accused,
        given.frame,
        given.about,
    )
    return found


def refused(
    given: Fault, reason: Reason = Reason.NOT_PROVEN, charters: dict[bytes, SealedCharter] | None = None
) -> None:
    with pytest.raises(Rejected) as caught:
        verify_fault(given, charters or KNOWN)
    assert caught.value.reason is reason, caught.value


def charter(version: int = 2, **changes: Any) -> SealedCharter:
    return NET.next_version(version=version, **changes)


def nodes(**keys: bytes) -> tuple[Node, ...]:
    """The nodes, some of them with another key."""
    return tuple(
        msgspec.structs.replace(node, key=keys.get(node.name, node.key)) for node in NET.charter.nodes
    )


TWIN = forged(5, time_ms=1)


def lying(**changes: Any) -> bytes:
    """Frame 5, which says something else of m01 than its device did."""
    first, *others = FRAMES[5].miners
    assert first.miner == "m01"
    return forged(5, miners=(msgspec.structs.replace(first, **changes), *others))


VERDICT = verdict(FOG, "m01", 1, 4)
UNPROVEN = NET.signer("det1").object(
    msgspec.structs.replace(NET.message(VERDICT, Verdict), votes=NET.message(VERDICT, Verdict).votes[:2])
)


def noting(data: bytes, miner: str = "m01", offence: int = 1, number: int = 5) -> bytes:
    decision = Decision(object_hash(data), miner, offence)
    return forged(number, decisions=(decision,))


def vote(frame: int = 5, mark: bytes = b"h", name: str = "det2", key: str = "det2") -> bytes:
    made = Vote("fog1", frame, mark * 32, NET.sealed.hash, ())
    return Signer(name, key_of(key), NET.network).object(made)


def two_votes(*proof: bytes, **changes: Any) -> Fault:
    return fault("two_votes", *proof, **({"accused": "det2"} | changes))
