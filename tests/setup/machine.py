"""What a test may expect of the machine, and when it may be skipped.

Two kinds of lack. What the machine cannot have (a kernel feature, a piece of hardware) is `absent`: the test is
skipped everywhere, CI included. What `make test` installs or starts (Mosquitto, Docker, a compiler) is
`missing`: skipped on a developer's machine, where it may not be installed, and an error in CI, where a skip would
hide a broken setup. Any other skip fails in CI too (the hooks below, loaded in pyproject.toml).
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Never

import pytest

ABSENT = "this machine has no "


def in_ci() -> bool:
    """Whether this is CI's run, where nothing that the machine can run may be skipped."""
    return os.environ.get("CI", "").lower() == "true"


def absent(what: str) -> Never:
    """Skip: neither setup nor root could give this machine `what`."""
    pytest.skip(f"{ABSENT}{what}")


def missing(what: str) -> Never:
    """Skip, or fail in CI: `make test` should have brought `what`."""
    if in_ci():
        pytest.fail(f"CI lacks {what}, which `make test` should have brought", pytrace=False)
    pytest.skip(f"lacks {what} (`make test` brings it where you may install it)")


def _unwanted(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """The reason of a skip that CI does not accept."""
    if not (in_ci() and report.skipped) or hasattr(report, "wasxfail"):
        return None
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    return None if reason.startswith(ABSENT) else reason


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    if reason := _unwanted(report):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {reason} (tests/setup/machine.py says when a test may be skipped)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip that CI does not accept into a failure."""
    report = yield
    _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module skipped while it is collected."""
    report = yield
    _fail(report)
    return report
