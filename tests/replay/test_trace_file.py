"""Traces on disk: what is written is what is read, in any order of rows and columns, in both formats."""

from __future__ import annotations

import csv
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from network import trace_csv, trace_file
from network.trace import Trace
from network.trace_file import read_trace, write_trace
from tests.replay.traces import honest, same, traces

FORMATS = pytest.mark.parametrize("suffix", [".csv", ".parquet"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@FORMATS
@given(trace=traces())
def test_what_is_written_is_read(folder: Path, suffix: str, trace: Trace) -> None:
    path = folder / f"trace{suffix}"
    write_trace(path, trace)
    assert same(read_trace(path), trace)


@given(trace=traces(), order=st.randoms(use_true_random=False), ends=st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_rows_and_columns_come_in_any_order(
    folder: Path, trace: Trace, order: random.Random, ends: str
) -> None:
    path = folder / "shuffled.csv"
    write_trace(path, trace)
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    columns = [(name, *(row[at] for row in rows)) for at, name in enumerate(header)]
    columns.append(("throttled_ns", *("no number" for _ in rows)))
    order.shuffle(columns)
    names, *lines = zip(*columns, strict=True)
    order.shuffle(lines)
    texts = [",".join(order.choice([value, f'"{value}"']) for value in line) for line in lines]
    path.write_bytes(ends.join([",".join(names), *texts]).encode("utf-8-sig"))
    assert same(read_trace(path), trace)


def test_many_batches_are_one_trace(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = honest(7, 300)
    # Neither the readers nor the writer see more than a few rows at once.
    for module, name, size in ((trace_file, "ROWS", 50), (trace_csv, "BLOCK", 4096), (trace_csv, "ROWS", 30)):
        monkeypatch.setattr(module, name, size)
    shares: list[float] = []
    for name in ("b.csv", "b.parquet"):
        write_trace(folder / name, trace)
        assert same(read_trace(folder / name, shares.append), trace)
    assert len(shares) > 20
    assert 0 < min(shares) < max(shares) <= 1
    # And row by row, as where Arrow gives up.
    rows = [row for batch in trace_csv.slow_batches(folder / "b.csv", 2000) for row in batch.to_pylist()]
    assert len(rows) == 100
    assert rows[0]["usage_ns"] == trace.counters.usage_ns[285, 5]  # type: ignore[union-attr]


def test_a_bare_trace(folder: Path) -> None:
    path = folder / "bare.csv"
    path.write_text(
        "tick,miner,usage_ns,mono_ns,entitled_cpus\n4,b,50,1000,0.25\n2,b,10,500,0.05\n4,a,7,900,1\n"
    )
    trace = read_trace(path)
    assert trace.miners == ("a", "b")
    assert trace.ticks.tolist() == [2, 4]
    assert trace.present.tolist() == [[False, True], [True, True]]
    counters = trace.counters
    assert counters is not None
    assert counters.before_ns.tolist() == counters.after_ns.tolist() == [[0, 500], [900, 1000]]
    assert counters.entitled_ppm.tolist() == [[0, 50_000], [1_000_000, 250_000]]
    for missing in (counters.steal_ns, counters.epoch, counters.boot):
        assert missing.tolist() == [[0, 0], [0, 0]]


def test_parquet_of_other_tools(folder: Path) -> None:
    path = folder / "other.parquet"
    table = pa.table(
        {
            "cpu": pa.array([99, 101], pa.int32()),
            "miner": pa.array(["m2", "m1"]).dictionary_encode(),
            "tick": pa.array([5, 5], pa.uint8()),
        }
    )
    parquet.write_table(table, path)
    trace = read_trace(path)
    assert (trace.miners, trace.ticks.tolist()) == (("m1", "m2"), [5])
    assert trace.percent is not None
    assert trace.percent.tolist() == [[101.0, 99.0]]


@given(trace=traces())
def test_use_is_told_or_lies_between_two_readings_that_compare(trace: Trace) -> None:
    use = trace.use()
    if trace.percent is not None:
        assert np.array_equal(use[trace.present], trace.percent[trace.present])
    assert np.isnan(use[~trace.present]).all()
    some = trace.use([len(trace.miners) - 1])
    assert np.array_equal(some[:, 0], use[:, -1], equal_nan=True)


def test_use_between_readings() -> None:
    s = 1_000_000_000
    trace = honest(1, 6)
    counters = trace.counters
    assert counters is not None
    counters.before_ns[:, 0] = counters.after_ns[:, 0] = [0, s, 2 * s, 4 * s, 5 * s, 6 * s]
    counters.usage_ns[:, 0] = [0, s // 10, s // 10, s // 2, s // 5, s]
    counters.epoch[:, 0] = [1, 1, 1, 1, 1, 2]
    trace.present[2, 0] = False
    # From tick 1 to 3, over the one that was lost: 0.4 s in 3 s at 0.1 CPU.
    assert trace.use()[:, 0].tolist() == pytest.approx(
        [np.nan, 100.0, np.nan, 400 / 3, np.nan, np.nan], nan_ok=True
    )


@FORMATS
def test_a_file_is_whole_or_absent(folder: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / f"kept{suffix}"
    before = honest(2, 5)
    write_trace(path, before)
    monkeypatch.setattr(trace_file, "ROWS", 2)
    broken = honest(2, 5)
    object.__setattr__(broken, "miners", ("m01",))  # its second row names no miner: writing fails midway
    with pytest.raises(Exception, match="out of bounds"):
        write_trace(path, broken)
    assert same(read_trace(path), before)
    assert [file.name for file in folder.iterdir() if file.name.startswith(".")] == []


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    trace, pipe = honest(2, 5), tmp_path / "t.csv"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as readers:
        text = readers.submit(pipe.read_bytes)
        write_trace(pipe, trace)
    (tmp_path / "copy.csv").write_bytes(text.result())
    assert same(read_trace(tmp_path / "copy.csv"), trace)
    assert pipe.is_fifo()
