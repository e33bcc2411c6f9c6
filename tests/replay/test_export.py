"""What a manager stored comes out as a trace, while it runs or not, and nothing is left behind by looking."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from mint.charter.toml import setting
from mint.errors import InputError
from mint.messages.frame import Frame
from mint.wire import MOST
from network import export as module
from network.export import export
from network.replay import replay
from network.trace import Counters, Trace
from network.trace_file import read_trace
from tests.builders import BRACKET, Net, World
from twin_broker.core import Closed
from twin_broker.store import FrameReader, FrameStore

FRAMES = 40


@dataclass
class Stored:
    """A manager's frame log and the frames in it."""

    path: Path
    store: FrameStore
    frames: list[Frame]

    def exported(self, name: str = "t.csv", first: int = 0, last: int = MOST) -> Trace:
        to = self.path.with_name(name)
        export(FrameReader(self.path), to, first, last, lambda _: None)
        return read_trace(to)


@pytest.fixture(scope="module")
def history() -> list[tuple[Closed, Frame]]:
    """Forty frames of six miners on two devices: m02 doubles at 20, edge2 is silent and boots, m05 leaves."""
    world = World(Net(miners=6, devices=2, detectors=1), enforce=False)
    frames = []
    for number in range(1, FRAMES + 1):
        if number == 20:
            world.miner("m02").factor = 2.0
        if number == 15:
            world.edge("edge2").restart(reboot=True)
        if number == 30:
            world.miner("m05").running = False
        frames.append((world.tick(silent=["edge2"] if 10 <= number < 15 else []), world.frame))
    return frames


@pytest.fixture
def stored(history: list[tuple[Closed, Frame]], tmp_path: Path) -> Iterator[Stored]:
    store = FrameStore(tmp_path / "frames.sqlite", b"host")
    for closed, _ in history:
        store.keep(closed.append)
    yield Stored(tmp_path / "frames.sqlite", store, [frame for _, frame in history])
    store.close()


def entry(trace: Trace, frame: int, miner: str) -> tuple[bool, dict[str, int]]:
    row, column = int(np.searchsorted(trace.ticks, frame)), trace.miners.index(miner)
    assert trace.counters is not None
    values = {name: int(getattr(trace.counters, name)[row, column]) for name in Counters.__dataclass_fields__}
    return bool(trace.present[row, column]), values


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_trace_tells_what_the_frames_told(
    stored: Stored, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 7)
    trace = stored.exported(name)
    assert trace.ticks.tolist() == list(range(1, FRAMES + 1))
    assert trace.miners == tuple(f"m0{number}" for number in range(1, 7))
    boots: dict[tuple[str, bytes], int] = {}
    for frame in stored.frames:
        devices = {device.device: device for device in frame.devices}
        for told in frame.miners:
            device = devices["edge1" if int(told.miner[1:]) % 2 else "edge2"]
            present, values = entry(trace, frame.number, told.miner)
            assert present == told.present
            if present:
                boot = boots.setdefault((device.device, device.boot), len(boots) + 1)
                assert values == {
                    "usage_ns": told.usage_ns,
                    "before_ns": told.before_ns,
                    "after_ns": told.before_ns + BRACKET,
                    "entitled_ppm": 100_000,
                    "steal_ns": device.steal_ns,
                    "epoch": told.epoch,
                    "boot": boot,
                }
    assert boots == {("edge1", b"B" * 16): 1, ("edge2", b"B" * 16): 2, ("edge2", b"C" * 16): 3}
    assert not trace.present[9:14, 1].any()
    assert not trace.present[29:, 4].any()


def test_yesterday_is_replayed(stored: Stored) -> None:
    findings = [
        (step.findings.number, one.miner)
        for step in replay(stored.exported(), setting({}, ""))
        for one in step.findings.found
        if one.decides and one.detector == "budget"
    ]
    assert findings[0] in [(20, "m02"), (21, "m02"), (22, "m02")]
    assert {miner for _, miner in findings} == {"m02"}


