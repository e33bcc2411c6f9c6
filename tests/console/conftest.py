"""A fog and a picture of it; everything was heard up to some frame."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import pytest

from console.picture import Picture
from tests.console.history import CHEAT, T0_MS, Fog, History, Told


@pytest.fixture(scope="session")
def fog() -> Fog:
    return Fog()


@pytest.fixture(scope="session")
def seen(fog: Fog) -> Callable[..., Picture]:
    """A picture of the history up to `last`; `cheat=None` for one without a cheat. It is signed once."""
    histories: dict[str | None, History] = {}
    told: dict[str | None, list[tuple[Told, ...]]] = {}

    def see(last: int, cheat: str | None = CHEAT) -> Picture:
        if cheat not in histories:
            histories[cheat] = History(fog, cheat=cheat)
            told[cheat] = [tuple(histories[cheat].births())]
        frames = told[cheat]
        while len(frames) <= last:
            frames.append(tuple(histories[cheat].frame(len(frames))))
        picture = Picture(fog.sealed)
        picture.tick(T0_MS)
        for one in chain.from_iterable(frames[: last + 1]):
            one.reaches(picture)
        return picture

    return see
