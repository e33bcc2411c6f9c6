"""Which blocks there are and which of them are the chain: the one with the most work, of equal work the smaller hash.

Which that is depends on the blocks alone and not on the order in which they came; a test holds it. Blocks whose
parent is not here wait, as many as there is room for. What is on the disk is not in memory: the states of the last
few hundred blocks are, and any other is rebuilt from the last snapshot before it by checking the blocks after that
again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from agents.pow.chain.held import Held
from agents.pow.chain.storage import Grown, Place, Snapshot, Storage, Stored
from mint.chain.rules import OF_ENVELOPE, Checked, Read, better, check_block, read_block
from mint.chain.state import Ledger, State, restored, snapshot
from mint.chain.times import check_now
from mint.errors import Reason, Rejected

# States in memory: four replies of blocks, some MiB with the shares of sixteen miners.
MAX_STATES = 256
# Rebuilding a state checks half as many blocks, on average: some ten milliseconds.
SNAPSHOT_EVERY = 64
# Blocks without their parent: what a node lacks it asks for in order, so few come early.
MAX_ORPHANS = 64
MAX_ORPHAN_BYTES = 8 << 20
# Blocks known to be invalid, so that what stands on them need not be asked for.
MAX_BAD = 256
# Blocks that nobody asked for are of no use this far behind: their branch cannot win before it is asked for.
MAX_BEHIND = 288


class Added(NamedTuple):
    """A block that is here and valid; `new`: it was not before."""

    hash: bytes
    new: bool


class Tree:
    """`tip` is the state at the end of the chain. `grown` says what has come since it was last asked for."""

    def __init__(self, ledger: Ledger, storage: Storage) -> None:
        self.ledger, self._storage = ledger, storage
        self._states: OrderedDict[bytes, State] = OrderedDict()
        self._fresh: dict[bytes, Stored] = {}
        self._snapshots: list[Snapshot] = []
        self._orphans: Held[Read] = Held(MAX_ORPHANS, MAX_ORPHAN_BYTES)
        self._bad: OrderedDict[bytes, None] = OrderedDict()
        place = storage.tip()
        self.tip = self.state(ledger.genesis.hash if place is None else place.hash)

    @property
    def orphans(self) -> int:
        """How many blocks wait for their parent."""
        return len(self._orphans)

    def add(self, data: bytes, now_ms: int, tolerance_ms: int, sender: str, *, asked: bool = False) -> Added:
        """Add a block, and those that waited for it; `asked`: it was asked for, however far behind.

        Raises:
            Rejected: what is wrong with it; FUTURE: it may come again; STALE: it is too far behind; ORPHAN: its
                parent is not here, and it waits.
        """
        read = read_block(self.ledger.network, data)
        if self.known(read.hash):
            return Added(read.hash, new=False)
        check_now(read.header.time_ms, now_ms, tolerance_ms)
        if not asked and read.header.height < self.tip.height - MAX_BEHIND:
            raise Rejected(Reason.STALE, f"block {read.header.height}, the chain is at {self.tip.height}")
        if read.header.parent in self._bad:
            self._condemn(read.hash)
            raise Rejected(Reason.BAD_CHAIN, f"block {read.header.height} stands on an invalid one")
        if self.place(read.header.parent) is None:
            self._orphans.put(sender, read.hash, read, len(data))
            raise Rejected(Reason.ORPHAN, f"block {read.header.height} of {read.header.miner}: no parent")
        self._accept(self._checked(read))
        self._adopt_orphans(read.hash)
        return Added(read.hash, new=True)

    def known(self, block: bytes) -> bool:
        """Whether a block is here and valid."""
        return self.place(block) is not None

    def place(self, block: bytes) -> Place | None:
        """Where a block stands, on the chain or beside it; None: it is not here."""
        if block == self.ledger.genesis.hash:
            return Place(block, bytes(32), 0, 0, self.ledger.chain.first_work)
        fresh = self._fresh.get(block)
        return fresh.place if fresh is not None else self._storage.place(block)

    def state(self, block: bytes) -> State:
        """The state after a block that is here.

        Raises:
            Rejected: STALE, it is beside the chain, and what was before it is not kept any more.
        """
        path: list[bytes] = []
        at = block
        while (state := self._remembered(at)) is None:
            path.append(at)
            at = self._before(at)
        for one in reversed(path):
            fresh = self._fresh.get(one)
            data = self._storage.data(one) if fresh is None else fresh.data
            state = check_block(self.ledger, state, read_block(self.ledger.network, data)).state
            self._remember(state)
        return state

    def grown(self) -> Grown | None:
        """What is to be kept since this was last called; None: nothing. It is kept before anything else is added."""
        if not self._fresh:
            return None
        chain = self._branch(self.tip)
        fork = self.tip.height - len(chain)
        what = Grown(tuple(self._fresh.values()), tuple(self._snapshots), fork, chain)
        self._fresh, self._snapshots = {}, []
        return what

    def _branch(self, end: State) -> tuple[bytes, ...]:
        """The blocks up to `end` that are not on the chain that is kept."""
        branch: list[bytes] = []
        at, height = end.hash, end.height
        while height and self._storage.on_chain(height) != at:
            branch.append(at)
            at, height = self._before(at), height - 1
        return tuple(reversed(branch))

    def _before(self, block: bytes) -> bytes:
        place = self.place(block)
        if place is None:
            raise Rejected(Reason.STALE, "a branch that was given up")
        return place.parent

    def _checked(self, read: Read) -> Checked:
        try:
            return check_block(self.ledger, self._parent_state(read), read)
        except Rejected as rejected:
            if rejected.reason not in OF_ENVELOPE:
                self._condemn(read.hash)
            raise

    def _parent_state(self, read: Read) -> State:
        place = self.place(read.header.parent)
        assert place is not None  # noqa: S101 (whoever calls has seen to that)
        # Before a state is rebuilt for it: what costs us work has cost its sender the work that is due there.
        if (read.header.height, read.header.work) != (place.height + 1, place.next_work):
            raise Rejected(
                Reason.BAD_CHAIN,
                f"block {read.header.height} with work {read.header.work}, due is {place.height + 1} with "
                f"{place.next_work}",
            )
        return self.state(place.hash)

    def _accept(self, checked: Checked) -> None:
        state, header = checked.state, checked.read.header
        place = Place(state.hash, header.parent, state.height, state.total_work, state.next_work)
        self._fresh[state.hash] = Stored(place, header.miner, checked.works, checked.read.data)
        self._remember(state)
        if state.height % SNAPSHOT_EVERY == 0:
            self._snapshots.append(Snapshot(state.hash, state.height, snapshot(state)))
        if better(state, self.tip):
            if header.parent != self.tip.hash:
                self._branch(state)  # which has to be here, down to the chain
            self.tip = state

    def _adopt_orphans(self, parent: bytes) -> None:
        """Add those that waited for a block, and those that waited for them."""
        parents = [parent]
        while parents:
            one = parents.pop()
            for key in [key for key, read in self._orphans if read.header.parent == one]:
                try:
                    self._accept(self._checked(self._orphans.take(key)))
                except Rejected:
                    continue  # it was counted as an orphan when it came
                parents.append(key)

    def _condemn(self, block: bytes) -> None:
        self._bad[block] = None
        while len(self._bad) > MAX_BAD:
            self._bad.popitem(last=False)

    def _remember(self, state: State) -> None:
        self._states[state.hash] = state
        self._states.move_to_end(state.hash)
        while len(self._states) > MAX_STATES:
            self._states.popitem(last=False)

    def _remembered(self, block: bytes) -> State | None:
        if block == self.ledger.genesis.hash:
            return self.ledger.genesis
        state = self._states.get(block)
        if state is None:
            data = self._storage.snapshot(block)
            if data is not None:
                state = restored(self.ledger, data)
                self._remember(state)
        return state
