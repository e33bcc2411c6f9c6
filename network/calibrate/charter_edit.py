"""`ssa_threshold` in a charter.toml that people edit: that one value changes, every other byte stays.

A line editor that a parser checks: of the places where the value may stand, that one is taken after which the file
says what it said before, and the new threshold.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mint.charter import toml
from mint.charter.model import Detection
from mint.errors import InputError
from mint.files import write_atomic
from network.calibrate import scores

KEY = "ssa_threshold"
TABLE = "detection"
# Any network's: it is not in the file, and nothing of the file depends on it.
NETWORK = bytes(32)

_VALUE = re.compile(
    rf"""^([ \t]*(?:["']?{TABLE}["']?[ \t]*\.[ \t]*)?["']?{KEY}["']?[ \t]*=[ \t]*)([^\s#]+)""", re.M
)
_HEADER = re.compile(rf"""^[ \t]*\[[ \t]*["']?{TABLE}["']?[ \t]*\][^\n]*\n?""", re.M)


def lines(threshold: float) -> str:
    """What to paste into a charter.toml."""
    return f"[{TABLE}]\n{_assignment(threshold)}\n"


def checked(path: Path, preset: str) -> str:
    """The text of the charter in `path`, whose detection a threshold of this preset's W may be set in.

    Raises:
        InputError: it is no charter, has another preset, parameters or period, or cannot be edited.
    """
    detection, text = _read(path)
    fits = scores.detection(preset)
    if detection.preset != preset:
        raise InputError(
            f"{path}: detection.preset", f"is {detection.preset}", f"give --preset {detection.preset}"
        )
    if preset == "paper":
        for name in ("N", "L", "p", "q", "eigentriples"):
            if getattr(detection, name) != getattr(fits, name):
                raise InputError(
                    f"{path}: detection.{name[0]}",
                    f"is {getattr(detection, name)}, and W is calibrated for {getattr(fits, name)}",
                    "leave the preset's parameters",
                )
    return text


def write(path: Path, preset: str, threshold: float) -> None:
    """Set the threshold in the charter in `path`, which is whole whatever happens.

    Raises:
        InputError: see `checked`.
        OSError: as the system says it.
    """
    text = with_threshold(checked(path, preset), threshold, str(path))
    toml.parse(text, str(path), NETWORK)
    target = path.resolve()  # a link stays one
    write_atomic(target, text.encode("utf-8"), mode=target.stat().st_mode & 0o777)


def with_threshold(text: str, threshold: float, where: str) -> str:
    """TOML `text` with this threshold in [detection], and every other byte as it was.

    Raises:
        InputError: it stands in a place that this editor does not know.
    """
    wanted = tomllib.loads(text)
    wanted.setdefault(TABLE, {})[KEY] = float(_number(threshold))
    for edited in _edits(text, threshold):
        if _loads(edited) == wanted:
            return edited
    raise InputError(
        f"{where}: {TABLE}",
        "is written in a way that is not edited here",
        f"set {_assignment(threshold)} by hand",
    )


def _edits(text: str, threshold: float) -> Iterator[str]:
    """Every way to edit this text that might be right."""
    for match in _VALUE.finditer(text):
        yield text[: match.start(2)] + _number(threshold) + text[match.end(2) :]
    newline = "\r\n" if "\r\n" in text else "\n"
    for match in _HEADER.finditer(text):
        gap = "" if match.group().endswith("\n") else newline
        yield text[: match.end()] + gap + _assignment(threshold) + newline + text[match.end() :]
    gap = "" if not text or text.endswith("\n") else newline
    table = newline.join(lines(threshold).splitlines()) + newline
    yield text + gap + (newline if text else "") + table


def _read(path: Path) -> tuple[Detection, str]:
    charter = toml.read(path, NETWORK)
    if charter.period_ms != 1000:
        raise InputError(
            f"{path}: network.period_s",
            f"is {charter.period_ms / 1000:g}, and the rate is one of W once a second",
            "calibrate for a period of 1 s",
        )
    # Not read_text: it would make \r\n to \n.
    return charter.detection, path.read_bytes().decode("utf-8")


def _loads(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _assignment(threshold: float) -> str:
    return f"{KEY} = {_number(threshold)}"


def _number(threshold: float) -> str:
    """In thousandths, as the signed charter has it."""
    return repr(round(threshold, 3))
