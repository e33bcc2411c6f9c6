"""What is wrong with a trace is one line that names the file, the line or row, the column and the mend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from mint.errors import InputError
from network import trace, trace_columns, trace_csv, trace_file
from network.trace import Trace
from network.trace_file import TraceWriter, read_trace, write_trace
from tests.replay.traces import honest

PERCENT = "tick,miner,cpu\n"
COUNTERS = "tick,miner,usage_ns,mono_ns,mono_after_ns,entitled_cpus\n"
GOOD = "1,m01,5,10,11,0.1\n"


def wrong(path: Path) -> str:
    """The error that reading `path` ends with, without the path."""
    with pytest.raises(InputError) as caught:
        read_trace(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    assert caught.value.exit_code == 2
    return said.removeprefix(str(path)).removeprefix(": ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (PERCENT, "has no rows"),
        ("\n1,m01,5\n", "line 1: the header lacks 'tick'"),
        ("tick;miner;cpu\n", "line 1: 'tick;miner;cpu' is no column of a trace"),
        ("tick,miner,cpu,colour\n", "line 1: 'colour' is no column of a trace"),
        ("tick,miner,cpu,cpu\n", "line 1, column cpu: stands twice in the header"),
        ("tick,miner\n", "line 1: the header lacks 'usage_ns'"),
        ("tick,miner,usage_ns,mono_ns\n", "line 1: the header lacks 'entitled_cpus'"),
        ("tick,miner,cpu,usage_ns\n", "line 1, column usage_ns: counters and percent"),
        ("tick,miner,cpu,epoch\n", "line 1, column epoch: counters and percent"),
        (PERCENT + "1,m01,5\n1,m02\n", "line 3: 2 values, where the header names 3"),
        (PERCENT + "1,m01,5\n\n\n2,m01,5,\n", "line 5: 4 values, where the header names 3"),
        (PERCENT + "1,m01,x\n", "line 2, column cpu: 'x' is not a number"),
        (PERCENT + "1,m01,nan\n", "line 2, column cpu: nan is no number"),
        (PERCENT + "1,m01,5\n2,m01,1e999\n", "line 3, column cpu: inf is no number"),
        (PERCENT + "1,m01,-0.1\n", "line 2, column cpu: -0.1 is below 0"),
        (PERCENT + "1,m01,2e9\n", "line 2, column cpu: 2000000000.0 is above 1000000000"),
        (PERCENT + "1,m01,\n", "line 2, column cpu: is missing"),
        (PERCENT + ",m01,5\n", "line 2, column tick: is missing"),
        (PERCENT + "1,,5\n", "line 2, column miner: '' is not a name"),
        (PERCENT + "1,M01,5\n", "line 2, column miner: 'M01' is not a name"),
        (PERCENT + "1,m\0,5\n", r"line 2, column miner: 'm\x00' is not a name"),
        (PERCENT + f"1,{'m' * 99},5\n", f"line 2, column miner: '{'m' * 40}...' is not a name"),
        (PERCENT + "-1,m01,5\n", "line 2, column tick: -1 is below 0"),
        (PERCENT + "1.5,m01,5\n", "line 2, column tick: '1.5' is not a whole number"),
        (PERCENT + f"{2**63},m01,5\n", f"line 2, column tick: '{2**63}' is above {2**63 - 1}"),
        (PERCENT + "2,m01,5\n1,m01,5\n\n1,m02,5\n2,m01,6\n", "line 6, column tick: tick 2 of m01 was there before"),
        (PERCENT + "1,m01,x\n1,m02\n", "line 2, column cpu"),  # the first of two
        ("tick,miner,cpu,nr_periods\n1,m01,5,'no\nnumber'\n2,m01,x,1\n".replace("'", '"'), "line 4, column cpu"),
        (PERCENT + "1,m01,5\nx,m02,-1\n", "line 3, column tick"),
        (PERCENT + '1,"m01\n2,m01,5\n', "line 2: "),
        (PERCENT + "1,m01,5\n" + "9" * 70_000 + ",m01,x\n", "line 3: cannot be read (a line of more than 65,536"),
        (COUNTERS + "1,m01,5,10,9,0.1\n", "line 2, column mono_after_ns: 9 lies before mono_ns"),
        (COUNTERS + GOOD + "2,m01,5,10,11,0\n", "line 3, column entitled_cpus: 0.0 is below 0.001"),
        (COUNTERS + GOOD + "2,m01,5,10,11,1025\n", "line 3, column entitled_cpus: 1025.0 is above 1024"),
        (COUNTERS + GOOD + "2,m01,5,10,,0.1\n", "line 3, column mono_after_ns: is missing"),
    ],
)  # fmt: skip
def test_a_malformed_csv(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert wrong(path).startswith(said)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ((PERCENT + "1,m01,5\n").encode("utf-16"), "line 1: is not UTF-8 text; save it as UTF-8"),
        (PERCENT.encode() + b"1,m01,5\n1,m\xff2,5\n", "line 3: is not UTF-8 text; save it as UTF-8"),
        (b"tick,miner\rcpu\r1,m01,5\r", "line 1: is no line of columns"),
        (b"PAR1", "is not a sound Parquet file"),
    ],
)
def test_what_is_no_csv(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    assert wrong(path).startswith(said)


def test_a_fault_far_down_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{tick},m01,99.5" for tick in range(2_000)]
    rows[1_900] = "1900,m01,99.5.1"
    path.write_text(PERCENT + "\n".join(rows) + "\n")
    for name, size in (("BLOCK", 4096), ("ROWS", 30)):  # of 28 KiB
        monkeypatch.setattr(trace_csv, name, size)
    assert wrong(path).startswith("line 1902, column cpu: '99.5.1' is not a number")


TABLE = {"tick": [1, 2], "miner": ["m01", "m02"], "cpu": [99.0, 98.0]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cpu": [99.0, None]}, "row 2, column cpu: is missing"),
        ({"miner": [None, "m01"]}, "row 1, column miner: is missing"),
        ({"cpu": [99.0, float("nan")]}, "row 2, column cpu: nan is no number"),
        ({"tick": [1.0, 2.0]}, "column tick: holds double, not a whole number"),
        ({"miner": [1, 2]}, "column miner: holds int64, not text"),
        ({"tick": pa.array([1, 2**63], pa.uint64())}, f"row 2, column tick: {2**63} is above {2**63 - 1}"),
        ({"miner": ["m01", "m01"], "tick": [7, 7]}, "row 2, column tick: tick 7 of m01 was there before"),
        ({"miner": ["m01", "M"]}, "row 2, column miner: 'M' is not a name"),
        ({"colour": ["red", "blue"]}, "'colour' is no column of a trace"),
        ({"tick": pa.array([], pa.int64()), "miner": [], "cpu": []}, "has no rows"),
    ],
)
def test_a_malformed_parquet(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table(TABLE | changed)
    if not len(table):
        table = table.cast(pa.schema([("tick", pa.int64()), ("miner", pa.string()), ("cpu", pa.float64())]))
    parquet.write_table(table, path)
    assert wrong(path).startswith(said)


def test_what_is_no_file_of_ours(tmp_path: Path) -> None:
    assert wrong(tmp_path).startswith("cannot be read (Is a directory)")
    assert wrong(tmp_path / "none.csv").startswith("cannot be read (No such file or directory)")
    assert wrong(Path("/dev/null")).startswith("is not a regular file")
    # Nobody may read it at its beginning, not even root.
    assert wrong(Path("/proc/self/mem")).startswith("cannot be read (Input/output error)")
    misnamed = tmp_path / "t.parquet"
    misnamed.write_text(PERCENT + "1,m01,5\n")
    assert wrong(misnamed).startswith("is not Parquet")


def test_limits_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = honest(4, 10)
    for name in ("t.csv", "t.parquet"):
        write_trace(tmp_path / name, made)
        for module in (trace_file, trace):
            monkeypatch.setattr(module, "MOST_ROWS", 39)
        assert wrong(tmp_path / name).startswith("has more than 39 rows; split it")
        monkeypatch.setattr(trace_file, "MOST_ROWS", 40)
        assert wrong(tmp_path / name).startswith("spans 10 ticks x 4 miners, more than 39 cells; split it")
        monkeypatch.setattr(trace, "MOST_ROWS", 40)
        assert read_trace(tmp_path / name).present.all()
    monkeypatch.setattr(trace_columns, "MOST_MINERS", 3)
    assert wrong(tmp_path / "t.csv").startswith("line 5, column miner: is miner 4; keep to 3 miners a trace")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("t.txt", "tells no format by its name"),
        ("none/t.csv", "cannot be written (No such file or directory)"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(").replace(")", r"\)")):
        write_trace(tmp_path / name, honest(1, 1))


def test_a_writer_that_is_not_entered_makes_nothing(tmp_path: Path) -> None:
    TraceWriter(tmp_path / "t.csv", trace_columns.PERCENT_COLUMNS)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("broken")
    made = {name: folder / f"t{name}" for name in (".csv", ".parquet")}
    for path in made.values():
        write_trace(path, honest(3, 5))
    return made


STRANGE = [b",", b"\n", b'"', b"\0", b"\xff", b"-", b"9" * 30, b"nan"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@given(data=st.data())
def test_no_file_is_a_traceback(files: dict[str, Path], suffix: str, data: st.DataObject) -> None:
    """Whatever happened to a file's bytes: it is a trace, or one line says what is wrong."""
    content = bytearray(files[suffix].read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        gone = data.draw(st.integers(0, 3))
        content[at : at + gone] = data.draw(st.one_of(st.sampled_from(STRANGE), st.binary(max_size=3)))
    path = files[suffix].with_name(f"broken{suffix}")
    path.write_bytes(content)
    try:
        read: Trace | None = read_trace(path)
    except InputError as error:
        read, said = None, str(error)
    if read is None:
        assert said.startswith(str(path))
        assert "\n" not in said
    else:
        assert read.present.any(axis=0).all()
        assert np.all(np.diff(read.ticks) > 0)
