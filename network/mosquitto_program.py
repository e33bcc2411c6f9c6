"""The mosquitto program of this machine: where it is, how old it is, and whom it can run as."""

from __future__ import annotations

import logging
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mint.errors import MachineError

# Where deploy/setup.sh unpacks Debian's package when it may not install it.
UNPACKED = Path(__file__).resolve().parent.parent / ".tools" / "mosquitto"
# Before 2.0 there is no packet limit in CONNACK, and other rules for listeners and users.
OLDEST = (2, 0)
HOW_TO_INSTALL = "run `make setup`, or as root: apt-get install mosquitto"
# `mosquitto -h` takes some milliseconds; on a Raspberry Pi with a cold card, a second.
ASK_S = 10.0

_log = logging.getLogger("mint.broker")


@dataclass(frozen=True, slots=True)
class Program:
    """The mosquitto program: its path, the environment it needs, and its version (None: it does not say)."""

    path: Path
    environment: dict[str, str]
    version: tuple[int, ...] | None


def find_mosquitto(search: str | None = None, unpacked: Path = UNPACKED) -> Program:
    """The mosquitto of this machine, or else the project's own unpacked copy.

    `search`: folders to look in, as in PATH (which is the default, and Debian's /usr/sbin). An old version is said
    aloud.

    Raises:
        MachineError: there is none, or it does not run.
    """
    if search is None:
        search = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    environment = {"PATH": search, "LANG": "C.UTF-8"}
    if found := shutil.which("mosquitto", path=search):
        path = Path(found)
    else:
        path = unpacked / "usr" / "sbin" / "mosquitto"
        if not path.is_file():
            raise MachineError("there is no mosquitto (MinT's MQTT broker) here", HOW_TO_INSTALL)
        libraries = [*unpacked.glob("usr/lib/*-linux-gnu*"), *unpacked.glob("lib/*-linux-gnu*")]
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(str(folder) for folder in libraries)
    try:
        said = subprocess.run(
            [path, "-h"], env=environment, capture_output=True, text=True, timeout=ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"{path} does not run ({error})", HOW_TO_INSTALL) from None
    match = re.match(r"mosquitto version (\d+(?:\.\d+)*)", said.stdout)
    if match is None and said.returncode not in (0, 3):  # -h ends with 3
        raise MachineError(f"{path} does not run ({said.stderr.strip()[:200]})", HOW_TO_INSTALL)
    version = tuple(int(part) for part in match[1].split(".")) if match else None
    if version is None or version < OLDEST:
        shown = ".".join(map(str, version)) if version else "of unknown version"
        _log.warning("%s is %s; MinT is made for 2.0.11 and later, and may not work with it", path, shown)
    return Program(path, environment, version)


def unprivileged_user(program: Path) -> pwd.struct_passwd | None:
    """Whom Mosquitto runs as when we are root: Debian's user for it, or nobody; None where those cannot reach it."""
    path = program.resolve()
    if not all(part.stat().st_mode & 0o001 for part in (path, *path.parents)):
        _log.warning("%s is in a folder closed to others: the broker runs as root", path)
        return None
    for name in ("mosquitto", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None
