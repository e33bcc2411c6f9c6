"""Traces on disk: CSV or Parquet, read and checked whole, written row by row. docs/traces.md has the format."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
from pyarrow import parquet

from mint.errors import InputError
from network import trace_csv
from network.outputs import whole_file
from network.trace import Ints, Trace, arranged, rows_of
from network.trace_columns import (
    COUNTER_COLUMNS,
    MINER,
    MOST_ROWS,
    PERCENT_COLUMNS,
    Column,
    Fault,
    Values,
    columns_of,
    earliest,
    fault_in_name,
    faults_in,
)

# How a Parquet file begins.
MAGIC = b"PAR1"
# Rows that are read or written at once: some 10 MiB each.
ROWS = 1 << 17

Progress = Callable[[float], None]


def read_trace(path: Path, progress: Progress = lambda _: None) -> Trace:
    """The trace in a CSV or Parquet file, checked.

    Args:
        path: the file; it is Parquet if it begins as such, whatever its name.
        progress: is told now and then which share of the file has been read.

    Raises:
        InputError: it cannot be read, or something in it is wrong: one line that names the place and the mend.
    """
    rows = _Rows()
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(str(path), "is not a regular file", "name a CSV or Parquet file")
            begins = file.read(len(MAGIC))
            file.seek(0)
            if begins == MAGIC:
                return _read_parquet(file, path, rows, progress)
            if path.suffix == ".parquet" and begins:
                raise InputError(str(path), "is not Parquet", "name it .csv, or another file")
            return _read_csv(file, path, rows, progress)
    except OSError as error:
        raise InputError(
            str(path), f"cannot be read ({error.strerror or error})", "name a CSV or Parquet file"
        ) from None


def write_trace(path: Path, trace: Trace) -> None:
    """Write a trace as CSV or Parquet, by the name of the file.

    Raises:
        InputError: the file has another name, or cannot be made.
    """
    columns = PERCENT_COLUMNS if trace.counters is None else COUNTER_COLUMNS
    with TraceWriter(path, columns) as writer:
        for codes, values in rows_of(trace, ROWS):
            writer.write(trace.miners, codes, values)


class TraceWriter:
    """Writes the rows of a trace as they come; the file is there, whole, when the `with` block ends well."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._path, self._stack = checked_name_of(path), ExitStack()
        self._schema = pa.schema([(column.name, trace_csv.ARROW_TYPES[column.kind]) for column in columns])

    def __enter__(self) -> Self:
        file = self._stack.enter_context(whole_file(self._path))
        if self._path.suffix == ".csv":
            # The header by hand: Arrow would quote it.
            file.write((",".join(self._schema.names) + "\n").encode())
            options = arrow_csv.WriteOptions(include_header=False, quoting_style="none")
            writer = arrow_csv.CSVWriter(file, self._schema, write_options=options)
        else:
            writer = parquet.ParquetWriter(file, self._schema)
        self._writer = self._stack.enter_context(writer)
        return self

    def write(self, miners: Sequence[str], codes: Ints, values: dict[str, Values]) -> None:
        """Append rows: the index of each one's miner in `miners`, and every other column."""
        names = pa.array(miners, pa.string()).take(pa.array(codes))
        self._writer.write_table(pa.table({MINER.name: names, **values}).select(self._schema.names))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def checked_name_of(path: Path) -> Path:
    """`path`, whose name says in which form a trace is to be written; InputError where it does not."""
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(str(path), "tells no format by its name", "name it .csv or .parquet")
    return path


def _read_csv(file: BinaryIO, path: Path, rows: _Rows, progress: Progress) -> Trace:
    size = max(1, os.fstat(file.fileno()).st_size)
    try:
        try:
            for batch in trace_csv.batches(file):
                rows.add(batch)
                progress(file.tell() / size)
        except pa.ArrowException:
            for batch in trace_csv.slow_batches(path, rows.count):
                rows.add(batch)
        return rows.trace()
    except Fault as fault:
        line = fault.line
        if line is None and fault.row is not None:
            line = trace_csv.line_of(path, fault.row)
        raise _said(fault, path, f"line {line}" if line else "") from None


