"""A TLS connection to the broker, made without a thread and without leaving a socket behind when it fails."""

from __future__ import annotations

import asyncio
import socket
import ssl

from mint.errors import BusError


async def dial(host: str, port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A non-blocking socket to `host`:`port` on which the TLS handshake is done; the caller closes it.

    Raises:
        BusError: no address answers, or the broker's certificate is not of this network.
    """
    loop = asyncio.get_running_loop()
    try:
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BusError(f"no address for the broker's host {host!r}", str(error)) from error
    failures: list[str] = []
    for family, kind, protocol, _, address in addresses:
        raw = socket.socket(family, kind, protocol)
        try:
            raw.setblocking(False)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(raw, address)
            return await _secure(loop, raw, context, host)
        except ssl.SSLCertVerificationError as error:
            raise BusError(
                f"{host}:{port} is not this network's broker: its certificate is not accepted",
                error.verify_message,
            ) from error
        except OSError as error:  # ssl.SSLError is one too
            failures.append(error.strerror or str(error))
        finally:
            raw.close()  # nothing is left in it once TLS has taken it over
    raise BusError(f"no broker answers at {host}:{port}", ", ".join(dict.fromkeys(failures)))


async def _secure(
    loop: asyncio.AbstractEventLoop, raw: socket.socket, context: ssl.SSLContext, host: str
) -> ssl.SSLSocket:
    """`raw` under TLS; it is taken over (detached), whatever happens."""
    tls = context.wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            ready: asyncio.Future[None] = loop.create_future()
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                loop.add_reader(tls, _set, ready)
            except ssl.SSLWantWriteError:
                loop.add_writer(tls, _set, ready)
            else:
                return tls
            try:
                await ready
            finally:
                loop.remove_reader(tls)
                loop.remove_writer(tls)
    except BaseException:
        tls.close()
        raise


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
