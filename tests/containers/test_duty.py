import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mint.containers import duty
from mint.containers.duty import DutyHold, Usage
from mint.containers.find import find_files
from mint.containers.model import Quota
from mint.errors import ContainerError


@pytest.fixture
def hold(tmp_path: Path) -> DutyHold:
    (tmp_path / "m1").mkdir()
    return DutyHold("m1", tmp_path / "m1")


def usage() -> Usage:
    now = time.monotonic_ns()
    return Usage(77, 0, now - 5, now, 1_000, 10, 9, 500, 4_096, 512)


@given(st.one_of(st.none(), st.integers(1, 10**9)), st.integers(1_000, 1_000_000))
def test_a_quota_is_read_back(quota_us: int | None, period_us: int) -> None:
    assert duty.parse_quota(duty.format_quota(Quota(quota_us, period_us))) == Quota(quota_us, period_us)


def test_counters_are_the_limiters_with_its_own_times(hold: DutyHold) -> None:
    written = usage()
    duty.write_usage(hold.folder, written)
    read = hold.counters()
    assert (read.before_ns, read.after_ns, read.usage_ns) == (written.before_ns, written.after_ns, 1_000)
    assert (hold.epoch, hold.law, hold.running()) == (77, "soft", False)


def test_old_numbers_are_not_passed_off_as_new(hold: DutyHold) -> None:
    duty.write_usage(hold.folder, replace(usage(), after_ns=time.monotonic_ns() - duty.STALE_NS - 1))
    with pytest.raises(ContainerError, match="its limiter no longer runs"):
        hold.counters()


def test_the_same_quota_is_not_written_again(hold: DutyHold) -> None:
    assert hold.set_quota(Quota(6_000)) is True
    inode = (hold.folder / duty.QUOTA).stat().st_ino
    assert hold.set_quota(Quota(6_000)) is False
    assert (hold.folder / duty.QUOTA).stat().st_ino == inode
    assert hold.quota() == Quota(6_000)


def test_nonsense_in_the_quota_file_is_named_and_can_be_overwritten(hold: DutyHold) -> None:
    for nonsense in ("", "lots", "-5 100000", "6000 0"):
        (hold.folder / duty.QUOTA).write_text(nonsense)
        with pytest.raises(ContainerError, match="of miner m1 holds"):
            hold.quota()
    assert hold.set_quota(Quota(6_000)) is True


def test_found_by_its_folder(hold: DutyHold, tmp_path: Path) -> None:
    found = find_files("any", cgroup_root=tmp_path / "none", duty_dir=tmp_path)
    assert list(found) == ["m1"]
    again = find_files("any", cgroup_root=tmp_path / "none", duty_dir=tmp_path, known=found)
    assert again["m1"] is found["m1"]
