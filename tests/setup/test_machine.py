"""The rule for skips: in CI only what no setup could mend is skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest
from tests.setup.machine import absent, missing

def test_runs(): pass
def test_hardware(): absent("GPU")
def test_installable(): missing("a broker")
def test_lazy(): pytest.skip("not today")
@pytest.mark.xfail(reason="known")
def test_known(): raise ValueError
"""


WHOLE_MODULE = "import pytest\npytest.skip('whole file', allow_module_level=True)\n"


@pytest.mark.parametrize(
    ("source", "ci", "summary"),
    [
        pytest.param(TESTS, "", "1 passed, 3 skipped, 1 xfailed", id="developer"),
        pytest.param(TESTS, "true", "2 failed, 1 passed, 1 skipped, 1 xfailed", id="ci"),
        pytest.param(WHOLE_MODULE, "", "1 skipped", id="developer, whole module"),
        pytest.param(WHOLE_MODULE, "true", "1 error", id="ci, whole module"),
    ],
)
def test_skips(tmp_path: Path, repository: Path, source: str, ci: str, summary: str) -> None:
    (tmp_path / "test_some.py").write_text(source)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.setup.machine",
        "-p",
        "no:cacheprovider",
        "test_some.py",
    ]
    environment = {
        **os.environ,
        "CI": ci,
        "PYTHONPATH": str(repository),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert summary in done.stdout.splitlines()[-1]
