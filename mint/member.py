"""A member of the network: its name and key, and the charters it knows. Nothing here touches a disk or a clock.

A running node keeps its charters on disk (mint/node.py); the simulator's members keep them in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from mint.bus.options import Incoming
from mint.charter.seal import SealedCharter, open_charter
from mint.effects import Effect, Now, Post, Say
from mint.envelope import Opened, Signer, Trust, open_envelope
from mint.errors import InputError, Reason, Rejected
from mint.rejections import Rejections

# Charters kept to judge frames and verdicts of the past; a network has a new one every few months.
MAX_CHARTERS = 16


class Member:
    """Who we are and whom we believe: `charter` is in force, `charters` are those of the past too, by hash.

    `operator` is the raw public key that all of them are signed with.
    """

    def __init__(
        self,
        name: str,
        signer: Signer,
        operator: bytes,
        charters: Iterable[SealedCharter],
        *,
        log: logging.Logger,
        rejections: Rejections,
    ) -> None:
        """`operator`: its raw public key; `charters`: at least one, the newest of which is in force."""
        self.name, self.signer, self.log, self.rejections = name, signer, log, rejections
        self.operator = operator
        self.charters: dict[bytes, SealedCharter] = {sealed.hash: sealed for sealed in charters}
        self.charter = max(self.charters.values(), key=lambda sealed: sealed.charter.version)
        self.trust = self.charter.trust()
        self.topics = self.charter.topics()

    def take_charter(self, data: bytes, now_ms: int) -> SealedCharter | None:
        """Take a charter from the bus; the new current one, or None when it is the one we have.

        It is kept before this returns.

        Raises:
            Rejected: not the operator's, another fog's, expired, or older than what we have.
        """
        sealed = open_charter(data, self.operator, self.charter.scheme)
        if sealed.hash == self.charter.hash:
            return None
        if sealed.charter.fog != self.charter.charter.fog:
            raise Rejected(Reason.WRONG_NETWORK, f"charter of fog {sealed.charter.fog}")
        if sealed.charter.version <= self.charter.charter.version:
            raise Rejected(Reason.OLD_CHARTER, f"version {sealed.charter.version} is not newer than ours")
        if now_ms >= sealed.charter.expires_ms:
            raise Rejected(Reason.WRONG_TIME, f"charter version {sealed.charter.version} has expired")
        self.keep(sealed)
        self.charter = sealed
        self.trust = sealed.trust()
        self.log.info("charter version %d is now in force here", sealed.charter.version)
        return sealed

    def keep(self, sealed: SealedCharter) -> None:
        """Know `sealed` from now on; the oldest of too many is forgotten."""
        self.charters[sealed.hash] = sealed
        while len(self.charters) > MAX_CHARTERS:
            oldest = min(self.charters.values(), key=lambda kept: kept.charter.version)
            self.forget(oldest)

    def forget(self, sealed: SealedCharter) -> None:
        """Know a charter no more."""
        del self.charters[sealed.hash]

    def received(
        self,
        incoming: Incoming,
        now: Now,
        handle: Callable[[Opened], Iterable[Effect]],
        trust: Trust | None = None,
    ) -> list[Effect]:
        """Open what came, under the charter in force (or `trust`), and handle it.

        What is rejected is counted, and nothing stops.

        An empty payload clears a retained topic and says nothing. A charter is taken here: every component goes by
        `charter`, and sees that it changed.
        """
        if not incoming.payload:
            return []
        try:
            if incoming.topic == self.topics.charter():
                self.take_charter(incoming.payload, now.wall_ms)
                return []
            return list(handle(open_envelope(incoming.payload, trust or self.trust, topic=incoming.topic)))
        except Rejected as rejected:
            self.rejections.count(rejected, incoming.topic)
        except InputError as error:  # a charter that cannot be stored: we stay with ours until it can
            self.log.error("%s", error)
        return []

    def signed(self, effect: Post | Say, now: Now) -> bytes:
        """The bytes of an effect: an object's as they are, a stream's signed as the next of this session."""
        if isinstance(effect, Post):
            return effect.data
        return self.signer.stream(effect.message, effect.topic, now.wall_ms)
