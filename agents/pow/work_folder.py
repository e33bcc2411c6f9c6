"""Where a device's agent and its miners meet: a folder a miner, with a socket in it that the agent listens on.

    STATE/../exchange/SCOPE/MINER/socket

STATE is the `--state` folder of agent and miners' service: both have theirs in one folder, and so find the same place.
SCOPE's folder is closed to all but their user, so that no other user of the device comes by. A miner's own folder and
its socket are open, for a container's user is nobody: it sees only the one folder that is mounted into it, read-only.
The folder is mounted and not the socket, which an agent that starts again makes anew; so folders are never removed.
"""

from __future__ import annotations

from pathlib import Path

from mint.errors import MachineError

SOCKET = "socket"
# Where a container finds its folder.
MOUNTED = "/exchange"


def exchange_folder(state: Path, scope: str) -> Path:
    """The folder of all miners of `scope`, from the `--state` folder of agent or miners' service."""
    return state.resolve().parent / "exchange" / scope


def socket_of(exchange: Path, miner: str) -> Path:
    """The socket of a miner."""
    return exchange / miner / SOCKET


def options(exchange: Path | None, miner: str) -> tuple[str, ...]:
    """What a miner's process is started with: where its work is, or nothing without an exchange of work."""
    return () if exchange is None else ("--work", str(socket_of(exchange, miner)))


def make_folder(exchange: Path, miner: str) -> Path:
    """The folder of a miner, made if it is not there; whoever of the two comes first makes it.

    Raises:
        MachineError: it cannot be made, or belongs to another user.
    """
    folder = exchange / miner
    try:
        exchange.mkdir(parents=True, exist_ok=True)
        exchange.chmod(0o700)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # whatever the umask
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be made ({error.strerror})",
            "run agent and miners as one user, who may write there",
        ) from error
    return folder
