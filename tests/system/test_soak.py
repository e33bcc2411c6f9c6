"""What takes longer than CI has: `make soak`."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.system.demo import run_demo
from tests.system.traces import left_behind

pytestmark = [pytest.mark.system, pytest.mark.soak, pytest.mark.docker]

HONEST_S = 900
RUNS = 10


@pytest.mark.timeout(HONEST_S + 120)
def test_a_quarter_of_an_hour_of_honest_containers(docker_engine: None, tmp_path: Path) -> None:
    code, report, output = run_demo(tmp_path / "net", "none", HONEST_S, "--runtime", "docker")
    assert code == 0, output
    assert report["innocents_accused"] == []
    assert report["frames"] >= 0.95 * HONEST_S
    assert left_behind(tmp_path / "net") == []


@pytest.mark.timeout(RUNS * 120)
def test_ten_doublings_in_a_row(docker_engine: None, tmp_path: Path) -> None:
    periods = []
    for _ in range(RUNS):
        code, report, output = run_demo(tmp_path / "net", "double", 30, "--runtime", "docker")
        assert code == 0, output
        periods.append(report["periods_to_restore"])
    assert statistics.median(periods) <= 5