def _read_parquet(file: BinaryIO, path: Path, rows: _Rows, progress: Progress) -> Trace:
    try:
        stored = parquet.ParquetFile(file)
        total = stored.metadata.num_rows
        columns = columns_of(stored.schema_arrow.names)
        if total > MOST_ROWS:
            raise _too_many()
        for column in columns:
            _check_type(column, stored.schema_arrow.field(column.name).type)
        for batch in stored.iter_batches(ROWS, columns=[column.name for column in columns]):
            rows.add(batch)
            progress(rows.count / total)
        return rows.trace()
    except Fault as fault:
        raise _said(fault, path, "" if fault.row is None else f"row {fault.row + 1}") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        what = str(error).partition("\n")[0][:200]
        raise InputError(str(path), f"is not a sound Parquet file ({what})", "write it anew") from None


def _said(fault: Fault, path: Path, place: str) -> InputError:
    places = [place] if place else []
    if fault.column:
        places.append(f"column {fault.column}")
    return InputError(f"{path}: {', '.join(places)}" if places else str(path), fault.wrong, fault.mend)


def _check_type(column: Column, kind: pa.DataType) -> None:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    fits = {
        "whole": types.is_integer(kind),
        "decimal": types.is_integer(kind) or types.is_floating(kind),
        "name": types.is_string(kind) or types.is_large_string(kind),
    }
    if not fits[column.kind]:
        wanted = {"name": "text"} | trace_csv.WHAT
        raise Fault(None, column.name, f"holds {kind}, not {wanted[column.kind]}", "write that column anew")


def _too_many() -> Fault:
    text = f"has more than {MOST_ROWS:,} rows"
    return Fault(None, "", text, "split it by time or by miner: replay holds a trace in memory")


class _Rows:
    """Rows as they are read, checked: column by column, in parts."""

    def __init__(self) -> None:
        self.count = 0
        self._codes: dict[str, int] = {}
        self._parts: dict[str, list[Values]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows.

        Raises:
            Fault: the first of them that is wrong; none is taken in then.
        """
        if self.count + len(batch) > MOST_ROWS:
            raise _too_many()
        faults: list[Fault] = []
        values: dict[str, Values] = {}
        columns = columns_of(batch.schema.names)
        for column, given in zip(columns, batch.columns, strict=True):
            array = given.dictionary_decode() if pa.types.is_dictionary(given.type) else given
            if array.null_count:
                row = self.count + int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
                faults.append(Fault(row, column.name, "is missing", "correct or remove the row"))
            elif column.kind == "name":
                values[column.name] = self._coded(array, faults)
            else:
                values[column.name] = array.to_numpy(zero_copy_only=False)
        if wrong := earliest([*faults, *faults_in(values, columns, self.count)]):
            raise wrong
        for name, part in values.items():
            self._parts.setdefault(name, []).append(part)
        self.count += len(batch)

    def _coded(self, array: pa.Array[Any], faults: list[Fault]) -> Values:
        """For each name its number, in the order in which they first came; faults of names are added."""
        coded = array.dictionary_encode()
        rows = coded.indices.to_numpy(zero_copy_only=False)
        codes = np.zeros(len(coded.dictionary), np.int32)
        for at, name in enumerate(coded.dictionary.to_pylist()):
            if name not in self._codes:
                if fault := fault_in_name(name, len(self._codes)):
                    fault.row = self.count + int(np.argmax(rows == at))
                    faults.append(fault)
                    break  # those after it came later
                self._codes[name] = len(self._codes)
            codes[at] = self._codes[name]
        found: Values = codes[rows]
        return found

    def trace(self) -> Trace:
        """All rows as a trace."""
        return arranged(tuple(self._codes), self._parts)
