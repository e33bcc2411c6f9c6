"""Every way in for bytes from outside: what comes of them is a message or `Rejected` (`InputError` for a file).

The bytes are random, or something like what was really sent: an envelope of every kind, bent, or with a field changed
and signed again, by who should, by another, or by nobody.
"""

from __future__ import annotations

import functools
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mint import kinds
from mint.absence import verify_absence
from mint.charter.seal import SealedCharter, open_charter
from mint.envelope import Envelope, Member, open_envelope
from mint.errors import InputError, Rejected
from mint.fault import verify_fault
from mint.frames import open_frame
from mint.merkle import leaf_hash, root
from mint.messages.chain import Block, BlockReply, BlockRequest, Header, ShareBatch, Shares
from mint.messages.fault import Fault
from mint.messages.frame import Frame, FrameRequest
from mint.messages.judgement import Absence, Verdict, Vote
from mint.names import Role
from mint.sign_bytes import Object, Stream
from mint.verdict import verify_verdict
from mint.wire import decode, encode
from network.verify.case import MAGIC, Case, read_case
from tests.builders import T0_MS
from tests.fuzz.bend import NASTY, bent
from tests.fuzz.fog import Fog
from tests.fuzz.forge import Forger
from tests.fuzz.laws import Finding, Laws
from tests.fuzz.proofs import Prover

# Everything that can be decoded: payloads, and what is around them.
TYPES: tuple[Any, ...] = (*(kind.type for kind in kinds.BY_NAME.values()), Envelope, Stream | Object, Case)
CHEAT = "m01"
# Long enough for a conviction, and for alarms that nobody has to be told to make.
RUN_S = 40


@dataclass(frozen=True)
class Specimens:
    """What was really sent where a miner cheats: envelopes by kind, under one charter; and forgers of several keys."""

    sealed: SealedCharter
    operator: bytes
    by_kind: dict[str, tuple[bytes, ...]]
    forgers: tuple[Forger, ...]
    prover: Prover
    case: bytes


@functools.cache
def specimens() -> Specimens:
    """Those of one fog, always the same."""
    laws = Laws()
    laws.cheats.add(CHEAT)
    fog = Fog(laws, seed=7)
    net, topics = fog.net, fog.net.sealed.topics()
    fog.cheat(CHEAT)
    found: dict[str, list[bytes]] = defaultdict(list)
    for _ in range(RUN_S):
        fog.heard.clear()
        fog.run(1)
        for _, data in fog.heard:
            found[_body(data).kind].append(data)
    frame = decode(_body(found["frame"][-1]).payload, Frame)
    other = net.signer("manager").object(msgspec.structs.replace(frame, time_ms=frame.time_ms + 1))
    proof = Fault("fog1", "two_frames", "manager", frame.number, "", (found["frame"][-1], other))
    found["fault"] = [net.signer("det1").object(proof)]
    request = FrameRequest("det1", "manager", 1, 32, proofs=True)
    found["request"] = [net.signer("det1").stream(request, topics.frame_request(), T0_MS)]
    fog.heard.clear()
    fog.restart("manager")  # which asks detectors for their newest frames
    found["reply"] = [data for topic, data in fog.heard if topic == topics.frame_reply("manager")]
    state = next(data for topic, data in _births(fog))
    found["state"], found["charter"] = [state], [net.sealed.data]
    found |= _ledger(fog)
    case = Case(
        (net.sealed.data,), tuple(found["frame"]), tuple(found["sample"][:20]), tuple(found["verdict"])
    )
    by_kind = {kind: tuple(envelopes) for kind, envelopes in sorted(found.items())}
    forgers = _forgers(fog)

    def forge(rng: random.Random, data: bytes) -> bytes:
        others = [rng.choice(envelopes) for envelopes in by_kind.values()]
        return rng.choice(forgers).forged(rng, data, others, T0_MS)

    prover = Prover(by_kind, forge, [net.signer(name) for name in net.detectors])
    return Specimens(net.sealed, net.operator_key.public, by_kind, forgers, prover, MAGIC + encode(case))


def _ledger(fog: Fog) -> dict[str, list[bytes]]:
    """What agents say of the ledger."""
    agent, topics = fog.net.signer("edge1"), fog.net.sealed.topics()
    batch = agent.object(
        ShareBatch("fog1", "edge1", 1, 2, (Shares(CHEAT, bytes(32), bytes(32), 1, T0_MS, 99, 2, bytes(16)),))
    )
    header = Header(bytes(32), root([leaf_hash(batch)]), CHEAT, 1, T0_MS, 99, 7)
    block = agent.object(Block(header, (batch,)))
    request, reply = BlockRequest("edge1", "edge2", (bytes(32),), 9), BlockReply(bytes(32), 1, (block,))
    charter, dark = fog.net.sealed.hash, (CHEAT,)
    vote = Vote("fog1", 9, bytes(32), charter, (), dark, T0_MS)
    votes = tuple(fog.net.signer(name).object(vote) for name in fog.net.detectors)
    return {
        "absence": [agent.object(Absence("fog1", charter, 9, dark, votes))],
        "shares": [batch],
        "block": [block],
        "block_request": [agent.stream(request, topics.block_request(), T0_MS)],
        "block_reply": [agent.stream(reply, topics.block_reply("edge1"), T0_MS)],
    }


