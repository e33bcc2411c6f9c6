"""The network's CA and what it issues, checked with the system's TLS and by its rules."""

from __future__ import annotations

import datetime
import ssl
import stat
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from mint.certificates import Authority, client_context, load_certificate
from mint.errors import InputError

NOW = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)


def handshake(
    client: ssl.SSLContext, server: ssl.SSLContext, host: str
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A TLS handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=host)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (here, there):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return here, there


def server_context(authority: Authority, folder: Path, hosts: tuple[str, ...] = ()) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue_server(hosts).save(folder, "broker"))
    context.load_verify_locations(cadata=authority.cert.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority.new("test")
    made.save(tmp_path / "ca")
    made.issue_client("pi1").save(tmp_path / "keys", "pi1")
    return made


def context(folder: Path, ca: str = "ca") -> ssl.SSLContext:
    return client_context(folder / ca / "ca.pem", folder / "keys" / "pi1.pem", folder / "keys" / "pi1.key")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "broker.lan", "10.0.0.5"])
def test_both_sides_know_each_other_over_tls_1_3(authority: Authority, tmp_path: Path, host: str) -> None:
    server = server_context(authority, tmp_path, ("broker.lan", "10.0.0.5", "localhost"))
    here, there = handshake(context(tmp_path), server, host)
    assert here.version() == "TLSv1.3"
    peer = there.getpeercert()
    assert peer is not None
    assert peer["subject"] == ((("commonName", "pi1"),),)


def test_another_host_or_another_network_is_refused(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(context(tmp_path), server_context(authority, tmp_path), "other.lan")
    with pytest.raises(
        ssl.SSLCertVerificationError, match=r"self-signed|unable to get local issuer|signature"
    ):
        handshake(context(tmp_path), server_context(Authority.new("other"), tmp_path), "localhost")


def test_a_client_certificate_makes_no_broker(authority: Authority, tmp_path: Path) -> None:
    server = server_context(authority, tmp_path)
    server.load_cert_chain(*authority.issue_client("localhost").save(tmp_path, "false_broker"))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)unsuitable|purpose|mismatch"):
        handshake(context(tmp_path), server, "localhost")


def test_a_certificate_is_for_one_purpose(authority: Authority) -> None:
    for issued, purpose in (
        (authority.issue_server(["broker.lan"]), ExtendedKeyUsageOID.SERVER_AUTH),
        (authority.issue_client("pi1"), ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        leaf = x509.load_pem_x509_certificate(issued.cert)
        assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [purpose]
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        assert (usage.digital_signature, usage.key_cert_sign) == (True, False)


def test_a_clock_that_is_hours_behind_does_not_matter() -> None:
    authority = Authority.new("test", NOW)
    leaf = x509.load_pem_x509_certificate(authority.issue_client("pi1", NOW).cert)
    assert leaf.not_valid_before_utc == NOW - datetime.timedelta(days=1)
    assert leaf.not_valid_after_utc == NOW + datetime.timedelta(days=730)


def test_files_are_for_their_owner(authority: Authority, tmp_path: Path) -> None:
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "ca").iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600}
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700
    again = Authority.load(tmp_path / "ca")
    load_certificate(tmp_path / "keys" / "pi1.pem").verify_directly_issued_by(
        x509.load_pem_x509_certificate(again.cert)
    )


def break_key_mode(folder: Path) -> None:
    (folder / "keys" / "pi1.key").chmod(0o640)


def break_key(folder: Path) -> None:
    (folder / "keys" / "pi1.key").write_bytes(b"\x00nonsense")


def break_cert(folder: Path) -> None:
    (folder / "keys" / "pi1.pem").write_bytes(b"")


def other_key(folder: Path) -> None:
    Authority.new("x").issue_client("pi1").save(folder / "keys", "other")
    (folder / "keys" / "other.key").replace(folder / "keys" / "pi1.key")


def rsa_key(folder: Path) -> None:
    key = generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "keys" / "pi1.key").write_bytes(pem)


def no_ca(folder: Path) -> None:
    (folder / "ca" / "ca.pem").unlink()


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        (break_key_mode, "pi1.key: others may read"),
        (break_key, "pi1.key: is not an Ed25519"),
        (rsa_key, "pi1.key: is not an Ed25519"),
        (break_cert, "pi1.pem: is not a PEM"),
        (other_key, "pi1.key: certificate and key do not"),
        (no_ca, "ca.pem: cannot be read"),
    ],
)
def test_a_wrong_file_is_named(authority: Authority, tmp_path: Path, damage, place: str) -> None:  # type: ignore[no-untyped-def]
    damage(tmp_path)
    with pytest.raises(InputError, match=place):
        context(tmp_path)


def test_a_ca_whose_parts_do_not_match_is_refused(authority: Authority, tmp_path: Path) -> None:
    Authority.new("other").save(tmp_path / "other")
    (tmp_path / "other" / "ca.key").replace(tmp_path / "ca" / "ca.key")
    with pytest.raises(InputError, match="is not the key of"):
        Authority.load(tmp_path / "ca")


@pytest.mark.parametrize("host", ["", "two words", "*.lan", "a/b", "ümlaut", "host:1"])
def test_a_host_that_is_none_is_refused(authority: Authority, host: str) -> None:
    with pytest.raises(InputError, match="broker host"):
        authority.issue_server([host])


def test_a_name_that_is_none_is_refused(authority: Authority) -> None:
    with pytest.raises(InputError, match="not a name"):
        authority.issue_client("../x")


def test_a_folder_that_cannot_be_written_is_said(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        authority.save(tmp_path / "file" / "ca")
