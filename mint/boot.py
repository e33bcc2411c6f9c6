"""Which uptime of this machine this is: monotonic times compare only within one."""

from __future__ import annotations

import uuid
from pathlib import Path

from mint.errors import MachineError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id(file: Path = BOOT_ID) -> bytes:
    """This uptime's id, 16 bytes, as samples carry it.

    Raises:
        MachineError: the kernel does not tell.
    """
    try:
        return uuid.UUID(file.read_text().strip()).bytes
    except (OSError, ValueError) as error:
        raise MachineError(
            f"{file} cannot be read ({error})", "run MinT on Linux with /proc mounted"
        ) from None
