"""Runs `mint demo` as a newcomer does, as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

MINT = [sys.executable, "-m", "network.main"]
# A demo sets up, runs, and ends in this time on a machine that is busy with something else.
SPARE_S = 60


def run_demo(folder: Path, attack: str, seconds: int, *options: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, report and output of `mint demo --once`."""
    report = folder.parent / f"{folder.name}.json"
    command = [
        *(*MINT, "demo", "--once", "--dir", str(folder), "--attack", attack),
        *("--seconds", str(seconds), "--report", str(report), *options),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + SPARE_S, check=False)
    output = done.stdout + done.stderr
    assert report.exists(), output
    return done.returncode, json.loads(report.read_text()), output


def start_demo(folder: Path, *options: str) -> subprocess.Popen[str]:
    """A demo that is ended by the test."""
    command = [*MINT, "demo", "--once", "--dir", str(folder), "--seconds", "600", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read what a demo says until a line holds `words`."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if words in line:
            return
    raise AssertionError(f"ended without saying {words!r}: {said}")
