"""C compiled on the machine that runs it: once for each version of a source, where nobody else may change it."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mint.errors import MachineError

TIMEOUT_S = 300  # 2 s on a PC; a Raspberry Pi Zero under load is a hundred times slower
# What /proc/cpuinfo calls the instructions that a processor knows, on x86 and on Arm.
INSTRUCTIONS = ("flags", "Features")


def compiled(
    source: Path, cache: Path, flags: Sequence[str], mend: str, *, includes: Sequence[Path] = ()
) -> Path:
    """The program or library made of `source`, in the folder `cache`; compiled only if it is not there yet.

    Its name holds a hash of all that it depends on: compiler, machine, flags, source, what of ours the source
    `includes`, and with -march=native the processor's instructions, for a folder may be shared by unlike machines.

    Raises:
        MachineError: there is no compiler, or it fails; `mend` says what to do when it fails.
        OSError: `cache` cannot be written to.
    """
    compiler = os.environ.get("CC", "cc")
    words = [compiler, platform.machine(), *flags]
    if "-march=native" in flags:
        words.append(_instructions())
    recipe = "\0".join(words).encode() + b"".join(file.read_bytes() for file in (source, *includes))
    made = cache / f"{source.stem}-{hashlib.sha256(recipe).hexdigest()[:16]}"
    if made.exists():
        return made
    if shutil.which(compiler) is None:
        raise MachineError(f"no C compiler ({compiler}) here", "install one: apt-get install gcc libc6-dev")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        fresh = Path(folder, made.name)
        try:
            ran = subprocess.run(
                [compiler, *flags, "-o", str(fresh), str(source)],
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MachineError(
                f"{compiler} took over {TIMEOUT_S} s", "see what else this machine does"
            ) from error
        if ran.returncode:
            lines = ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"]
            raise MachineError(f"{compiler} could not compile {source.name}: {lines[0]}", mend)
        fresh.chmod(0o755)  # whatever the umask: `ours_alone` holds for it
        fresh.replace(made)  # at once, whoever else compiles the same
    return made


def _instructions() -> str:
    """What the first processor can do; empty where the kernel does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(INSTRUCTIONS)), "")


def ours_alone(path: Path) -> bool:
    """Whether nobody but root and this user can have put `path` there or can replace it.

    Each folder on the way to it, and itself, belongs to one of the two, and no other may write to it; a folder
    like /tmp may be written to by all, if it is sticky.

    Raises:
        OSError: `path` is not there.
    """
    place = path.resolve(strict=True)
    return all(_closed(part.stat()) for part in (place, *place.parents))


def _closed(status: os.stat_result) -> bool:
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    return status.st_uid in {0, os.geteuid()} and (not shared or bool(sticky))
