"""What the terminal shows, at the sizes that terminals have."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping

import pytest
from rich.cells import cell_len
from rich.console import Console

from console.live import View, screen
from console.picture import Picture
from mint.errors import Reason
from tests.console.history import BEGAN, CHEAT, CONVICTED, T0_MS, Fog, History, forked

Seen = Callable[..., Picture]
SIZES = [(100, 32), (80, 24)]


def drawn(
    picture: Picture,
    size: tuple[int, int],
    at_ms: int,
    *,
    rejected: Mapping[Reason, int] | None = None,
    link: str = "",
    encoding: str = "utf-8",
) -> list[str]:
    """The lines on a terminal of that size, without colour."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(width=size[0], height=size[1], file=file, color_system=None, legacy_windows=False)
    console.print(View(picture, at_ms, rejected or {}, link))
    file.flush()
    return raw.getvalue().decode(encoding).rstrip("\n").split("\n")


def line_of(lines: list[str], name: str) -> str:
    (found,) = (line for line in lines if re.match(rf"[ >!?] {name} ", line))
    return found


@pytest.mark.parametrize("size", SIZES)
def test_everything_fits_and_the_convicted_miner_stands_out_without_colour(
    seen: Seen, fog: Fog, size: tuple[int, int]
) -> None:
    lines = drawn(seen(CONVICTED), size, T0_MS + CONVICTED * 1000 + 400)
    assert len(lines) == size[1]
    assert all(cell_len(line) <= size[0] for line in lines)
    assert f"frame {CONVICTED}, 0 s old" in lines[1]
    assert "detectors 4 of 4 vote" in lines[1]
    cheat = line_of(lines, CHEAT)
    assert cheat.startswith(f"> {CHEAT} ")
    assert cheat.rstrip().endswith("CONVICTED offence 1, pays back")
    assert "█" in cheat
    for name in fog.miners:
        if name != CHEAT:
            assert line_of(lines, name).startswith("  ")
            assert line_of(lines, name).rstrip().endswith("fair")
    assert any("verdict" in line and CHEAT in line for line in lines)
    assert lines[-1].startswith(" Ctrl-C ends")


@pytest.mark.parametrize("size", SIZES)
def test_frames_that_stopped_are_the_first_thing_one_sees(seen: Seen, size: tuple[int, int]) -> None:
    lines = drawn(seen(CONVICTED), size, T0_MS + CONVICTED * 1000 + 12_000)
    assert lines[1].startswith(
        " no frame for 12 s: is the manager's host down? Enforcers hold what they have,"
    )
    assert " ".join(lines[1:3]).replace("  ", " ").count("no verdicts come.") == 1
    assert len(lines) == size[1]
    assert CHEAT in line_of(lines, CHEAT)


@pytest.mark.parametrize("size", SIZES)
def test_a_manager_that_is_done_is_the_first_thing_one_sees(fog: Fog, size: tuple[int, int]) -> None:
    picture = Picture(fog.sealed)
    picture.take(fog.object("detector_1", forked(fog)), T0_MS)
    lines = drawn(picture, size, T0_MS + 12_000)
    assert lines[1].startswith(" manager signed two frames 5. It is done: no more verdicts, ")
    assert "the log goes on (docs/operations.md)." in " ".join(" ".join(lines[1:4]).split())
    assert len(lines) == size[1]
    assert any(" fault      manager signed two frames 5" in line for line in lines)


@pytest.mark.parametrize("size", SIZES)
def test_the_wait_for_the_first_frame_and_a_lost_broker(fog: Fog, size: tuple[int, int]) -> None:
    picture = Picture(fog.sealed)
    picture.tick(T0_MS)
    lines = drawn(picture, size, T0_MS + 2_000)
    assert "waiting for the first frame, 2 s" in lines[1]
    assert "unknown no twin yet" in line_of(lines, CHEAT)
    assert "not connected" in drawn(picture, size, T0_MS, link="not connected to the broker at b:1")[1]


def test_rejections_are_said(seen: Seen) -> None:
    rejected = {Reason.WRONG_TIME: 7, Reason.REPLAYED: 2}
    lines = drawn(seen(5), (120, 32), T0_MS + 5_000, rejected=rejected)
    assert "9 messages rejected (most: wrong_time)" in lines[1]


def test_a_terminal_without_unicode(seen: Seen) -> None:
    lines = drawn(seen(CONVICTED), (100, 32), T0_MS + CONVICTED * 1000, encoding="ascii")
    assert "#" in line_of(lines, CHEAT)
    assert "?" not in line_of(lines, CHEAT)


@pytest.mark.parametrize("width", [200, 100, 80, 60, 40, 20, 1])
@pytest.mark.parametrize("height", [60, 24, 8, 1])
def test_no_size_breaks_it(seen: Seen, width: int, height: int) -> None:
    lines = drawn(seen(CONVICTED), (width, height), T0_MS + CONVICTED * 1000)
    assert len(lines) == min(height, len(lines))
    assert all(cell_len(line) <= width for line in lines)


def test_where_not_all_fit_those_that_stand_out_come_first() -> None:
    fog = Fog(miners=99)
    picture, history = Picture(fog.sealed), History(fog, cheat="miner_88")
    for told in history.frames(BEGAN - 1, BEGAN + 1):
        told.reaches(picture)
    lines = drawn(picture, (100, 32), T0_MS + (BEGAN + 1) * 1000)
    assert lines[3].startswith("! miner_88 ")
    assert "accused by 4 of 4 detectors" in lines[3]
    assert lines[4].startswith("  miner_01 ")
    assert any(re.search(r"events \(\d+ more miners do not fit\)", line) for line in lines)


def test_the_screen_is_given_back(seen: Seen) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24)
    with screen(console) as draw:
        draw(View(seen(5), T0_MS + 5_000, {}))
    assert out.getvalue().startswith("\x1b[?1049h")  # the alternate screen
    assert out.getvalue().rstrip("\x1b[?25h").endswith("\x1b[?1049l")
