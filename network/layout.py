"""Where a network's files lie on the machine that founded it (`mint init`, `mint up`, `mint demo`).

DIR/mint-network         marks the folder as ours
DIR/operator.key .pub    the root of trust; keep the key off-line in a fleet
DIR/charter.toml         the charter as people edit it
DIR/charter.signed       the same, signed
DIR/ca/                  the certificate authority of the bus
DIR/nodes/NODE/          what to copy to the machine of NODE: its `--keys` folder
DIR/state/NODE/          its `--state` folder, where it runs here
DIR/broker/              the private Mosquitto
DIR/miners/              programs and duty folders of the miners that run here
DIR/logs/                what each component said
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mint.errors import InputError

MARK = "mint-network"
# Held while a network runs in the folder, and while the operator's files are changed (which may be at that time).
RUNNING, EDITING = "lock", "edit.lock"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one network."""

    root: Path

    @property
    def mark(self) -> Path:
        """Marks the folder as a network's."""
        return self.root / MARK

    @property
    def operator_key(self) -> Path:
        """The operator's private key."""
        return self.root / "operator.key"

    @property
    def operator_public(self) -> Path:
        """The operator's public key, hex."""
        return self.root / "operator.pub"

    @property
    def charter_toml(self) -> Path:
        """The charter as people edit it."""
        return self.root / "charter.toml"

    @property
    def charter(self) -> Path:
        """The signed charter."""
        return self.root / "charter.signed"

    @property
    def authority(self) -> Path:
        """The certificate authority."""
        return self.root / "ca"

    @property
    def broker(self) -> Path:
        """The private broker's files."""
        return self.root / "broker"

    @property
    def miners(self) -> Path:
        """Programs and duty folders of the miners."""
        return self.root / "miners"

    @property
    def logs(self) -> Path:
        """What each component said."""
        return self.root / "logs"

    def keys(self, node: str) -> Path:
        """The `--keys` folder of a node."""
        return self.root / "nodes" / node

    def state(self, node: str) -> Path:
        """The `--state` folder of a node."""
        return self.root / "state" / node

    @contextmanager
    def locked(self, what: str = RUNNING) -> Iterator[None]:
        """Hold the folder for this process alone (`what`: RUNNING or EDITING); made where there is none.

        Raises:
            InputError: another process holds it, it cannot be written, or it holds something else.
        """
        self._check_ours()
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.root / what, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InputError(
                str(self.root), f"cannot be written ({error.strerror})", "choose another --dir"
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise InputError(
                str(self.root), "is in use by another mint", "end that one, or choose another --dir"
            ) from None
        try:
            yield
        finally:
            os.close(handle)

    def _check_ours(self) -> None:
        """Refuse a folder that holds something else.

        Raises:
            InputError: it is there, and neither empty nor a network's.
        """
        try:
            # A folder above that we may not enter fails here too, with its reason.
            strange = (
                self.root.exists()
                and not self.mark.exists()
                and any(p.name not in (RUNNING, EDITING) for p in self.root.iterdir())
            )
        except OSError as error:
            raise InputError(
                str(self.root), f"cannot be read ({error.strerror})", "choose another --dir"
            ) from None
        if strange:
            raise InputError(
                str(self.root), "holds something else than a MinT network", "choose another --dir"
            )
