"""`mint up`: the network without an attack; looked on at, given a new charter, ended, and continued."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mint.node import CHARTERS
from network.layout import Layout
from tests.system.demo import MINT, read_until
from tests.system.traces import left_behind

pytestmark = [pytest.mark.system, pytest.mark.cgroup, pytest.mark.timeout(180)]

FRAMES = "frames.sqlite"


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that a process of its own does, and tells nobody."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def up(folder: Path) -> Iterator[None]:
    """A network that runs, and is ended by SIGTERM."""
    command = [*MINT, "up", "--quiet", "--dir", str(folder), "--runtime", "cgroup", "--miners", "5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        read_until(process, "running")
        yield
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output
    finally:
        process.kill()
        process.communicate()
    assert left_behind(folder) == []


@contextmanager
def watched(folder: Path) -> Iterator[Iterator[dict[str, Any]]]:
    """What `mint watch --json` says of it."""
    command = [*MINT, "watch", "--dir", str(folder), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        # It has taken up the charter in force: what is signed from now on is news to it.
        until(lambda: any((Layout(folder).state("watcher") / CHARTERS).glob("*.signed")))
        yield (json.loads(line) for line in process.stdout)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def mint(*arguments: str) -> str:
    done = subprocess.run([*MINT, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def frames(folder: Path) -> list[tuple[int, bytes]]:
    """The log as it is on disk; nothing before the manager has made it."""
    file = Layout(folder).state("manager") / FRAMES
    try:
        with sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True) as database:
            return database.execute("SELECT number, hash FROM frame ORDER BY number").fetchall()
    except sqlite3.OperationalError:
        return []


def test_up_is_watched_given_a_charter_ended_and_continued(cgroups: None, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    with up(folder):
        with watched(folder) as events:
            charter = Layout(folder).charter_toml
            charter.write_text(charter.read_text().replace("version = 1", "version = 2\nmode = 'observe'"))
            assert "version 2" in mint("charter", "sign", "--dir", str(folder))
            mint("charter", "publish", "--dir", str(folder))
            assert any("version 2" in event["text"] for event in events)
        until(lambda: bool(frames(folder)))
        before = frames(folder)
    assert not (folder / "address").exists()

    with up(folder):
        pass
    after = frames(folder)
    assert after[: len(before)] == before, "the log goes on where it was"
    assert [number for number, _ in after] == list(range(1, len(after) + 1))


def test_two_in_one_folder_is_one_too_many(cgroups: None, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    with up(folder):
        command = [*MINT, "up", "--quiet", "--dir", str(folder)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 2
    assert "in use by another mint" in second.stderr
