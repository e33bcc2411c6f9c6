"""Fuzzing for long, with seeds that nobody has tried: `make soak`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MINUTES = 10


@pytest.mark.soak
@pytest.mark.timeout((MINUTES + 3) * 60)
def test_nothing_is_found_in_ten_minutes(repository: Path) -> None:
    words = [sys.executable, "-m", "tests.fuzz", "--minutes", str(MINUTES)]
    done = subprocess.run(
        words,
        cwd=repository,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * (MINUTES + 2),
    )
    assert done.returncode == 0, done.stdout + done.stderr
