"""C compiled for this machine, and whom it may come from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mint import native
from mint.errors import MachineError
from mint.native import compiled, ours_alone
from tests.setup.machine import missing


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "answer.c"
    path.write_text("int main(void) { return 42; }\n")
    return path


def made_of(source: Path, cache: Path, *flags: str) -> Path:
    try:
        return compiled(source, cache, flags, "look at it")
    except MachineError as error:
        if "no C compiler" in str(error):
            missing("a C compiler")
        raise


def test_each_recipe_has_a_name_of_its_own(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = made_of(source, cache)
    assert subprocess.run([first], check=False).returncode == 42
    assert made_of(source, cache) == first
    assert made_of(source, cache, "-O2") != first
    here = made_of(source, cache, "-march=native")
    monkeypatch.setattr(native, "_instructions", lambda: "flags : another processor")
    assert made_of(source, cache, "-march=native") != here
    source.write_text("int main(void) { return 43; }\n")
    assert made_of(source, cache) != first
    assert all(path.stat().st_mode & 0o777 == 0o755 for path in cache.iterdir())


def test_a_source_that_does_not_compile_leaves_nothing(source: Path, tmp_path: Path) -> None:
    source.write_text("int main(void) { return }\n")
    with pytest.raises(MachineError, match=r"could not compile answer\.c: .*; look at it"):
        made_of(source, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_others_may_change_is_not_ours_alone(tmp_path: Path) -> None:
    """/tmp, in which all may write, is sticky: what is ours there stays ours."""
    folder, file = tmp_path / "folder", tmp_path / "folder" / "file"
    folder.mkdir(mode=0o755)
    file.write_bytes(b"")
    file.chmod(0o644)
    assert ours_alone(file)
    for place, wrong, right in ((file, 0o664, 0o644), (folder, 0o757, 0o755), (tmp_path, 0o770, 0o700)):
        place.chmod(wrong)
        assert not ours_alone(file)
        place.chmod(right)
    assert ours_alone(file)
    (tmp_path / "link").symlink_to(folder)
    folder.chmod(0o777)
    assert not ours_alone(tmp_path / "link" / "file")
    with pytest.raises(FileNotFoundError):
        ours_alone(tmp_path / "nothing")


def test_what_belongs_to_another_user_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    if os.geteuid() == 0:
        os.chown(file, 65534, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert not ours_alone(file)
