"""The columns of a recorded trace, and what is wrong with a header or a value (docs/traces.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mint.names import NAME_RULE, is_name
from mint.wire import MOST

Values = NDArray[Any]

# Rows a trace may have, and cells of its grid of ticks x miners. A row takes some 200 bytes while it is read (measured)
# and 57 then, so the largest trace takes 10 GiB: what a machine for research has. It is a month of sixteen miners
# once a second, or 83 minutes of ten thousand.
MOST_ROWS = 50_000_000
# Miners a trace may have: sixteen fogs at their limit (mint/messages/frame.py).
MOST_MINERS = 65_536
# Percent of entitlement that a row may tell: ten million times what is granted is no telemetry.
MOST_PERCENT = 1_000_000_000


@dataclass(frozen=True)
class Column:
    """A column: its name, what its values are, and the least and most that one may be."""

    name: str
    kind: Literal["whole", "decimal", "name"]
    least: float = 0
    most: float = MOST


TICK = Column("tick", "whole")
MINER = Column("miner", "name")
CPU = Column("cpu", "decimal", most=MOST_PERCENT)
USAGE, BEFORE, AFTER = (
    Column("usage_ns", "whole"),
    Column("mono_ns", "whole"),
    Column("mono_after_ns", "whole"),
)
# The range that a charter bears (mint/charter/model.py).
ENTITLED = Column("entitled_cpus", "decimal", 0.001, 1024)
STEAL, EPOCH, BOOT = Column("steal_ns", "whole"), Column("epoch", "whole"), Column("boot", "whole")

KEYS = (TICK, MINER)
COUNTERS = (USAGE, BEFORE, ENTITLED)
OPTIONAL = (AFTER, STEAL, EPOCH, BOOT)
# Known from other tools' recordings; nothing is concluded from them.
IGNORED = ("nr_periods", "nr_throttled", "throttled_ns")
# As they are written.
COUNTER_COLUMNS = (TICK, MINER, USAGE, BEFORE, AFTER, ENTITLED, STEAL, EPOCH, BOOT)
PERCENT_COLUMNS = (TICK, MINER, CPU)
# Characters of a wrong value that a message shows: a name, or a number of 64 bits.
MOST_SHOWN = 40
FORMS = "tick,miner,usage_ns,mono_ns,entitled_cpus or tick,miner,cpu"


class Fault(Exception):
    """Something in a trace is not as it must be.

    `row` counts rows from 0, None where it is the header or the trace as a whole; `column` may be empty; `line` is
    that of the row, where it is known already.
    """

    def __init__(self, row: int | None, column: str, wrong: str, mend: str, line: int | None = None) -> None:
        super().__init__(wrong)
        self.row, self.column, self.wrong, self.mend, self.line = row, column, wrong, mend, line


def columns_of(header: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a trace with this header that matter.

    Raises:
        Fault: a column is missing, unknown or there twice.
    """
    known = {column.name: column for column in (*KEYS, *COUNTERS, *OPTIONAL, CPU)}
    for at, name in enumerate(header):
        if name not in known and name not in IGNORED:
            raise Fault(None, "", f"{shown(name)} is no column of a trace", f"a trace has {FORMS}")
        if name in header[:at]:
            raise Fault(None, name, "stands twice in the header", "leave one of the two")
    percent = CPU.name in header
    wanted = (*KEYS, CPU) if percent else (*KEYS, *COUNTERS)
    for column in wanted:
        if column.name not in header:
            raise Fault(None, "", f"the header lacks {column.name!r}", f"a trace has {FORMS}")
    if percent:
        for column in (*COUNTERS, *OPTIONAL):
            if column.name in header:
                raise Fault(
                    None,
                    column.name,
                    "counters and percent (cpu) do not go together",
                    f"leave one of the two forms: {FORMS}",
                )
    return tuple(known[name] for name in header if name in known)


def faults_in(values: Mapping[str, Values], columns: Sequence[Column], first: int) -> list[Fault]:
    """For each column the first number in it that cannot be.

    Args:
        values: rows that came one after the other, by column, each (rows,).
        columns: what they are.
        first: the number of the first of these rows.
    """
    found = []
    for column in columns:
        if column.kind == "name" or column.name not in values:
            continue
        given = values[column.name]
        # Written so that nan, which compares with nothing, is wrong too.
        wrong = ~((given >= column.least) & (given <= column.most))
        if wrong.any():
            row = int(wrong.argmax())
            text = f"{given[row]} is {_beyond(column, given[row])}"
            found.append(Fault(first + row, column.name, text, "correct or remove the row"))
    if AFTER.name in values and BEFORE.name in values:
        wrong = values[AFTER.name] < values[BEFORE.name]
        if wrong.any():
            row = int(wrong.argmax())
            text = f"{values[AFTER.name][row]} lies before mono_ns"
            found.append(Fault(first + row, AFTER.name, text, "give the time right after the read"))
    return found


def earliest(faults: Iterable[Fault]) -> Fault | None:
    """The fault of the first row, of several in it the first one listed; None where there are none."""
    return min(faults, key=lambda fault: fault.row or 0, default=None)


def _beyond(column: Column, value: float) -> str:
    if not np.isfinite(value):
        return "no number"
    return f"below {column.least}" if value < column.least else f"above {column.most}"


def fault_in_name(name: str, others: int) -> Fault | None:
    """What is wrong with a miner's name that is the first after `others`; None where nothing is."""
    if others >= MOST_MINERS:
        return Fault(None, MINER.name, f"is miner {others + 1:,}", f"keep to {MOST_MINERS:,} miners a trace")
    if not is_name(name):
        return Fault(None, MINER.name, f"{shown(name)} is not a name", NAME_RULE)
    return None


def shown(text: str) -> str:
    """`text` from a file for a message of one line: quoted, and not at any length."""
    return repr(text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}...")