def _births(fog: Fog) -> list[tuple[str, bytes]]:
    fog.heard.clear()
    fog.restart("edge1")
    return [(topic, data) for topic, data in fog.heard if _body(data).kind == "state"]


def _forgers(fog: Fog) -> tuple[Forger, ...]:
    """Those who have nobody's key, everyone's, and a few between."""
    net = fog.net
    trusted = {**net.sealed.trust().members, "operator": Member(Role.OPERATOR, net.operator_key.public)}
    keys = {**net.keys, "operator": net.operator_key}
    casts = ((), ("operator",), tuple(keys), ("det1",), ("manager", "edge1"))
    return tuple(Forger(net.network, {name: keys[name] for name in cast}, trusted) for cast in casts)


def _body(data: bytes) -> Stream | Object:
    body: Stream | Object = decode(decode(data, Envelope).body, Stream | Object)  # type: ignore[arg-type] # a union
    return body


class Decoders:
    """All of them, tried on whatever a random source brings; `counts`: what came of it."""

    def __init__(self, folder: Path) -> None:
        """`folder`: where a file may be put."""
        self._file = folder / "case"
        self._specimens = specimens()
        self.counts: Counter[str] = Counter()

    def once(self, rng: random.Random) -> None:
        """Bytes of one kind, to every way in that takes them.

        Raises:
            Finding: something else was raised than says that they are not taken.
        """
        some = self._specimens
        kind = rng.choice(sorted(some.by_kind))
        data = self._bytes(rng, kind)
        sealed = some.sealed
        charters = {sealed.hash: sealed}
        trust = sealed.trust()
        fault = some.prover.fault(rng)
        if fault is not None and rng.random() < 0.5:
            self._try(f"verify_fault {fault.kind}", encode(fault), lambda: verify_fault(fault, charters))
        self._try("wire", data, lambda: decode(data, rng.choice(TYPES)))
        self._try("open_charter", data, lambda: open_charter(data, some.operator, sealed.scheme))
        self._try("open_frame", data, lambda: open_frame(data, charters))
        topic = getattr(_or_none(data), "topic", None)
        opened = self._try("open_envelope", data, lambda: open_envelope(data, trust, topic=topic))
        message = opened.message if opened is not None else _payload(data)
        if isinstance(message, Verdict):
            self._try("verify_verdict", data, lambda: verify_verdict(message, charters))
        if isinstance(message, Absence):
            self._try("verify_absence", data, lambda: verify_absence(message, charters))
        if isinstance(message, Fault):
            self._try("verify_fault", data, lambda: verify_fault(message, charters))
        if rng.random() < 0.02:
            self._read(rng, data)

    def _bytes(self, rng: random.Random, kind: str) -> bytes:
        some = self._specimens
        data = rng.choice(some.by_kind[kind])
        others = [rng.choice(envelopes) for envelopes in some.by_kind.values()]
        match rng.randrange(8):
            case 0:
                return rng.randbytes(rng.randrange(300))
            case 1:
                return rng.choice(NASTY)
            case 2:
                return bent(rng, data, others)
            case 3:  # the payload alone, which `wire` takes
                return bent(rng, _body(data).payload, others)
            case _:
                return rng.choice(some.forgers).forged(rng, data, others, T0_MS)

    def _read(self, rng: random.Random, data: bytes) -> None:
        whole = self._specimens.case
        content = bent(rng, whole, (data,)) if rng.random() < 0.7 else MAGIC + data
        self._file.write_bytes(content)

        def read() -> object:
            case = read_case(self._file)
            return sum(1 for _ in case.pages())

        self._try("read_case", content, read, InputError)

    def _try(
        self, what: str, data: bytes, work: Callable[[], Any], refusal: type[Exception] = Rejected
    ) -> Any:  # whatever it gives
        try:
            result = work()
        except refusal:
            self.counts[f"{what}: refused"] += 1
            return None
        except Exception as error:
            shown = data.hex() if len(data) < 4096 else f"{data[:4096].hex()}... ({len(data)} bytes)"
            raise Finding(f"{what} raised {type(error).__name__}: {error}; on {shown}") from error
        self.counts[f"{what}: taken"] += 1
        return result


def _or_none(data: bytes) -> Stream | Object | None:
    try:
        return _body(data)
    except Rejected:
        return None


def _payload(data: bytes) -> msgspec.Struct | None:
    """The message in an envelope that nobody signed, as a proof may hold it."""
    body = _or_none(data)
    if body is None or body.kind not in kinds.BY_NAME:
        return None
    try:
        return decode(body.payload, kinds.BY_NAME[body.kind].type)
    except Rejected:
        return None
