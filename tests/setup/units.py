"""The unit files of deploy/systemd, read as systemd reads them: each with the drop-in that all of them share."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
COMMON = FOLDER / "mint-.service.d" / "10-common.conf"

Sections = dict[str, dict[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit: section -> key -> its values in order (a key may stand more than once)."""

    name: str
    sections: Sections

    def last(self, section: str, key: str) -> str:
        """The value that counts, or ""."""
        return self.sections.get(section, {}).get(key, [""])[-1]

    def words(self, section: str, key: str) -> list[str]:
        """All values of a list-like key."""
        return " ".join(self.sections.get(section, {}).get(key, [])).split()

    @property
    def command(self) -> list[str]:
        """What it executes."""
        return shlex.split(self.last("Service", "ExecStart"))


def parse(*files: Path) -> Sections:
    """Files one after the other, as a unit and its drop-ins."""
    sections: Sections = {}
    for file in files:
        current: dict[str, list[str]] = {}
        for line in file.read_text().splitlines():
            if line.startswith("["):
                current = sections.setdefault(line.strip("[]"), {})
            elif line and not line.startswith("#"):
                key, _, value = line.partition("=")
                current.setdefault(key, []).append(value)
    return sections


def services() -> dict[str, Unit]:
    """Every service, without ".service"."""
    files = sorted(FOLDER.glob("mint-*.service"))
    return {file.stem: Unit(file.stem, parse(file, COMMON)) for file in files}
