"""The samples that an accusation may need: which one a frame rests on, and its bytes while they are at hand.

An offence begins at the reading that its worst window begins at, and that may be long ago; so the shelf keeps
the references that some account still points at (`pinned`) and of the others those of the last `RECENT` frames.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from mint import kinds
from mint.merkle import leaf_hash
from mint.messages.frame import DeviceEntry
from mint.messages.judgement import SampleRef

# A Proof-of-Behavior window of the longest d has its begin in an account's memory, not here; this much is for
# samples that come before their frame and evidence that is asked for a little later.
RECENT = 64
MAX_SAMPLE_BYTES = kinds.BY_NAME["sample"].max_bytes
# Envelopes per device that are waiting for the frame that names them: a ring's worth.
WAITING_PER_DEVICE = 64


class Shelf:
    """References by device and frame number, envelopes by leaf hash."""

    def __init__(self) -> None:
        self._refs: dict[tuple[str, int], SampleRef] = {}
        self._frame_of: dict[bytes, int] = {}
        self._held: dict[bytes, bytes] = {}
        self._waiting: dict[str, OrderedDict[bytes, bytes]] = {}
        self._head = 0

    def sample(self, device: str, data: bytes) -> None:
        """A sample envelope of `device` came by; it is kept until the frame that rests on it has come, or longer."""
        if len(data) > MAX_SAMPLE_BYTES:
            return  # it comes here unopened, and the manager takes none of that size
        leaf = leaf_hash(data)
        if self.shown(leaf, data):
            return
        waiting = self._waiting.setdefault(device, OrderedDict())
        waiting[leaf] = data
        while len(waiting) > WAITING_PER_DEVICE:
            waiting.popitem(last=False)

    def shown(self, leaf: bytes, data: bytes) -> bool:
        """Somebody shows the sample with this leaf hash: it is kept where a frame that we know rests on it."""
        if leaf not in self._frame_of:
            return False
        self._held[leaf] = data
        return True

    def frame(self, number: int, devices: Iterable[DeviceEntry]) -> None:
        """Frame `number` rests on these."""
        self._head = number
        for entry in devices:
            if not entry.leaf:
                continue
            self._refs[entry.device, number] = SampleRef(
                entry.device, entry.session, entry.sequence, entry.leaf
            )
            self._frame_of[entry.leaf] = number
            waiting = self._waiting.get(entry.device, OrderedDict())
            if entry.leaf in waiting:
                self._held[entry.leaf] = waiting[entry.leaf]
                while waiting and waiting.popitem(last=False)[0] != entry.leaf:
                    pass  # samples before it rest in no frame

    def ref(self, device: str, number: int) -> SampleRef | None:
        """The sample of `device` that frame `number` rests on; None when not kept."""
        return self._refs.get((device, number))

    def envelope(self, leaf: bytes) -> bytes | None:
        """The envelope with this leaf hash; None when it is not at hand."""
        return self._held.get(leaf)

    def frame_of(self, leaf: bytes) -> int | None:
        """The number of the frame that rests on the sample with this leaf hash; None when not kept."""
        return self._frame_of.get(leaf)

    def prune(self, pinned: set[tuple[str, int]]) -> None:
        """Forget what is neither recent nor pinned (device, frame number)."""
        self._keep(
            {key: ref for key, ref in self._refs.items() if key[1] > self._head - RECENT or key in pinned}
        )

    def cut(self, after: int) -> None:
        """Forget frames after number `after`: the operator has the log go on from there."""
        self._head = min(self._head, after)
        self._keep({key: ref for key, ref in self._refs.items() if key[1] <= after})

    def _keep(self, refs: dict[tuple[str, int], SampleRef]) -> None:
        self._refs = refs
        self._frame_of = {ref.leaf: number for (_, number), ref in self._refs.items()}
        self._held = {leaf: data for leaf, data in self._held.items() if leaf in self._frame_of}

    def state(self) -> list[list[object]]:
        """The references, as plain data."""
        return [
            [device, number, ref.session, ref.sequence, ref.leaf.hex()]
            for (device, number), ref in self._refs.items()
        ]

    def restore(self, state: Iterable[tuple[str, int, int, int, str]]) -> None:
        """Take the references of `state()`; envelopes have to be asked for."""
        for device, number, session, sequence, leaf in state:
            ref = SampleRef(device, session, sequence, bytes.fromhex(leaf))
            self._refs[device, number] = ref
            self._frame_of[ref.leaf] = number
            self._head = max(self._head, number)
