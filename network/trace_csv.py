"""The rows of a CSV file, in batches of Arrow columns; and where in it something is wrong.

A file is read at Arrow's speed, which tells nothing of lines. From where Arrow gives up, Python's csv module
goes on row by row; the values go through Arrow again, so that both ways accept the same.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as arrow
import pyarrow.csv as arrow_csv

from mint.wire import MOST
from network.trace_columns import Column, Fault, columns_of, shown

# A longer line is no row: ten columns of twenty digits are 200 bytes.
MOST_LINE = 1 << 16
# What Arrow parses at once: some 100,000 rows, a few ms.
BLOCK = 1 << 23
# Rows that are tried at once where Arrow has given up.
ROWS = 1 << 14

ARROW_TYPES = {"whole": pa.int64(), "decimal": pa.float64(), "name": pa.string()}
WHAT = {"whole": "a whole number", "decimal": "a number"}


def batches(file: BinaryIO) -> Iterator[pa.RecordBatch]:
    """The columns that matter, in batches of rows.

    Raises:
        Fault: the header is wrong.
        pa.ArrowException: something in the next rows cannot be read; `slow_batches` says what and where.
    """
    names, columns = _header(file)
    file.seek(0)
    yield from arrow_csv.open_csv(
        file,
        read_options=arrow_csv.ReadOptions(column_names=names, skip_rows=1, block_size=BLOCK),
        convert_options=arrow_csv.ConvertOptions(
            column_types={column.name: ARROW_TYPES[column.kind] for column in columns},
            include_columns=[column.name for column in columns],
            null_values=[],
            strings_can_be_null=False,
        ),
    )


def slow_batches(path: Path, first: int) -> Iterator[pa.RecordBatch]:
    """The same from row `first` on (from 0).

    Raises:
        Fault: the first row that cannot be read, after all rows before it were given.
    """
    with path.open("rb") as file:
        names, columns = _header(file)
        places = [names.index(column.name) for column in columns]
        rows = islice(_rows(file, len(names)), first, None)
        fault = None
        while fault is None:
            part: list[list[str]] = []
            try:
                part.extend(fields for _, fields in islice(rows, ROWS))
            except Fault as broken:
                fault = broken
            if fault is None and not part:
                return
            made = []
            for column, place in zip(columns, places, strict=True):
                good, wrong = _converted(column, [fields[place] for fields in part], first)
                if wrong is not None:
                    fault = wrong
                    part = part[: len(good)]
                made.append(good)
            yield pa.RecordBatch.from_arrays(
                [array[: len(part)] for array in made], [column.name for column in columns]
            )
            first += len(part)
        raise fault


def line_of(path: Path, row: int) -> int:
    """The number of the line at which row `row` (from 0) begins; where that is not found, 1."""
    with path.open("rb") as file:
        try:
            return next((line for line, _ in islice(_rows(file, len(_header(file)[0])), row, None)), 1)
        except Fault as fault:
            return fault.line or 1


def _header(file: BinaryIO) -> tuple[list[str], tuple[Column, ...]]:
    """The names in the first line, and the columns that matter; the file is then at the second line."""
    line = file.readline(MOST_LINE)
    if not line:
        raise Fault(None, "", "is empty", "record something, or name another file")
    try:
        names = next(csv.reader([line.decode("utf-8-sig")]))
        return names, columns_of(names)
    except UnicodeDecodeError:
        raise Fault(None, "", "is not UTF-8 text", "save it as UTF-8", line=1) from None
    except csv.Error:
        raise Fault(None, "", "is no line of columns", "name the columns there", line=1) from None
    except Fault as fault:
        fault.line = 1
        raise


def _rows(file: BinaryIO, width: int) -> Iterator[tuple[int, list[str]]]:
    """Each row after the header, with the number of the line it begins at; empty lines are none.

    Raises:
        Fault: the next row is none of `width` fields.
    """
    row, reader = 0, csv.reader(_texts(file))
    begins = 2
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except UnicodeDecodeError:
            raise Fault(row, "", "is not UTF-8 text", "save it as UTF-8", begins) from None
        except csv.Error as error:
            raise Fault(row, "", f"cannot be read ({error})", "correct or remove the line", begins) from None
        if len(fields) not in (0, width):
            text = f"{len(fields)} values, where the header names {width}"
            raise Fault(row, "", text, "correct or remove the line", begins)
        if fields:
            yield begins, fields
            row += 1
        begins = reader.line_num + 2


def _texts(file: BinaryIO) -> Iterator[str]:
    while line := file.readline(MOST_LINE):
        if len(line) == MOST_LINE:
            raise csv.Error(f"a line of more than {MOST_LINE:,} bytes")
        yield line.decode()


def _converted(column: Column, texts: Sequence[str], first: int) -> tuple[pa.Array[Any], Fault | None]:
    """The values that `texts` tell, up to the first that tells none; row `first` is the first of them."""
    array = pa.array(texts, pa.string())
    if column.kind == "name":
        return array, None
    trimmed, kind = arrow.utf8_trim(array, " \t"), ARROW_TYPES[column.kind]
    try:
        return trimmed.cast(kind), None
    except pa.ArrowInvalid:
        bad = next(at for at, text in enumerate(trimmed) if not _tells(text, kind))
    fault = Fault(first + bad, column.name, _wrong(column, texts[bad]), "correct or remove the line")
    return trimmed[:bad].cast(kind), fault


def _tells(text: pa.Scalar[Any], kind: pa.DataType) -> bool:
    try:
        text.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _wrong(column: Column, text: str) -> str:
    text = text.strip()
    if not text:
        return "is missing"
    if text.isascii() and text.isdigit():
        return f"{shown(text)} is above {MOST}"
    return f"{shown(text)} is not {WHAT[column.kind]}"
