"""The kernel's way onto a machine: compiled once, kept where nobody else can change it, and done without."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from detectors.ssa.kernel import Kernel, kernel
from detectors.ssa.parameters import PAPER, SsaParameters
from detectors.ssa.statistics import distances
from tests.setup.machine import missing

X = np.random.default_rng(1).normal(100, 4, (20, PAPER.span))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """As in a new process, before and after."""
    if shutil.which(os.environ.get("CC", "cc")) is None:
        missing("a C compiler")
    kernel.cache_clear()
    yield
    kernel.cache_clear()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "mint"


def replace(file: Path, content: bytes) -> None:
    """A file of its own in its place: the old one is part of this process, which would die of a change."""
    file.unlink()
    file.write_bytes(content)


def works() -> bool:
    """Whether there is a kernel that computes."""
    loaded = kernel()
    if loaded is None:
        return False
    D, _, angle = loaded.distances(X, PAPER)
    return bool((D > 0).all() and (angle < 1e-9).all())


def test_it_is_compiled_once_and_kept(cache: Path) -> None:
    assert works()
    (made,) = cache.iterdir()
    before = made.stat().st_mtime_ns
    kernel.cache_clear()
    assert works()
    assert [path.stat().st_mtime_ns for path in cache.iterdir()] == [before]
    assert cache.stat().st_mode & 0o077 == 0


def test_a_folder_that_others_may_write_to_is_left_alone(cache: Path) -> None:
    cache.mkdir()
    cache.chmod(0o777)
    assert works()
    assert list(cache.iterdir()) == []


def test_a_library_that_others_may_write_to_is_not_loaded(cache: Path) -> None:
    assert works()
    (made,) = cache.iterdir()
    replace(made, b"planted")
    made.chmod(0o777)
    kernel.cache_clear()
    assert works()
    assert made.read_bytes() == b"planted"  # compiled elsewhere


def test_a_broken_library_and_a_cache_that_is_no_folder_are_done_without(cache: Path) -> None:
    cache.write_text("a file")
    assert works()
    kernel.cache_clear()
    cache.unlink()
    assert works()
    (made,) = cache.iterdir()
    replace(made, b"cut short")
    kernel.cache_clear()
    assert works()


def test_without_a_compiler_numpy_does_it_and_the_log_says_so_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with_kernel = distances(X, PAPER)
    kernel.cache_clear()
    shutil.rmtree(cache)
    monkeypatch.setenv("CC", "no-such-compiler")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            without = distances(X, PAPER)
    np.testing.assert_allclose(with_kernel, without, rtol=1e-9)
    (line,) = caplog.messages
    assert "no C compiler (no-such-compiler)" in line


def test_relative_cache_folders_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert works()
    assert [path.name for path in tmp_path.iterdir()] == [".cache"]


def test_what_has_no_answer_or_does_not_fit_is_left_to_numpy() -> None:
    assert Kernel.takes(PAPER)
    assert not Kernel.takes(SsaParameters(N=300, L=100, p=100, q=200))
    loaded = kernel()
    assert loaded is not None
    nonsense = X.copy()
    nonsense[3] = np.nan
    _, _, angle = loaded.distances(nonsense, PAPER)
    assert np.isnan(angle[3])  # and so not below any limit
    assert (np.delete(angle, 3) < 1e-9).all()
