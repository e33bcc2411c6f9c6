"""Nodes of one ledger on a bus in memory, each with a real database; time passes when a test says so."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from paho.mqtt.client import topic_matches_sub

from agents.pow.chain.node import Node
from agents.pow.chain.store import ChainStore
from mint.bus.options import Incoming
from mint.chain.header import meets, pow_hash
from mint.effects import Effect, Keep, Now, Post, Say
from mint.errors import Reason
from mint.member import Member
from mint.names import Role
from mint.rejections import Rejections
from tests.builders import T0_MS, Net, S

IN_MEMORY = Path(":memory:")


@dataclass
class Peer:
    """A device: what it is, what it has, and what was said to it and not read yet."""

    member: Member
    store: ChainStore
    node: Node
    sequence: int = 0
    inbox: deque[tuple[str, bytes]] = field(default_factory=deque)
    cut: bool = False

    def refused(self, reason: Reason) -> int:
        return self.member.rejections.by_reason[reason]


class Fog:
    """All that agents say reaches all agents, in order, unless one is cut off or `shuffle` is given."""

    def __init__(
        self, net: Net, names: Iterable[str] | None = None, shuffle: random.Random | None = None
    ) -> None:
        self.net, self.shuffle = net, shuffle
        self.topics = net.sealed.topics()
        self.now = Now(1000 * S, T0_MS)
        self.peers: dict[str, Peer] = {}
        self.said: list[tuple[str, bytes]] = []
        self._sessions = 0
        for name in names if names is not None else self._agents():
            self.start(name)

    def _agents(self) -> list[str]:
        return [node.name for node in self.net.charter.nodes_of(Role.AGENT)]

    def start(self, name: str, store: ChainStore | None = None, *, quiet: bool = False) -> Peer:
        """A node begins, on what its disk has."""
        self._sessions += 1
        log = logging.getLogger(f"test.{name}")
        member = Member(
            name,
            self.net.signer(name, self._sessions),
            self.net.operator.public,
            [self.net.sealed],
            log=log,
            rejections=Rejections(log, lambda: 0.0),
        )
        store = store or ChainStore(IN_MEMORY)
        peer = self.peers[name] = Peer(member, store, Node(member, store, self.now))
        if not quiet:
            self.carry_out(peer, peer.node.connected(self.now))
            self.settle()
        return peer

    def carry_out(self, peer: Peer, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Keep():
                    peer.store.keep(effect.what)
                case Post() | Say():
                    if not peer.cut:
                        self.say(effect.topic, peer.member.signed(effect, self.now))

    def say(self, topic: str, data: bytes, *, to: str | None = None) -> None:
        self.said.append((topic, data))
        for name, peer in self.peers.items():
            wanted = any(topic_matches_sub(one.filter, topic) for one in peer.node.subscriptions())
            if wanted and not peer.cut and to in (None, name):
                peer.inbox.append((topic, data))

    def settle(self) -> None:
        """Until nobody has anything to say."""
        while waiting := [peer for peer in self.peers.values() if peer.inbox]:
            peer = waiting[0]
            if self.shuffle is not None:
                peer = self.shuffle.choice(waiting)
                peer.inbox.rotate(self.shuffle.randrange(len(peer.inbox)))
            self.receive(peer, *peer.inbox.popleft())

    def receive(self, peer: Peer, topic: str, data: bytes) -> None:
        self.carry_out(peer, peer.node.receive(Incoming(topic, data, False, None, topic), self.now))

    def pass_time(self, seconds: float) -> None:
        """Time goes on, by the steps that nodes ask for."""
        end_ns = self.now.monotonic_ns + round(seconds * S)
        while True:
            due_ns = min(peer.node.due_ns() for peer in self.peers.values())
            at_ns = min(max(due_ns, self.now.monotonic_ns), end_ns)
            self.now = Now(at_ns, T0_MS + (at_ns - 1000 * S) // 1_000_000)
            if due_ns > end_ns:
                return
            for peer in self.peers.values():
                if peer.node.due_ns() <= at_ns:
                    self.carry_out(peer, peer.node.tick(self.now))
                    assert peer.node.due_ns() > at_ns, "it would be called for ever"
            self.settle()

    def sampled(self, peer: Peer) -> None:
        peer.sequence += 1
        peer.node.sampled(peer.member.signer.session, peer.sequence)

    def mine(self, miner: str, *, block: bool = False, settle: bool = True) -> bool:
        """`miner` finds a share, or a block; False: it has no work."""
        peer = self.peers[self.net.charter.miners_by_name()[miner].device]
        work = peer.node.works().get(miner)
        if work is None:
            return False
        needed = int.from_bytes(work.data[-8:], "big")
        nonce = peer.member.signer.session * 10**6 + len(self.said)
        while True:
            nonce += 1
            digest = pow_hash(work.data, nonce)
            if int.from_bytes(digest, "big") <= work.target and meets(digest, needed) == block:
                break
        self.carry_out(peer, peer.node.found(miner, work.id, nonce, self.now))
        if settle:
            self.settle()
        return True

    def run(self, blocks: int, miners: Iterable[str] | None = None, interval_s: float = 10) -> None:
        """Blocks in turn by `miners`, each of which finds a share a block as well."""
        names = list(miners or self.net.charter.miners_by_name())
        for number in range(blocks):
            self.pass_time(interval_s / 2)
            for name in names:
                self.mine(name)
            self.pass_time(interval_s / 2)
            for peer in self.peers.values():
                self.sampled(peer)
            assert self.mine(names[number % len(names)], block=True)

    def tips(self) -> set[bytes]:
        return {peer.node.tree.tip.hash for peer in self.peers.values()}
