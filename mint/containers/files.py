"""Kernel files of a cgroup: read cheaply, written once, errors that name file and miner."""

from __future__ import annotations

import os
from pathlib import Path

from mint.errors import ContainerError

# Counter files are a page at most, io.stat a line a disk: 64 KiB is some five hundred disks.
READ_BYTES = 65536


class Files:
    """The open counter files of one cgroup, at most as many as `names`; not thread-safe.

    Kept open because opening costs several times what reading does. `epoch` is the inode of the first name's
    file: a cgroup that was removed and made anew has another one, and then all are opened again.
    """

    def __init__(self, miner: str, names: dict[str, Path]) -> None:
        self._miner, self._names = miner, names
        self._first = next(iter(names))
        self._fds: dict[str, int] = {}
        self.epoch = 0

    def ready(self) -> None:
        """Open what is to be opened; afterwards `epoch` is that of the cgroup being read.

        Raises:
            ContainerError: the cgroup is gone.
        """
        path = self._names[self._first]
        try:
            inode = path.stat().st_ino
        except OSError as error:
            self.close()
            raise _failed("cannot be read", path, self._miner, error) from error
        if self._fds and inode == self.epoch:
            return
        self.close()
        for name, file in self._names.items():
            try:
                self._fds[name] = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:  # a controller that this machine lacks; the first file must be there
                if name == self._first:
                    raise _failed("cannot be read", file, self._miner, error) from error
        self.epoch = os.fstat(self._fds[self._first]).st_ino

    def read(self, name: str) -> bytes:
        """The file's content; b"" if this machine has no such file.

        Raises:
            ContainerError: the cgroup went away in between.
        """
        fd = self._fds.get(name)
        if fd is None:
            return b""
        try:
            return os.pread(fd, READ_BYTES, 0)
        except OSError as error:
            raise _failed("cannot be read", self._names[name], self._miner, error) from error

    def close(self) -> None:
        """Close all."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def __del__(self) -> None:
        self.close()


def read_text(file: Path, miner: str) -> str:
    """A file's content, stripped.

    Raises:
        ContainerError: it cannot be read.
    """
    try:
        return file.read_text().strip()
    except OSError as error:
        raise _failed("cannot be read", file, miner, error) from error


def read_text_or(file: Path, otherwise: str) -> str:
    """A file's content, stripped, or `otherwise` where there is no such file."""
    try:
        return file.read_text().strip()
    except OSError:
        return otherwise


def write_text(file: Path, text: str, miner: str) -> None:
    """Write a kernel file in one write.

    Raises:
        ContainerError: the kernel refuses.
    """
    try:
        file.write_text(text)
    except OSError as error:
        raise _failed(f"does not take {text!r}", file, miner, error) from error


def number(text: bytes | str, file: Path, miner: str) -> int:
    """A kernel file's whole content as an integer.

    Raises:
        ContainerError: it is none.
    """
    try:
        return int(text)
    except ValueError as error:
        raise ContainerError(f"{file} of miner {miner} holds {text!r}, not a number") from error


def keyed(text: bytes) -> dict[bytes, int]:
    """A "flat keyed" kernel file (`name number` a line) as a dictionary; other lines are passed over."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def processes(folder: Path) -> tuple[int, ...]:
    """Every process in a cgroup and below; () where there is no such cgroup."""
    found: set[int] = set()
    for cgroup, _, files in os.walk(folder):
        if "cgroup.procs" in files:
            found.update(int(pid) for pid in read_text_or(Path(cgroup, "cgroup.procs"), "").split())
    return tuple(sorted(found))


def remove_tree(folder: Path) -> None:
    """Remove a cgroup and all below, deepest first; what is gone or still in use is left."""
    for cgroup, _, _ in os.walk(folder, topdown=False):
        try:
            Path(cgroup).rmdir()
        except OSError:
            continue


def _failed(what: str, file: Path, miner: str, error: OSError) -> ContainerError:
    return ContainerError(f"{file} of miner {miner} {what}: {error.strerror or error}")
