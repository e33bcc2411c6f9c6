"""What the ledger of a demo paid: to its cheats before, during and after, and how evenly to all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mint.errors import InputError

if TYPE_CHECKING:
    from network.fairness.stored import Record

MS_PER_S = 1_000


@dataclass(frozen=True, slots=True)
class Paid:
    """Blocks of the ledger, and what was paid.

    `before`, `during`, `after`: shares paid to each cheat in times of what is fair, until the attack began, until the
    ledger held verdicts on all of them, and then (None: there was no such time, or no attack). `jain`, `gini`: of all
    rewards.
    """

    blocks: int
    before: float | None
    during: float | None
    after: float | None
    jain: float
    gini: float


def ledger_of(state: Path) -> Path | None:
    """The ledger in a device's `--state` folder, if it has one."""
    found = sorted(state.glob("ledger-*.sqlite"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def paid(state: Path, cheats: list[str], attack_at: float | None) -> Paid | None:
    """What was paid by the ledger of a device; None: there is none, or no block yet. `attack_at`: Unix seconds."""
    from network.fairness.measures import gini, jain  # noqa: PLC0415 - scipy takes a second to load
    from network.fairness.stored import read  # noqa: PLC0415 - as above

    path = ledger_of(state)
    if path is None:
        return None
    try:
        record = read(path)
    except InputError:  # no block yet
        return None
    rewards = record.rewards.sum(axis=0)
    before, during, after = _phases(record, cheats, attack_at)
    return Paid(len(record.time_ms), before, during, after, jain(rewards), gini(rewards))


def _phases(
    record: Record, cheats: list[str], attack_at: float | None
) -> tuple[float | None, float | None, float | None]:
    if not cheats or attack_at is None:
        return None, None, None
    began_ms, end_ms = round(attack_at * MS_PER_S), int(record.time_ms.max()) + 1
    anchored: dict[str, int] = {}
    for one in record.verdicts:
        anchored.setdefault(one.miner, one.at_ms)
    caught_ms = max(anchored[name] for name in cheats) if set(cheats) <= anchored.keys() else end_ms

    def part(since_ms: int, until_ms: int) -> float | None:
        parts = [record.part(name, since_ms, until_ms).value for name in cheats]
        mean = sum(parts) / len(parts)
        return None if mean != mean else mean  # noqa: PLR0124 (nan: no block in that time)

    return part(0, began_ms), part(began_ms, caught_ms), part(caught_ms, end_ms)
