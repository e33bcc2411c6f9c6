"""The enforcer on the real thing: broker, cgroups, signed verdicts, kill -9."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from enforcer.service import DATABASE, run
from enforcer.state import Change
from enforcer.store import Store
from mint.boot import boot_id
from mint.containers.cgroup_v1 import HoldV1
from mint.containers.duty import Usage, write_usage
from mint.containers.hierarchy import CGROUP_ROOT
from mint.errors import Reason
from mint.messages.judgement import Verdict
from mint.messages.receipt import Receipt
from mint.messages.sample import MinerReading
from mint.node import Node
from tests.agents.fog import Cgroups
from tests.enforcer.fog import Fog, Others, caught, hold_of, quota_us, until, verdict_on
from tests.enforcer.offences import CPU_PPM, DETECTORS, ELSEWHERE, MINERS, Keys, reading

pytestmark = pytest.mark.cgroup

FAIR_US, DOUBLED_US, LOW_US = 5_000, 10_000, 2_500
# Above what the law allows (200 ms of 5 %, and 8 ms of slack: 18 ms), so that the two samples prove it.
ABOVE_NS = 20_000_000
# The kernel's own slack: one period's quota.
SLACK_NS = 5_000_000


@contextlib.asynccontextmanager
async def enforcing(
    node: Node, *, duty_dir: Path | None = None, cgroup_root: Path = CGROUP_ROOT, docker: bool = False
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(run(node, stop, cgroup_root=cgroup_root, duty_dir=duty_dir, docker=docker))
    try:
        yield
    finally:
        stop.set()
        await task


def raise_quota(hold: HoldV1, to_us: int = DOUBLED_US) -> None:
    """As a cheat does it: behind everybody's back."""
    (hold.folders["cpu"] / "cpu.cfs_quota_us").write_text(str(to_us))


def above(first: MinerReading, receipt: Receipt) -> int:
    """CPU ns above entitlement from a reading to a receipt."""
    due_ns = (receipt.mono_ns - first.before_ns) * CPU_PPM // 1_000_000
    return receipt.usage_ns - first.usage_ns - due_ns


def started(fog: Fog) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.enforcer.enforcer_process", str(fog.folder), str(fog.broker.port)]
    return subprocess.Popen(command)


