"""deploy/setup.sh and the Makefile: quick and silent where nothing is missing, clear where something is.

That they set up a bare Debian is tried by hand in a debootstrap root (docs/operations.md, "Trying it on a bare
machine"): it takes minutes and a mirror.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path("deploy/setup.sh")


def sh(repository: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(repository / SCRIPT), *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """A PATH on which only the tools of an essential Debian are: no Python 3.11, no sudo that answers."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("dirname", "sed", "grep", "tail", "sh", "env", "mkdir", "rm", "cat", "sleep"):
        (folder / tool).symlink_to(shutil.which(tool) or pytest.fail(tool))
    for name, body in {"id": "echo 1000", "python3": "exit 1"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    return {"PATH": str(folder)}


def test_it_says_what_it_does(repository: Path) -> None:
    done = sh(repository)
    assert done.returncode == 2
    assert "sh deploy/setup.sh system" in done.stdout


def test_it_knows_this_python(repository: Path) -> None:
    done = sh(repository, "which-python")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("python3")


def test_nothing_missing_is_silent(repository: Path) -> None:
    done = sh(repository, "python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_old_python_is_named_with_its_mend(repository: Path, bare: dict[str, str]) -> None:
    done = sh(repository, "python", **bare)
    assert done.returncode == 3
    assert "LACKS Python 3.11 or newer" in done.stderr
    assert "use Debian 12" in done.stderr


def test_as_root_keeps_the_exit_status(repository: Path) -> None:
    assert sh(repository, "as-root", "sh", "-c", "exit 7").returncode == 7


def test_as_root_without_root_says_what_that_means(repository: Path, bare: dict[str, str]) -> None:
    done = sh(repository, "as-root", "sh", "-c", "echo ran", **bare)
    assert done.stdout.endswith("ran\n")
    assert "duty cycle" in done.stdout


def test_make_help_lists_every_target(repository: Path) -> None:
    done = subprocess.run(
        ["make", "-s", "-C", str(repository)], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0
    listed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make ")}
    assert listed >= {
        "help",
        "setup",
        "run",
        "test",
        "lint",
        "bench",
        "soak",
        "lock",
        "clean",
        "edge",
        "doctor",
    }


def test_ci_runs_what_people_run(repository: Path) -> None:
    script = (repository / ".ci" / "run").read_text()
    assert script.splitlines()[-1] == "make test"
    assert "set -euo pipefail" in script
    assert os.access(repository / ".ci" / "run", os.X_OK)


def test_the_shell_scripts_parse(repository: Path) -> None:
    for interpreter, script in (("sh", SCRIPT), ("bash", Path(".ci/run"))):
        done = subprocess.run(
            [interpreter, "-n", str(repository / script)], capture_output=True, check=False, timeout=30
        )
        assert (done.returncode, done.stderr) == (0, b"")
