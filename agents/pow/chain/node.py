"""A device's node of the ledger between its bus, its disk, its clock and its miners. Pure.

It has the shape of a mint/component.Component and more: `found` is what the exchange of work (agents/pow/exchange.py)
calls, `works` what it is to give out, `counted` and `totals` what the next sample says of shares, `sampled` which one
that was. It runs beside the device's agent (agents/agent.py), on the same bus and as the same member.

    blocks, replies -> tree.py -> templates.py -> the miners -> showing.py -> batches of shares, blocks
    batches, verdicts, faults, votes -> pool.py -----^

Whatever it tells was kept before. It is of one ledger: where a charter has another, or none, `ended` says so, and
whoever runs it begins anew with another storage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents.pow.chain.absences import Absences
from agents.pow.chain.allowance import Allowance
from agents.pow.chain.catching_up import CatchingUp
from agents.pow.chain.pool import Pool
from agents.pow.chain.serving import locator, reply
from agents.pow.chain.showing import Showing
from agents.pow.chain.storage import Counted, Storage
from agents.pow.chain.templates import Solved, Templates
from agents.pow.chain.tree import Added, Tree
from agents.pow.work import Work
from mint.bus.options import Incoming, Overflow, Subscription
from mint.chain.state import Terms, ledger_of
from mint.chain.times import Early
from mint.effects import Effect, Keep, Now, Post, Say
from mint.envelope import Opened, ReplayGuard, open_envelope
from mint.errors import Reason, Rejected
from mint.member import Member
from mint.messages.chain import (
    MAX_REPLY_BLOCKS,
    Block,
    BlockReply,
    BlockRequest,
    ShareBatch,
)
from mint.messages.fault import Fault
from mint.messages.judgement import Verdict, Vote
from mint.names import Role
from mint.sign_bytes import Stream
from mint.topics import Topics

NS_PER_S, NS_PER_MS = 1_000_000_000, 1_000_000
# Blocks and batches are of use while their chain is near its end; who was away longer asks.
EXPIRY_S = 600
REQUEST_EXPIRY_S, REPLY_EXPIRY_S = 10, 30
# Templates are renewed this often for what came meanwhile, and for their time; each costs every miner that finds
# shares some 120 bytes in a block.
RENEW_NS = 10 * NS_PER_S
# Batches come at the same time, after a block: templates wait for the others.
SOON_NS = 2 * NS_PER_S
# Shares that were found are shown with the next block, or after so long where blocks are rare.
SHOW_NS = 10 * NS_PER_S
# A device finds a part of the blocks, and shows a batch a block; twice the network's rate is more than it can mean.
BURST = 32
# As mint/answers.py: who catches up asks once a round trip.
ANSWER_PAUSE_NS, ANSWER_BURST = 20 * NS_PER_MS, 16


def subscriptions(topics: Topics, name: str) -> tuple[Subscription, ...]:
    """What device `name` listens to for the ledger; also where there is none yet, for it may come with a charter."""
    newest = Overflow.DROP_NEWEST
    return (
        Subscription(topics.block(), limit=256, overflow=newest),
        Subscription(topics.share("+"), limit=1024, overflow=newest),
        Subscription(topics.verdict("+", "+"), limit=256, overflow=newest),
        Subscription(topics.fault("+"), limit=64, overflow=newest),
        Subscription(topics.vote("+"), limit=256, overflow=newest),
        Subscription(topics.block_request(), limit=64, overflow=newest),
        Subscription(topics.block_reply(name), limit=4, overflow=newest),
    )


class Node:
    """The ledger as this device knows it; `tree.tip` is the end of the chain."""

    def __init__(self, member: Member, storage: Storage, now: Now) -> None:
        """`storage` is of the ledger of the charter in force."""
        self._member, self._storage = member, storage
        self._sealed = member.charter
        self._ledger = ledger_of(self._sealed, member.operator)
        self.tree = Tree(self._ledger, storage)
        self._pool, self._absences = Pool(self._ledger), Absences()
        self._templates = Templates(self._ledger.network)
        self._showing = Showing(storage.totals())
        self._requests, self._replies = ReplayGuard(0), ReplayGuard(0)
        self._catching_up = CatchingUp(self._others(), now.monotonic_ns)
        pause_ns = self._ledger.chain.block_interval_ms * NS_PER_MS // 2
        self._blocks, self._batches = Allowance(pause_ns, BURST), Allowance(pause_ns, BURST)
        self._asking = Allowance(ANSWER_PAUSE_NS, ANSWER_BURST)
        # Who has a block of a time to come, and when that is (monotonic ns).
        self._later: dict[str, int] = {}
        # Whom we asked last, and how far its chain was read, which may lie beside ours.
        self._holder = ""
        self._reached: bytes | None = None
        # No sample of a run before this one counts what is found now.
        self._place = (member.signer.session, 0)
        self._renew_ns = self._show_ns = now.monotonic_ns
        self._stale = True  # the templates are of what is past
        self._terms = Terms(self._sealed)
        self._take_terms()
        self._loss_told = False

    # --- the miners ---

    @property
    def ended(self) -> bool:
        """Whether the charter in force has another ledger, or none."""
        return not self._ledger.holds(self._sealed.charter)

    @property
    def totals(self) -> Mapping[str, int]:
        """How many shares each miner of this device ever found: said in samples, once `counted` is carried out."""
        mine = self._sealed.charter.miners_on(self._member.name)
        return {miner.name: self._showing.totals.get(miner.name, 0) for miner in mine}

    def works(self) -> dict[str, Work]:
        """What each miner is to work on now, by name; none while we are behind."""
        return self._templates.works()

    def counted(self) -> list[Effect]:
        """Have on disk what `totals` says."""
        changed = self._showing.uncounted()
        return [Keep(Counted(changed))] if changed else []

    def sampled(self, session: int, sequence: int) -> None:
        """The newest sample of this device has this place in its stream."""
        self._place = (session, sequence)

    def found(self, miner: str, work: int, nonce: int, now: Now) -> list[Effect]:
        """`miner` found this nonce for the work of this id."""
        try:
            solved = self._templates.solved(miner, work, nonce)
        except Rejected as rejected:
            self._member.rejections.count(rejected, f"work of {miner}")
            return []
        if solved.share:
            if not self._showing.waiting:
                self._show_ns = now.monotonic_ns + SHOW_NS
            self._showing.add(solved)
        effects = self._made(solved, now)
        if self._showing.full:
            effects += self._show()
        return effects + self._up_to_date(now)

    def _made(self, solved: Solved, now: Now) -> list[Effect]:
        """Tell of a block of ours, if it is one and stands."""
        if solved.block is None:
            return []
        data = self._member.signer.object(solved.block)
        try:
            self.tree.add(data, now.wall_ms, self._tolerance_ms, self._member.name)
        except Rejected as rejected:  # its miner is barred, say
            self._member.rejections.count(rejected, f"a block of {solved.template.header.miner}")
            return []
        effects = self._grown(now)
        return [*effects[:1], Post(self._member.topics.block(), data, expiry_s=EXPIRY_S), *effects[1:]]

    # --- the component ---

    def subscriptions(self) -> Sequence[Subscription]:
        """Blocks, batches, verdicts, faults, votes, and what devices that lack blocks say."""
        return subscriptions(self._member.topics, self._member.name)

    def connected(self, now: Now) -> list[Effect]:
        """A connection stands (again): whatever was missed is asked for."""
        self._catching_up.again(now.monotonic_ns)
        return self.tick(now)

    def receive(self, incoming: Incoming, now: Now) -> list[Effect]:
        """A message came. What is wrong with it is counted; nothing is raised for it."""
        effects = self._member.received(incoming, now, lambda opened: self._handle(opened, now))
        self._adopt()
        return effects + self._up_to_date(now)

    def due_ns(self) -> int:
        """When `tick` is due, on the monotonic clock."""
        due = [self._catching_up.due_ns(), self._renew_ns, *self._later.values()]
        if self._showing.waiting:
            due.append(self._show_ns)
        return min(due)

    def tick(self, now: Now) -> list[Effect]:
        """Time has come: to ask, to show shares, to renew templates."""
        self._adopt()
        effects: list[Effect] = []
        if self._showing.waiting and now.monotonic_ns >= self._show_ns:
            effects += self._show()
        for holder in [name for name, at_ns in self._later.items() if at_ns <= now.monotonic_ns]:
            del self._later[holder]
            self._catching_up.want(holder, now.monotonic_ns)
        if now.monotonic_ns >= self._renew_ns:
            self._stale = True
        return effects + self._up_to_date(now)

    def _handle(self, opened: Opened, now: Now) -> list[Effect]:
        message = opened.message
        match message:
            case Block():
                return self._block(opened, now)
            case ShareBatch():
                return self._batch(opened, message, now)
            case Verdict() | Fault() | Vote():
                # A charter that we do not have yet comes on its own topic; its verdicts are retained.
                self._stale |= self._waits(opened, message)
                return []
            case BlockRequest():
                return self._request(opened, message, now)
            case BlockReply():
                return self._reply(opened, message, now)
            case _:
                raise Rejected(Reason.WRONG_KIND, f"{opened.body.kind} is not for a node of the ledger")

    def _waits(self, opened: Opened, message: Verdict | Fault | Vote) -> bool:
        """Have something wait for a block; whether it is new."""
        if isinstance(message, Verdict):
            return self._pool.verdict(opened, message, self._member.charters)
        if isinstance(message, Fault):
            return self._pool.fault(opened, message, self._member.charters)
        absence = self._absences.vote(opened, message, self._sealed)
        if absence is None:
            return False
        self._pool.absence(absence, self._member.signer.object(absence))
        return True

    # --- what comes ---

    def _block(self, opened: Opened, now: Now) -> list[Effect]:
        if opened.sender == self._member.name:
            return []  # the broker sends us our own
        self._blocks.take(opened.sender, now.monotonic_ns)
        if not self._add(opened.data, opened.sender, now, asked=False).new:
            raise Rejected(Reason.REPLAYED, f"a block of {opened.sender} is here")
        return self._grown(now)

    def _add(self, data: bytes, sender: str, now: Now, *, asked: bool) -> Added:
        try:
            return self.tree.add(data, now.wall_ms, self._tolerance_ms, sender, asked=asked)
        except Rejected as rejected:
            if rejected.reason is Reason.ORPHAN:
                self._catching_up.want(sender, now.monotonic_ns)
            if isinstance(rejected, Early):
                due_ns = now.monotonic_ns + (rejected.due_ms - now.wall_ms) * NS_PER_MS
                self._later[sender] = min(self._later.get(sender, due_ns), due_ns)
            raise

    def _batch(self, opened: Opened, batch: ShareBatch, now: Now) -> list[Effect]:
        if opened.sender != self._member.name:
            self._batches.take(opened.sender, now.monotonic_ns)
            self._pool.batch(opened, batch, self._terms, self.tree.tip.height)
            self._renew_ns = min(self._renew_ns, now.monotonic_ns + SOON_NS)
        return []

    def _request(self, opened: Opened, request: BlockRequest, now: Now) -> list[Effect]:
        self._guarded(self._requests, opened, now)
        if request.client != opened.sender:
            raise Rejected(Reason.IMPOSSIBLE, f"{opened.sender} asks in the name of {request.client}")
        if request.holder != self._member.name:
            return []
        self._asking.take(opened.sender, now.monotonic_ns)
        answer = reply(self.tree, self._storage, request)
        topic = self._member.topics.block_reply(request.client)
        return [Say(topic, answer, qos=1, expiry_s=REPLY_EXPIRY_S)]

    def _reply(self, opened: Opened, answer: BlockReply, now: Now) -> list[Effect]:
        self._guarded(self._replies, opened, now)
        holder = opened.sender
        if not self._catching_up.awaits(holder):
            raise Rejected(Reason.TOO_OFTEN, f"{holder} answers what was not asked")
        before, wrong = self._reached, False
        try:
            for data in answer.blocks:
                self._reached = self._add(data, holder, now, asked=True).hash
        except Rejected as rejected:
            self._member.rejections.count(rejected, f"a reply of {holder}")
            wrong = rejected.reason is not Reason.FUTURE
        more = self._reached != before and not self.tree.known(answer.tip)
        self._catching_up.answered(holder, now.monotonic_ns, more=more, wrong=wrong)
        if not more:
            self._reached = None
        return self._grown(now)

    def _guarded(self, guard: ReplayGuard, opened: Opened, now: Now) -> None:
        body = opened.body
        assert isinstance(body, Stream)  # noqa: S101 (the kind's table says so; this tells the type checker)
        guard.check(body, now.wall_ms)
        guard.accept(body)

    # --- what follows ---

    def _grown(self, now: Now) -> list[Effect]:
        """Keep what the tree has grown by; with a new end of the chain, show shares and renew templates."""
        what = self.tree.grown()
        if what is None:
            return []
        effects: list[Effect] = [Keep(what)]
        if what.chain:
            self._pool.prune(self.tree.tip.height)
            self._tell_of_loss()
            self._stale = True
            effects += self._show()
        return effects

    def _tell_of_loss(self) -> None:
        """Say it where the chain counts more shares of ours than we do: our disk was lost, or another is this device.

        Counting on from the chain would be shares that no CPU time explains: samples of this boot have said fewer.
        """
        if self._loss_told:
            return
        for miner, total in self.totals.items():
            on_chain = self.tree.tip.totals.get(miner, 0)
            if on_chain > total:
                self._loss_told = True
                self._member.log.warning(
                    "the ledger counts %d shares of %s and this disk %d: the next are not paid until they are as "
                    "many (docs/ledger.md)",
                    on_chain,
                    miner,
                    total,
                )
                return

    def _show(self) -> list[Effect]:
        """Show the shares that wait, to ourselves too."""
        charter = self._sealed.charter
        batch = self._showing.batch(charter.fog, self._member.name, self._place)
        if batch is None:
            return []
        data = self._member.signer.object(batch)
        try:
            opened = open_envelope(data, self._member.trust, expect="shares")
            self._pool.batch(opened, batch, self._terms, self.tree.tip.height)
        except Rejected as rejected:  # by a new charter they are none any more
            self._member.rejections.count(rejected, "our own shares")
            return self.counted()
        return [*self.counted(), Post(self._member.topics.share(self._member.name), data, expiry_s=EXPIRY_S)]

    def _up_to_date(self, now: Now) -> list[Effect]:
        """Ask whom there is to ask, and give the miners what they should work on."""
        effects = self._ask(now)
        if self._stale:
            self._renew_ns = now.monotonic_ns + (SOON_NS if self._catching_up.behind else RENEW_NS)
            if not self._catching_up.behind and not self.ended:
                self._renew(now)
        return effects

    def _ask(self, now: Now) -> list[Effect]:
        holder = self._catching_up.ask(now.monotonic_ns)
        if holder is None:
            return []
        if holder != self._holder:
            self._holder, self._reached = holder, None
        known = locator(self.tree, self._storage)
        if self._reached is not None:
            known = (self._reached, *known)
        request = BlockRequest(self._member.name, holder, known, MAX_REPLY_BLOCKS)
        return [Say(self._member.topics.block_request(), request, qos=1, expiry_s=REQUEST_EXPIRY_S)]

    def _renew(self, now: Now) -> None:
        self._stale = False
        try:
            content = self._pool.content(self.tree.tip, self._member.charter)
        except Rejected as rejected:
            self._member.rejections.count(rejected, "a block of ours")
            return
        self._terms = content.terms
        mine = self._sealed.charter.miners_on(self._member.name)
        self._templates.renew([miner.name for miner in mine], self.tree.tip, content, now.wall_ms)

    # --- charters ---

    def _adopt(self) -> None:
        """Go by the newest charter, if we do not yet."""
        if self._member.charter is self._sealed:
            return
        self._sealed = self._member.charter
        self._take_terms()
        self._catching_up.take(self._others())
        self._stale = True
        if self.ended:
            self._templates.clear()

    def _take_terms(self) -> None:
        self._tolerance_ms = self._sealed.charter.clock_tolerance_ms
        self._requests.take(self._tolerance_ms)
        self._replies.take(self._tolerance_ms)

    def _others(self) -> list[str]:
        agents = self._sealed.charter.nodes_of(Role.AGENT)
        return [node.name for node in agents if node.name != self._member.name]
