"""A network's own certificate authority, and the certificates (X.509, Ed25519, RFC 5280 and 8410) that it issues.

The broker knows a client by its certificate's common name, which is the node's name: one certificate a process.
Nothing but the network's own CA is trusted, on either side, and nothing below TLS 1.3 is spoken.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mint.errors import InputError
from mint.files import write_atomic
from mint.names import checked_name

# A device without a battery-backed clock may be a day behind until it hears the time.
SKEW = datetime.timedelta(days=1)
# The CA outlives the hardware that it was made for; leaves are renewed every other year, with time to notice.
CA_LIFE = datetime.timedelta(days=3650)
LEAF_LIFE = datetime.timedelta(days=730)
# RFC 5280's upper bound for a common name.
MAX_COMMON_NAME = 64

CA_CERT, CA_KEY = "ca.pem", "ca.key"
# The broker is always reachable from its own machine.
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
ANEW = "make it anew with `mint init` or `mint enroll`"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key, PEM."""

    cert: bytes
    key: bytes

    def save(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write `name`.pem (0644) and `name`.key (0600) into `folder` (made with 0700); their paths.

        Raises:
            InputError: the folder cannot be written.
        """
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        _write(key, self.key, 0o600)
        _write(cert, self.cert, 0o644)
        return cert, key


class Authority:
    """The network's CA: whoever holds its key says who belongs to the network."""

    def __init__(self, cert: x509.Certificate, key: Ed25519PrivateKey) -> None:
        self._cert, self._key = cert, key

    @property
    def cert(self) -> bytes:
        """The CA's certificate, PEM: what everyone trusts."""
        return self._cert.public_bytes(Encoding.PEM)

    @classmethod
    def new(cls, network: str, now: datetime.datetime | None = None) -> Authority:
        """A CA with a new key; `network` is part of its name, for people."""
        key = Ed25519PrivateKey.generate()
        name = _name(f"MinT {network}"[:MAX_COMMON_NAME])
        builder = _builder(name, name, key, CA_LIFE, now)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(ca=True), critical=True)
        return cls(builder.sign(key, None), key)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """The CA saved in `folder`.

        Raises:
            InputError: a file is missing, unreadable, readable by others, or not what it should be.
        """
        cert = load_certificate(folder / CA_CERT)
        path = folder / CA_KEY
        key = _load_key(path)
        if key.public_key() != cert.public_key():
            raise InputError(
                str(path), f"is not the key of {folder / CA_CERT}", "put back the pair that belongs together"
            )
        return cls(cert, key)

    def save(self, folder: Path) -> None:
        """Write ca.pem (0644) and ca.key (0600) into `folder` (made with 0700).

        Raises:
            InputError: the folder cannot be written.
        """
        _write(folder / CA_KEY, _key_pem(self._key), 0o600)
        _write(folder / CA_CERT, self.cert, 0o644)

    def issue_client(self, name: str, now: datetime.datetime | None = None) -> Issued:
        """A certificate for the node `name`, to connect with.

        Raises:
            InputError: `name` is not a node's name.
        """
        checked_name(name, "certificate")
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, (), now)

    def issue_server(self, hosts: Iterable[str] = (), now: datetime.datetime | None = None) -> Issued:
        """A certificate for the broker, good for this machine's loopback names and for `hosts` (names or addresses).

        Raises:
            InputError: a host is neither a name nor an address.
        """
        names = [_alternative(host) for host in dict.fromkeys((*LOCAL_HOSTS, *hosts))]
        return self._issue("broker", ExtendedKeyUsageOID.SERVER_AUTH, names, now)

    def _issue(
        self,
        name: str,
        purpose: x509.ObjectIdentifier,
        alternatives: Sequence[x509.GeneralName],
        now: datetime.datetime | None,
    ) -> Issued:
        key = Ed25519PrivateKey.generate()
        builder = _builder(_name(name), self._cert.subject, key, LEAF_LIFE, now)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(ca=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        ca_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(ca_key_id, critical=False)
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return Issued(builder.sign(self._key, None).public_bytes(Encoding.PEM), _key_pem(key))


def load_certificate(path: Path) -> x509.Certificate:
    """The certificate in a PEM file (`not_valid_after_utc` says when to renew it).

    Raises:
        InputError: no such file, or no certificate in it.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError:
        raise InputError(
            str(path), "is not a PEM certificate", "make it anew with `mint init` or `mint enroll`"
        ) from None


def client_context(ca: Path, cert: Path, key: Path) -> ssl.SSLContext:
    """What a client needs: TLS 1.3, the network's CA and no other, its own certificate, host names checked.

    Raises:
        InputError: a file is missing, wrong, readable by others (the key), or the pair does not belong together.
    """
    load_certificate(ca)
    load_certificate(cert)
    _load_key(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cafile=ca)
        context.load_cert_chain(cert, key)
    except ssl.SSLError as error:
        raise InputError(
            f"{cert}, {key}",
            f"certificate and key do not work together ({error.reason})",
            "put back the pair that belongs together, or make it anew with `mint enroll`",
        ) from None
    return context


def _load_key(path: Path) -> Ed25519PrivateKey:
    try:
        if path.stat().st_mode & 0o077:
            raise InputError(str(path), "others may read this private key", f"run: chmod 600 {path}")
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise _unreadable(path, error) from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(
            str(path),
            "is not an Ed25519 private key in PEM",
            "make it anew with `mint init` or `mint enroll`",
        )
    return key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Ed25519PrivateKey,
    life: datetime.timedelta,
    now: datetime.datetime | None,
) -> x509.CertificateBuilder:
    now = now or datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not host or not host.isascii() or any(c.isspace() or c in "/:*" for c in host):
        raise InputError(
            "broker host",
            f"{host!r} is neither a host name nor an address",
            "give it as in broker.lan or 10.0.0.5",
        )
    return x509.DNSName(host)


def _key_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, data, mode)
    except OSError as error:
        raise InputError(
            str(path), f"cannot be written ({error.strerror})", "choose a folder of your own"
        ) from None


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        str(path), f"cannot be read ({error.strerror})", "make it with `mint init` or `mint enroll`"
    )
