"""The rate of one class in a charter.toml that people edit: that one value changes, every other byte stays.

As charter_edit.py: of the places where the value may stand, that one is taken after which the file says what it said
before, and the new rate.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mint.errors import InputError
from mint.files import write_atomic

KEY = "hashes_per_cpu_second"
_VALUE = re.compile(rf"""^([ \t]*["']?{KEY}["']?[ \t]*=[ \t]*)([^\s#]+)""", re.M)
_HEADER = re.compile(r"""^[ \t]*\[\[[ \t]*["']?classes["']?[ \t]*\]\][^\n]*\n?""", re.M)


def checked(path: Path, name: str) -> str:
    """The text of the charter in `path`, which has a class of this name.

    The rest of it is not looked at: with a [chain] no charter is one until all its classes are measured.

    Raises:
        InputError: it cannot be read, is no TOML, or has no such class.
    """
    try:
        text = path.read_bytes().decode("utf-8")  # not read_text: it would make \\r\\n to \\n
        file = tomllib.loads(text)
    except OSError as error:
        raise InputError(
            str(path), f"cannot be read ({error.strerror})", "name a charter, or make one: mint init"
        ) from None
    except UnicodeDecodeError:
        raise InputError(str(path), "is not UTF-8 text", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(str(path), f"is not TOML: {error}", "correct that line") from None
    names = [str(kind.get("name")) for kind in _classes(file)]
    if name not in names:
        known = ", ".join(names) or "none"
        raise InputError("--class", f"{path} has no class {name!r}", f"its classes are: {known}")
    return text


def write(path: Path, name: str, rate: int) -> None:
    """Set the rate of a class in the charter in `path`, which is whole whatever happens.

    Raises:
        InputError: see `checked` and `with_rate`.
        OSError: as the system says it.
    """
    text = with_rate(checked(path, name), name, rate, str(path))
    target = path.resolve()  # a link stays one
    write_atomic(target, text.encode("utf-8"), mode=target.stat().st_mode & 0o777)


def with_rate(text: str, name: str, rate: int, where: str) -> str:
    """TOML `text` with this rate of class `name`, and every other byte as it was.

    Raises:
        InputError: it stands in a place that this editor does not know.
    """
    wanted = tomllib.loads(text)
    for kind in _classes(wanted):
        if kind.get("name") == name:
            kind[KEY] = rate
    for edited in _edits(text, rate):
        if _loads(edited) == wanted:
            return edited
    raise InputError(
        f"{where}: classes", "are written in a way that is not edited here", f"set {KEY} = {rate} by hand"
    )


def _edits(text: str, rate: int) -> Iterator[str]:
    """Every way to edit this text that might be right."""
    for match in _VALUE.finditer(text):
        yield text[: match.start(2)] + str(rate) + text[match.end(2) :]
    newline = "\r\n" if "\r\n" in text else "\n"
    for match in _HEADER.finditer(text):
        gap = "" if match.group().endswith("\n") else newline
        yield text[: match.end()] + f"{gap}{KEY} = {rate}{newline}" + text[match.end() :]


def _classes(file: dict[str, Any]) -> list[dict[str, Any]]:
    classes = file.get("classes")
    return [kind for kind in classes if isinstance(kind, dict)] if isinstance(classes, list) else []


def _loads(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
