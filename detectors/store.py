"""A detector's memory: its last vote and everything later votes depend on, in one file, on disk before it votes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mint.errors import InputError
from mint.files import write_atomic

FILE = "memory.json"
FORMAT = 3


@dataclass(frozen=True, slots=True)
class Memory:
    """`number` and `head`: the frame that `state` (DetectorCore.state) is of; `vote`: the last one cast, if any."""

    number: int
    head: bytes
    state: dict[str, Any]
    vote: bytes


class MemoryStore:
    """The file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def save(self, memory: Memory) -> None:
        """On disk when this returns (integers of any size and floats are exact in JSON as Python writes it)."""
        data = {
            "format": FORMAT,
            "number": memory.number,
            "head": memory.head.hex(),
            "vote": memory.vote.hex(),
            "state": memory.state,
        }
        write_atomic(self._path, json.dumps(data, separators=(",", ":")).encode())

    def load(self) -> Memory | None:
        """What was saved last; None when nothing was.

        Raises:
            InputError: the file is damaged. Voting on without it could contradict an earlier vote.
        """
        try:
            data = json.loads(self._path.read_bytes())
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']}")
            return Memory(
                data["number"], bytes.fromhex(data["head"]), data["state"], bytes.fromhex(data["vote"])
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                str(self._path),
                f"cannot be read ({error})",
                "restore it, or give this detector a new key and remove it",
            ) from None
