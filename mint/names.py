"""Names and roles: what a node, a miner, a device or a fog may be called, and what a node may be.

A name becomes an MQTT topic level, a cgroup folder, a file name and a certificate's common name, so it keeps
to the characters that are safe in all four.
"""

from __future__ import annotations

import re
from enum import StrEnum

from mint.errors import InputError

# 32 characters: a systemd slice, a Docker name and an MQTT level all hold that with a prefix to spare.
NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
NAME_RULE = "use 1 to 32 of a-z, 0-9 and _, beginning with a letter or digit"


class Role(StrEnum):
    """What a node is; the charter gives every node exactly one."""

    OPERATOR = "operator"
    MANAGER = "manager"
    AGENT = "agent"
    DETECTOR = "detector"
    ENFORCER = "enforcer"
    CONSOLE = "console"


def is_name(text: str) -> bool:
    """Whether `text` may name a node, miner, device or fog."""
    return NAME.fullmatch(text) is not None


def checked_name(text: str, where: str) -> str:
    """`text` itself.

    Raises:
        InputError: it is not a name; `where` says what held it.
    """
    if not is_name(text):
        raise InputError(where, f"{text!r} is not a name", NAME_RULE)
    return text


def scope(network: bytes) -> str:
    """What a network's cgroups and containers are filed under on a device: 12 hex digits of its id."""
    return network.hex()[:12]