def test_a_miner_that_moved_is_looked_for_under_the_new_charter(tmp_path: Path) -> None:
    before, after = Net(miners=2, devices=2, detectors=1), Net(miners=2, devices=2, detectors=1)
    one, two = after.charter.miners
    moved = (structs.replace(one, device=two.device), structs.replace(two, device=one.device))
    after.sealed = after.next_version(miners=moved)
    path = tmp_path / "frames.sqlite"
    with closing(FrameStore(path, b"host")) as store:
        for number, net in enumerate([before, after]):
            world = World(net)
            world.manager.number = 2 * number
            for edge, boot in zip(world.edges, (b"1" * 16, b"2" * 16), strict=True):
                edge.boot = boot
            store.keep(world.tick().append)
            store.keep(world.tick().append)
    export(FrameReader(path), tmp_path / "t.csv", 0, MOST, lambda _: None)
    counters = read_trace(tmp_path / "t.csv").counters
    assert counters is not None
    assert counters.boot.tolist() == [[1, 2], [1, 2], [2, 1], [2, 1]]


def test_a_part_of_it(stored: Stored) -> None:
    assert stored.exported(first=12, last=19).ticks.tolist() == list(range(12, 20))
    assert stored.exported(first=38).ticks.tolist() == [38, 39, 40]
    with pytest.raises(InputError, match="would be empty: the log has frames 1 to 40; choose"):
        stored.exported(first=41)
    with pytest.raises(InputError, match="would be empty"):
        stored.exported("none.csv", first=7, last=6)
    with closing(sqlite3.connect(stored.path)) as db, db:
        db.execute("DELETE FROM frame WHERE number <= 5")  # as pruning does
    assert stored.exported().ticks[0] == 6
    assert not stored.path.with_name("none.csv").exists()


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {file.name: (file.stat().st_ino, file.stat().st_size) for file in folder.iterdir()}


def test_a_manager_that_runs_is_not_disturbed(stored: Stored, history: list[tuple[Closed, Frame]]) -> None:
    log = FrameReader(stored.path)
    before = files(stored.path.parent)
    assert set(before) == {"frames.sqlite", "frames.sqlite-shm", "frames.sqlite-wal"}
    page = log.page(1, 3, 9)
    assert [frame.number for frame in page] == [1, 2, 3]
    assert log.numbers() == (1, FRAMES)
    assert files(stored.path.parent) == before
    # It goes on writing, and what it writes is seen.
    stored.store.keep(replace(history[-1][0], number=FRAMES + 1).append)
    assert log.numbers() == (1, FRAMES + 1)
    with closing(sqlite3.connect(stored.path)) as db:
        assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0  # nobody holds a page


def test_a_manager_that_ended_leaves_one_file_and_so_does_who_reads_it(stored: Stored) -> None:
    stored.store.close()
    before = files(stored.path.parent)
    assert set(before) == {"frames.sqlite"}
    assert FrameReader(stored.path).numbers() == (1, FRAMES)
    assert files(stored.path.parent) == before


def test_what_a_killed_manager_wrote_last_is_there(stored: Stored, tmp_path: Path) -> None:
    names = list(files(stored.path.parent))
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in names:
        (killed / name).write_bytes((stored.path.parent / name).read_bytes())
    assert FrameReader(killed / "frames.sqlite").numbers() == (1, FRAMES)
    assert sorted(files(killed)) == sorted(names)


@pytest.mark.parametrize("content", [b"", b"nonsense" * 1000])
def test_a_file_that_is_no_log(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "frames.sqlite"
    with pytest.raises(InputError, match="is no frame log; name the --state folder"):
        FrameReader(path)
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a frame log"):
        FrameReader(path).numbers()
    assert [file.name for file in tmp_path.iterdir()] == ["frames.sqlite"]


def test_a_damaged_frame_is_said(stored: Stored) -> None:
    with closing(sqlite3.connect(stored.path)) as db, db:
        db.execute("UPDATE frame SET data = x'01' WHERE number = 30")
    with pytest.raises(InputError, match="cannot be read as a frame log"):
        stored.exported()
    assert not stored.path.with_name("t.csv").exists()


def test_an_empty_log(tmp_path: Path) -> None:
    path = tmp_path / "frames.sqlite"
    with closing(FrameStore(path, b"host")), pytest.raises(InputError, match="the log has no frames"):
        export(FrameReader(path), tmp_path / "t.csv", 0, MOST, lambda _: None)
