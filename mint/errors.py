"""Every exception MinT raises on purpose, grouped by who is at fault.

A person sees `str(error)` as one line: what was wrong, where, and what to do about it. The exit code is the
one `mint` ends with when the error reaches the top.
"""

from __future__ import annotations

from enum import StrEnum


class MintError(Exception):
    """Base of all; exit code 1: it should have worked and did not."""

    exit_code = 1


def cause_of(error: BaseException) -> BaseException:
    """The first error of a group of them (tasks that ran side by side), or the error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


# --- the person's input -----------------------------------------------------------------------------


class InputError(MintError):
    """A file, option or environment variable is wrong; exit code 2.

    `where` names the place (file, line, key or option), `mend` what to do.
    """

    exit_code = 2

    def __init__(self, where: str, wrong: str, mend: str) -> None:
        super().__init__(f"{where}: {wrong}; {mend}")
        self.where, self.wrong, self.mend = where, wrong, mend


# --- this machine -----------------------------------------------------------------------------------


class MachineError(MintError):
    """This machine lacks something (a program, a right, a kernel feature); exit code 3."""

    exit_code = 3

    def __init__(self, missing: str, mend: str) -> None:
        super().__init__(f"{missing}; {mend}")
        self.missing, self.mend = missing, mend


class ContainerError(MintError):
    """A miner's container or cgroup could not be read or written (it may just have gone)."""


class BusError(MintError):
    """The broker refused or could not be reached; carries the MQTT reason where there is one."""

    def __init__(self, what: str, reason: str = "") -> None:
        super().__init__(f"{what} ({reason})" if reason else what)
        self.reason = reason


# --- another component ------------------------------------------------------------------------------


class Reason(StrEnum):
    """Why a message was rejected: the label of the counter that says so."""

    OVERSIZE = "oversize"
    MALFORMED = "malformed"
    UNKNOWN_SENDER = "unknown_sender"
    WRONG_ROLE = "wrong_role"
    WRONG_TOPIC = "wrong_topic"
    WRONG_KIND = "wrong_kind"
    BAD_SIGNATURE = "bad_signature"
    OLD_SESSION = "old_session"
    REPLAYED = "replayed"
    WRONG_TIME = "wrong_time"
    WRONG_NETWORK = "wrong_network"
    UNKNOWN_CHARTER = "unknown_charter"
    OLD_CHARTER = "old_charter"
    BAD_CHAIN = "bad_chain"
    NO_QUORUM = "no_quorum"
    NOT_PROVEN = "not_proven"
    IMPOSSIBLE = "impossible"
    TOO_OFTEN = "too_often"
    TOO_LITTLE_WORK = "too_little_work"
    FUTURE = "future"
    STALE = "stale"
    ORPHAN = "orphan"
    BARRED = "barred"


class Rejected(MintError):
    """A message is not acceptable; it is counted by `reason` and dropped, and nothing stops."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
