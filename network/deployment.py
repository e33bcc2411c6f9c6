"""The broker's folder for a host of its own: everything mint-broker.service or the compose file starts it from.

    FOLDER/mosquitto.conf  from mosquitto/mosquitto.conf, listening on every address
    FOLDER/acl             who may write and read what, from the charter's nodes
    FOLDER/ca.pem          the network's certificate authority, the public part
    FOLDER/broker.pem .key the broker's certificate, for the names by which devices reach it
    FOLDER/data/           empty: where its state is mounted

The folder is made where the operator's key and the authority are, and copied to the host; neither goes along.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from string import Template

from mint.certificates import CA_CERT, Authority
from mint.charter.seal import SealedCharter
from mint.errors import InputError
from mint.files import write_atomic
from network.acl import acl
from network.broker import TEMPLATE
from network.layout import Layout

# MQTT over TLS, as registered.
PORT = 8883
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - devices are elsewhere; TLS with client certificates guards the port
# Whom Mosquitto becomes when it is started as root; the units start it as this user at once.
USER = "mosquitto"


def write_broker(
    layout: Layout, sealed: SealedCharter, folder: Path, hosts: Sequence[str], port: int = PORT
) -> None:
    """Write `folder`, or renew it: access list, configuration, and a certificate for `hosts` (names or addresses).

    Raises:
        InputError: no host, a host that is neither a name nor an address, or a folder that cannot be written.
    """
    reachable = [host for host in hosts if not _is_loopback(host)]
    if not reachable:
        raise InputError(
            "--host", "no name by which devices reach the broker", "name at least one, like fog.local"
        )
    authority = Authority.load(layout.authority)
    issued = authority.issue_server(reachable)
    text = TEMPLATE.read_text(encoding="utf-8")
    config = Template(text).substitute(ADDRESS=EVERY_ADDRESS, PORT=port, USER=USER)
    access = acl([(node.name, node.role) for node in sealed.charter.nodes], sealed.topics())
    try:
        (folder / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o750)
        for name, data in {
            "mosquitto.conf": config.encode(),
            "acl": access.encode(),
            CA_CERT: authority.cert,
            "broker.pem": issued.cert,
            "broker.key": issued.key,
        }.items():
            # The group is Mosquitto's on the host (docs/operations.md); 2.0 warns of an access list open to others.
            write_atomic(folder / name, data, 0o640)
    except OSError as error:
        raise InputError(
            str(folder), f"cannot be written ({error.strerror})", "choose another folder"
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in {"localhost", "localhost.localdomain"}
