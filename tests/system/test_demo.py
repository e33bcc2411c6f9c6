"""The main job, as a newcomer sees it: a cheat is caught and put back, nobody else accused, nothing left behind."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.system.demo import read_until, run_demo, start_demo
from tests.system.traces import left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

KEYS = {
    *("runtime", "miners", "start_to_first_frame_s", "attacked", "attack_at", "first_seen_at"),
    *("verdict_at", "restored_at", "periods_to_restore", "innocents_accused"),
}


def check_caught(code: int, report: dict[str, Any], output: str, cheats: int) -> None:
    assert code == 0, output
    assert report.keys() >= KEYS
    assert len(report["attacked"]) == cheats
    assert report["innocents_accused"] == []
    assert report["attack_at"] <= report["first_seen_at"] <= report["verdict_at"] <= report["restored_at"]
    assert {verdict["miner"] for verdict in report["verdicts"]} == set(report["attacked"])


@pytest.mark.docker
def test_doubled_quota_of_a_real_container_is_put_back(docker_engine: None, tmp_path: Path) -> None:
    code, report, output = run_demo(tmp_path / "net", "double", 16, "--runtime", "docker")
    check_caught(code, report, output, cheats=1)
    assert (report["runtime"], report["miners"]) == ("docker", 16)
    assert left_behind(tmp_path / "net") == []


@pytest.mark.cgroup
@pytest.mark.parametrize(
    ("attack", "cheats", "seconds"),
    [("collude", 3, 20), ("steps", 1, 16), ("ramp", 1, 25), ("from-start", 1, 8)],
)
def test_every_attack_on_processes_in_cgroups(
    cgroups: None, tmp_path: Path, attack: str, cheats: int, seconds: int
) -> None:
    code, report, output = run_demo(tmp_path / "net", attack, seconds, "--runtime", "cgroup", "--miners", "9")
    check_caught(code, report, output, cheats)
    assert left_behind(tmp_path / "net") == []


@pytest.mark.cgroup
@pytest.mark.soak
def test_an_agent_that_lies_is_convicted_by_its_miners_work(cgroups: None, tmp_path: Path) -> None:
    code, report, output = run_demo(tmp_path / "net", "liar", 90, "--runtime", "cgroup", "--miners", "6")
    check_caught(code, report, output, cheats=1)
    assert {verdict["evidence"] for verdict in report["verdicts"]} == {"work"}
    assert report["paid"]["during"] > 1.3
    assert left_behind(tmp_path / "net") == []


@pytest.mark.cgroup
@pytest.mark.soak
def test_a_faster_program_in_the_pinned_ones_place_is_convicted(cgroups: None, tmp_path: Path) -> None:
    code, report, output = run_demo(tmp_path / "net", "swap", 30, "--runtime", "cgroup", "--miners", "6")
    check_caught(code, report, output, cheats=1)
    assert {verdict["evidence"] for verdict in report["verdicts"]} == {"work"}
    assert left_behind(tmp_path / "net") == []


@pytest.mark.cgroup
@pytest.mark.soak
def test_a_host_without_an_enforcer_mines_for_nothing(cgroups: None, tmp_path: Path) -> None:
    code, report, output = run_demo(
        tmp_path / "net", "rogue-host", 45, "--runtime", "cgroup", "--miners", "6"
    )
    assert code == 0, output
    assert report["innocents_accused"] == []
    assert report["restored_at"] is None, "nobody puts the quota back"
    assert report["paid"]["after"] < 1.1
    assert left_behind(tmp_path / "net") == []


def test_duty_cycle_where_the_kernel_limits_nothing(tmp_path: Path) -> None:
    code, report, output = run_demo(tmp_path / "net", "double", 16, "--runtime", "duty", "--miners", "6")
    check_caught(code, report, output, cheats=1)
    assert left_behind(tmp_path / "net") == []


@pytest.mark.cgroup
def test_honest_network_accuses_nobody(cgroups: None, tmp_path: Path) -> None:
    code, report, output = run_demo(tmp_path / "net", "none", 10, "--runtime", "cgroup", "--miners", "9")
    assert code == 0, output
    assert report["innocents_accused"] == []
    assert report["attacked"] == []
    assert report["attack_at"] is None
    assert report["frames"] >= 8


@pytest.mark.cgroup
@pytest.mark.parametrize("words", ["broker on", "all miners seen"])
def test_ctrl_c_ends_everything_at_any_time(cgroups: None, tmp_path: Path, words: str) -> None:
    folder = tmp_path / "net"
    process = start_demo(folder, "--runtime", "cgroup", "--miners", "9")
    read_until(process, words)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert left_behind(folder) == [], output


@pytest.mark.docker
def test_a_killed_demo_leaves_nothing_that_the_next_one_minds(docker_engine: None, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    process = start_demo(folder, "--runtime", "docker", "--miners", "4")
    read_until(process, "all miners seen")
    process.kill()
    process.communicate(timeout=30)
    before = [trace for trace in left_behind(folder) if trace.startswith("container")]
    assert len(before) == 4  # nobody was there to end them
    code, _, output = run_demo(folder, "none", 5, "--runtime", "docker", "--miners", "4")
    assert code == 0, output
    assert left_behind(folder) == []
    assert not [trace for trace in before if trace in left_behind(folder)]
