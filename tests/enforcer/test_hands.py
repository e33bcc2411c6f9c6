"""The enforcer's hands: what they hold they keep, also where looking for more fails."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from enforcer.hands import Hands
from mint.bus.quiet import Quiet


def test_a_folder_that_goes_away_while_it_is_listed_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "duty" / "m01").mkdir(parents=True)
    hands = Hands("scope", tmp_path, tmp_path / "duty", docker=False, quiet=Quiet(logging.getLogger("test")))
    hands.find(["m01"], now=True)
    held = hands.hold("m01")
    assert held is not None

    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "cgroup")

    monkeypatch.setattr("enforcer.hands.find_files", gone)
    hands.find(["m01", "m02"], now=True)
    assert hands.hold("m01") is held
    hands.close()
