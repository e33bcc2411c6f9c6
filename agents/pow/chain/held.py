"""Things of several senders, as many bytes as there is room for: who sends much loses its own, never another's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Held(Generic[T]):
    """At most `most` things of `most_bytes` bytes together.

    Where there are more, the oldest of the sender with the most bytes goes. So many senders that share the room
    alike each keep their part.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._of: dict[str, OrderedDict[bytes, tuple[T, int]]] = {}
        self._bytes: dict[str, int] = {}
        self._senders: dict[bytes, str] = {}

    def __len__(self) -> int:
        return len(self._senders)

    def __contains__(self, key: bytes) -> bool:
        return key in self._senders

    def __iter__(self) -> Iterator[tuple[bytes, T]]:
        """Keys and things: sender by sender, the oldest of each first."""
        for sender in sorted(self._of):
            for key, (thing, _) in self._of[sender].items():
                yield key, thing

    @property
    def size(self) -> int:
        """The bytes of all of them."""
        return sum(self._bytes.values())

    def put(self, sender: str, key: bytes, thing: T, size: int) -> None:
        """Hold a thing, known by `key`; one of that key is held already: nothing happens."""
        if key in self._senders:
            return
        self._senders[key] = sender
        self._of.setdefault(sender, OrderedDict())[key] = (thing, size)
        self._bytes[sender] = self._bytes.get(sender, 0) + size
        while len(self._senders) > self._most or self.size > self._most_bytes:
            largest = max(self._bytes, key=lambda name: (self._bytes[name], name))
            self.take(next(iter(self._of[largest])))

    def take(self, key: bytes) -> T:
        """A thing that is held, and is not any more."""
        sender = self._senders.pop(key)
        thing, size = self._of[sender].pop(key)
        self._bytes[sender] -= size
        if not self._of[sender]:
            del self._of[sender], self._bytes[sender]
        return thing
