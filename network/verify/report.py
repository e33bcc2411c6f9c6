"""What a verification found, in words and for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Broken links told one by one; a log of another network breaks at every frame.
MAX_BROKEN = 20


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain: what it is about, whether it holds, and what that means."""

    about: str
    holds: bool
    text: str


@dataclass
class Report:
    """`links` in the order they were checked; `verdicts`: what each valid one says; `head`: the last frame's hash."""

    links: list[Link] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    head: tuple[int, bytes] | None = None
    broken: int = 0

    def holds(self, about: str, text: str) -> None:
        """A link holds."""
        self.links.append(Link(about, True, text))

    def breaks(self, about: str, text: str) -> None:
        """A link breaks; after many only their count is told."""
        self.broken += 1
        if self.broken <= MAX_BROKEN:
            self.links.append(Link(about, False, text))

    @property
    def proven(self) -> bool:
        """Whether every link holds, and there was more than charters."""
        return not self.broken and not self._empty

    @property
    def _empty(self) -> bool:
        return self.head is None and not self.verdicts

    def lines(self) -> list[str]:
        """For people: one line a link, the conclusion last."""
        width = max((len(link.about) for link in self.links), default=0)
        said = [
            f"{'ok   ' if link.holds else 'BREAK'}  {link.about:<{width}}  {link.text}" for link in self.links
        ]
        more = self.broken - MAX_BROKEN
        if more > 0:
            said.append(f"BREAK  {'':<{width}}  and {more} more")
        return [*said, self.conclusion()]

    def conclusion(self) -> str:
        """The last line."""
        if self.broken:
            where = next(link.about for link in self.links if not link.holds)
            return f"NOT PROVEN: {self.broken} of the links break, the first at: {where}"
        if self._empty:
            return "NOT PROVEN: there is nothing in it"
        count = len(self.verdicts)
        what = "the log is whole" if not count else f"{count} verdict{'s' if count > 1 else ''}"
        return f"PROVEN: {what}, from the operator's key down"

    def json(self) -> dict[str, Any]:
        """For programs."""
        head = None if self.head is None else {"frame": self.head[0], "hash": self.head[1].hex()}
        return {
            "proven": self.proven,
            "broken": self.broken,
            "links": [{"about": one.about, "holds": one.holds, "text": one.text} for one in self.links],
            "verdicts": self.verdicts,
            "head": head,
        }
