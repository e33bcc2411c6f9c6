"""The example in docs/traces.md is a trace."""

from __future__ import annotations

import re
from pathlib import Path

from network.trace_columns import COUNTER_COLUMNS, IGNORED, MOST_ROWS, PERCENT_COLUMNS
from network.trace_file import read_trace


def test_the_example_is_a_trace_and_every_column_is_described(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "traces.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```csv\n(.*?)```", page, flags=re.DOTALL)
    path = tmp_path / "t.csv"
    path.write_text(example)
    trace = read_trace(path)
    assert (trace.miners, len(trace.ticks)) == (("m01", "m02"), 3)
    # The last row is of a miner that doubled, and m01 was not read there.
    assert [round(use) for use in trace.use()[1:, 1]] == [100, 200]
    assert not trace.present[2, 0]
    for name in {column.name for column in (*COUNTER_COLUMNS, *PERCENT_COLUMNS)} | set(IGNORED):
        assert f"`{name}`" in page
    assert f"{MOST_ROWS // 10**6} million rows" in page
