"""The broker's folder for a host of its own: Mosquitto starts from it as its unit starts it, and knows its names."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mint.certificates import client_context
from mint.charter.seal import SealedCharter
from mint.errors import InputError
from mint.node import CA_CERTIFICATE, TLS_CERTIFICATE, TLS_KEY
from network.deployment import write_broker
from network.founding import Plan, found, new_operator
from network.layout import Layout
from network.mosquitto_program import Program

HOST = "fog.example"


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SealedCharter]:
    layout = Layout(tmp_path_factory.mktemp("founded"))
    return layout.root, found(layout, Plan("test", miners=2, cpu=0.1), new_operator(layout))


@pytest.fixture
def fleet(founded: tuple[Path, SealedCharter], tmp_path: Path) -> tuple[Layout, SealedCharter]:
    """An operator's folder, as `mint init` makes it."""
    root, charter = founded
    return Layout(shutil.copytree(root, tmp_path / "fleet")), charter


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def as_the_unit_does(program: Program, folder: Path) -> Iterator[None]:
    """Mosquitto in that folder, without root, and ready when it says so to the service manager (Type=notify)."""
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid if path.name == "data" else 0, user.pw_gid)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")  # Linux picks an abstract name, which needs no folder that both may enter
        manager.settimeout(20)
        name = manager.getsockname().decode().replace("\0", "@")
        with subprocess.Popen(
            [program.path, "-c", "mosquitto.conf"],
            cwd=folder,
            env=program.environment | {"NOTIFY_SOCKET": name},
            user=user.pw_uid if os.geteuid() == 0 else None,
            group=user.pw_gid if os.geteuid() == 0 else None,
        ) as process:
            try:
                assert b"READY=1" in manager.recv(4096)
                yield
            finally:
                process.terminate()
                process.wait(timeout=10)


def test_mosquitto_starts_from_it_and_proves_its_name(
    fleet: tuple[Layout, SealedCharter], tmp_path: Path, mosquitto_program: Program
) -> None:
    layout, sealed = fleet
    folder, port = tmp_path / "broker", free_port()
    write_broker(layout, sealed, folder, [HOST, "192.0.2.7"], port)
    keys = layout.keys("manager")
    context = client_context(keys / CA_CERTIFICATE, keys / TLS_CERTIFICATE, keys / TLS_KEY)
    with as_the_unit_does(mosquitto_program, folder):
        for name in (HOST, "192.0.2.7"):
            with (
                socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
                context.wrap_socket(plain, server_hostname=name) as secured,
            ):
                assert secured.version() == "TLSv1.3"
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(plain, server_hostname="elsewhere.example")


def test_it_holds_what_the_broker_needs_and_no_more(
    fleet: tuple[Layout, SealedCharter], tmp_path: Path
) -> None:
    layout, sealed = fleet
    folder = tmp_path / "broker"
    write_broker(layout, sealed, folder, [HOST])
    assert {path.name for path in folder.iterdir()} == {
        "mosquitto.conf", "acl", "ca.pem", "broker.pem", "broker.key", "data",
    }  # fmt: skip
    assert "listener 8883 0.0.0.0" in (folder / "mosquitto.conf").read_text()
    assert "user manager" in (folder / "acl").read_text()
    assert (folder / "broker.key").stat().st_mode & 0o007 == 0


def test_it_can_be_renewed_in_place(fleet: tuple[Layout, SealedCharter], tmp_path: Path) -> None:
    layout, sealed = fleet
    folder = tmp_path / "broker"
    write_broker(layout, sealed, folder, [HOST])
    (folder / "data" / "mosquitto.db").write_text("kept")
    before = (folder / "broker.pem").read_bytes()
    write_broker(layout, sealed, folder, [HOST])
    assert (folder / "broker.pem").read_bytes() != before
    assert (folder / "data" / "mosquitto.db").read_text() == "kept"


@pytest.mark.parametrize(
    "hosts", [[], ["localhost"], ["127.0.0.1", "::1"]], ids=["none", "name", "addresses"]
)
def test_a_broker_nobody_can_reach_is_refused(
    fleet: tuple[Layout, SealedCharter], tmp_path: Path, hosts: list[str]
) -> None:
    with pytest.raises(InputError, match="--host"):
        write_broker(*fleet, tmp_path / "broker", hosts)


def test_a_folder_that_cannot_be_written_is_named(
    fleet: tuple[Layout, SealedCharter], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_broker(*fleet, tmp_path / "file" / "broker", [HOST])
