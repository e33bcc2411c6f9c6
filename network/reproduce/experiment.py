"""What an experiment is: a script, what is measured in one run of it, and what is made of all runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from network.reproduce.script import Script
from network.trace import Trace

M = TypeVar("M")

# Columns of equal length, in order.
Table = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Experiment(Generic[M]):
    """One figure of the paper.

    `measure` takes one run's telemetry. `tables` gives what is written beside the picture, by the file's name;
    `summary` lines for people.
    """

    name: str
    about: str
    script: Script
    measure: Callable[[Trace], M]
    tables: Callable[[Sequence[M]], Mapping[str, Table]]
    draw: Callable[[Sequence[M]], Figure]
    summary: Callable[[Sequence[M]], list[str]]


def csv(table: Table) -> bytes:
    """A table as CSV: whole numbers and words as they are, others to six digits, nothing where there is none.

    Six digits are more than the telemetry has, and fewer than a machine's arithmetic may change.
    """
    columns = [_texts(column) for column in table.values()]
    lines = [",".join(table), *(",".join(row) for row in zip(*columns, strict=True))]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _texts(column: NDArray[np.generic]) -> list[str]:
    if column.dtype.kind == "f":
        return ["" if value != value else f"{value:.6g}" for value in column.tolist()]  # noqa: PLR0124 - nan
    return [str(value) for value in column.tolist()]