def kill_9(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def numbered(receipts: list[Receipt]) -> dict[int, set[Receipt]]:
    found = defaultdict(set)
    for receipt in receipts:
        found[receipt.number].add(receipt)
    return found


async def test_a_doubled_quota_is_drift_then_a_verdict_takes_back_what_was_taken(
    fog: Fog, others: Others, cgroups: Cgroups
) -> None:
    hold = hold_of(fog, MINERS[0])
    async with enforcing(fog.node()):
        raise_quota(hold)
        pair = await caught(fog, hold, 2 * ABOVE_NS)
        await others.heard("drift")
        assert quota_us(hold) == DOUBLED_US, "told, not corrected"
        await others.judge(verdict_on(fog, pair))
        await until(lambda: quota_us(hold) == LOW_US)
        await others.judge(verdict_on(fog, pair, voters=DETECTORS[1:]))
        await others.frame(13)
        await others.heard("restore")
    assert quota_us(hold) == FAIR_US
    actions = [receipt.action for receipt in others.receipts]
    assert actions == ["drift", "correct", "restore"]
    correct, restore = others.receipts[1:]
    assert (correct.quota_before_ppm, correct.quota_after_ppm) == (100_000, 25_000)
    assert (restore.quota_before_ppm, restore.quota_after_ppm) == (25_000, 50_000)
    assert correct.verdict == restore.verdict != b""
    assert above(pair[0], correct) > SLACK_NS
    assert above(pair[0], restore) <= 0
    assert [receipt.number for receipt in others.receipts] == [1, 2, 3]
    assert [quota_us(hold_of(fog, miner)) for miner in MINERS[1:]] == [FAIR_US, FAIR_US]


async def test_kill_9_in_a_penalty_neither_forgets_nor_doubles_it(
    fog: Fog, others: Others, cgroups: Cgroups
) -> None:
    hold = hold_of(fog, MINERS[0])
    process = started(fog)
    try:
        raise_quota(hold)
        pair = await caught(fog, hold, 2 * ABOVE_NS)
        await others.judge(verdict_on(fog, pair))
        await others.heard("correct")
        kill_9(process)
        raise_quota(hold, FAIR_US)
        await others.frame(20)
        process = started(fog)
        await until(lambda: quota_us(hold) == LOW_US)
        await others.heard("restore")
        assert quota_us(hold) == FAIR_US
        kill_9(process)
        raise_quota(hold)
        process = started(fog)
        # The offence comes again, retained and anew; then one on another miner shows that all was read.
        await others.judge(verdict_on(fog, pair, voters=DETECTORS[1:]))
        await others.judge(fog.keys.verdict(*signed_pair(fog.keys, miner=MINERS[1]), miner=MINERS[1]))
        await until(lambda: any(receipt.miner == MINERS[1] for receipt in others.receipts))
        assert quota_us(hold) == DOUBLED_US
    finally:
        kill_9(process)
    by_number = numbered(others.receipts)
    assert all(len(contents) == 1 for contents in by_number.values())
    assert sorted(by_number) == list(range(1, len(by_number) + 1))
    told = [next(iter(by_number[number])) for number in sorted(by_number)]
    restored = [receipt for receipt in told if receipt.action == "restore" and receipt.miner == MINERS[0]]
    assert len(restored) == 1
    assert above(pair[0], restored[0]) <= 0, "nothing is forgotten: not even what was used meanwhile"


async def test_penalties_are_kept_while_the_broker_is_away(
    fog: Fog, others: Others, cgroups: Cgroups
) -> None:
    hold = hold_of(fog, MINERS[0])
    async with enforcing(fog.node()):
        raise_quota(hold)
        pair = await caught(fog, hold, ABOVE_NS)
        await others.judge(verdict_on(fog, pair))
        await others.heard("correct")
        await fog.broker.stop()
        raise_quota(hold)
        await until(lambda: quota_us(hold) == LOW_US)
        await until(lambda: quota_us(hold) == FAIR_US)
        await fog.broker.start()
        await others.heard("restore")


async def test_a_process_under_a_duty_cycle_is_held_by_its_quota_file(
    fog: Fog, others: Others, tmp_path: Path
) -> None:
    limiter = Limiter(tmp_path / "duty" / MINERS[1])
    first = limiter.reading()
    limiting = asyncio.create_task(limiter.run())
    async with enforcing(fog.node(), duty_dir=tmp_path / "duty"):
        await until(lambda: limiter.usage_ns > 4 * ABOVE_NS)
        await others.judge(verdict_on(fog, (first, limiter.reading())))
        await until(lambda: limiter.quota() == "2500 100000")
        await others.frame(13)
        await until(lambda: limiter.quota() == "5000 100000")
        await others.heard("restore")
    limiting.cancel()


class Limiter:
    """A duty-cycle limiter's side of its folder: a process that always uses just what it may."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder, self.usage_ns, self.mono_ns = folder, 0, time.monotonic_ns()
        (folder / "quota").write_text("10000 100000\n")
        self._write()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            now_ns = time.monotonic_ns()
            self.usage_ns += (now_ns - self.mono_ns) * int(self.quota().split()[0]) // 100_000
            self.mono_ns = now_ns
            self._write()

    def quota(self) -> str:
        return (self._folder / "quota").read_text().strip()

    def reading(self) -> MinerReading:
        return reading(self._folder.name, 5, self.mono_ns, self.mono_ns, self.usage_ns)

    def _write(self) -> None:
        write_usage(self._folder, Usage(5, 0, self.mono_ns, self.mono_ns, self.usage_ns, 0, 0, 0, 0, 0))


# --- forged verdicts --------------------------------------------------------------------------------------------


def signed_pair(keys: Keys, *, miner: str = MINERS[0], used_ns: int = 400_000_000) -> tuple[bytes, bytes]:
    """Samples a second apart of a miner that used this much in between."""
    readings = [reading(miner, 1, 10**9, 10**9, 0), reading(miner, 1, 2 * 10**9, 2 * 10**9, used_ns)]
    first, last = keys.samples(readings, boot_id())
    return first, last


def too_few_votes(keys: Keys) -> Verdict:
    return keys.verdict(*signed_pair(keys), voters=DETECTORS[:2])


def one_detector_thrice(keys: Keys) -> Verdict:
    return keys.verdict(*signed_pair(keys), voters=DETECTORS[:1] * 3)


def another_miner(keys: Keys) -> Verdict:
    return replace(keys.verdict(*signed_pair(keys)), miner=MINERS[1])


def another_offence(keys: Keys) -> Verdict:
    return replace(keys.verdict(*signed_pair(keys)), offence=2)


def another_beginning(keys: Keys) -> Verdict:
    return replace(keys.verdict(*signed_pair(keys)), began=8)


def another_frame(keys: Keys) -> Verdict:
    return replace(keys.verdict(*signed_pair(keys)), frame=11)


def other_samples(keys: Keys) -> Verdict:
    first, last = signed_pair(keys, used_ns=500_000_000)
    return replace(keys.verdict(*signed_pair(keys)), first=first, last=last)


def honest_use(keys: Keys) -> Verdict:
    return keys.verdict(*signed_pair(keys, used_ns=50_000_000))


def samples_in_reverse(keys: Keys) -> Verdict:
    first, last = signed_pair(keys)
    return keys.verdict(last, first)


def samples_by_somebody_else(keys: Keys) -> Verdict:
    strangers = Keys()
    return keys.verdict(*signed_pair(strangers))


def votes_by_somebody_else(keys: Keys) -> Verdict:
    first, last = signed_pair(keys)
    strangers = Keys()
    strangers.sealed = keys.sealed
    strangers.network = keys.network
    return replace(keys.verdict(first, last), votes=strangers.verdict(first, last).votes)


def unknown_charter(keys: Keys) -> Verdict:
    return keys.verdict(*signed_pair(keys), charter=b"\x22" * 32)


def replace(verdict: Verdict, **changes: object) -> Verdict:
    return msgspec.structs.replace(verdict, **changes)


FORGERIES: dict[Callable[[Keys], Verdict], Reason] = {
    too_few_votes: Reason.NO_QUORUM,
    one_detector_thrice: Reason.NO_QUORUM,
    another_miner: Reason.NO_QUORUM,
    another_offence: Reason.NO_QUORUM,
    another_beginning: Reason.NOT_PROVEN,
    another_frame: Reason.NO_QUORUM,
    other_samples: Reason.NOT_PROVEN,
    honest_use: Reason.NOT_PROVEN,
    samples_in_reverse: Reason.NOT_PROVEN,
    samples_by_somebody_else: Reason.BAD_SIGNATURE,
    votes_by_somebody_else: Reason.BAD_SIGNATURE,
    unknown_charter: Reason.UNKNOWN_CHARTER,
}


async def test_a_verdict_with_any_link_broken_is_rejected_and_nothing_is_done(
    fog: Fog, others: Others, cgroups: Cgroups
) -> None:
    hold, node = hold_of(fog, MINERS[0]), fog.node()
    async with enforcing(node):
        for forge, reason in FORGERIES.items():
            before = node.rejections.by_reason[reason]
            await others.judge(forge(fog.keys))
            await until(lambda: node.rejections.by_reason[reason] > before)  # noqa: B023
        assert node.rejections.by_reason.total() == len(FORGERIES)
        assert quota_us(hold) == FAIR_US
        await others.judge(fog.keys.verdict(*signed_pair(fog.keys, miner=ELSEWHERE), miner=ELSEWHERE))
        await others.judge(fog.keys.verdict(*signed_pair(fog.keys)))
        await others.heard("correct")
    assert node.rejections.by_reason.total() == len(FORGERIES)
    assert {receipt.miner for receipt in others.receipts} == {MINERS[0]}


async def test_a_verdict_that_comes_before_its_charter_is_kept_until_that_comes(
    fog: Fog, others: Others, cgroups: Cgroups
) -> None:
    hold, node = hold_of(fog, MINERS[0]), fog.node()
    newer = fog.keys.charter(version=2)
    async with enforcing(node):
        await others.judge(fog.keys.verdict(*signed_pair(fog.keys), charter=newer.hash))
        await until(lambda: node.rejections.by_reason[Reason.UNKNOWN_CHARTER] == 1)
        await others.manager.publish(newer.topics().charter(), newer.data, retain=True)
        await others.heard("correct")
        assert quota_us(hold) == LOW_US


async def test_a_disk_that_takes_nothing_ends_nobody_and_a_receipt_is_told_again(
    fog: Fog, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = fog.node()
    told = Receipt(1, 0, MINERS[0], "drift", b"", 0, -1, -1, 0, 0, "")
    store = Store(node.options.state / DATABASE)
    store.commit(Change({}, (), (told,), 1, 0), [node.signer.object(told)])
    store.close()
    with contextlib.closing(sqlite3.connect(node.options.state / DATABASE)) as disk:
        full = "SELECT RAISE(ABORT, 'database or disk is full')"
        disk.execute(f"CREATE TRIGGER full BEFORE DELETE ON outbox BEGIN {full}; END")
    monkeypatch.setattr("enforcer.service.RETRY_S", 0.05)
    async with enforcing(node):
        await until(lambda: len(others.receipts) > 1)
    assert set(others.receipts) == {told}
