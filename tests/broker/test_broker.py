"""The private broker: found, started, watched, stopped; and what it takes from strangers."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
import stat
import sys
from pathlib import Path

import aiomqtt
import psutil
import pytest

import network.broker
from mint.bus import Subscription
from mint.bus.dial import dial
from mint.certificates import Authority, client_context, load_certificate
from mint.errors import BusError, InputError, MachineError
from network.broker import TEMPLATE, Broker
from network.mosquitto_program import find_mosquitto
from tests.broker.fog import TOPICS, Fog, eventually, receive

pytestmark = pytest.mark.usefixtures("mosquitto_program")


async def test_it_runs_without_privileges_on_loopback_with_files_of_its_own(fog: Fog) -> None:
    assert fog.broker.pid is not None
    process = psutil.Process(fog.broker.pid)
    assert process.uids().effective != 0 or os.geteuid() != 0
    assert {c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"} == {"127.0.0.1"}
    folder = fog.folder / "broker"
    assert stat.S_IMODE(folder.stat().st_mode) & 0o007 == 0
    for path in folder.iterdir():
        if path.suffix != ".log":
            assert stat.S_IMODE(path.stat().st_mode) & 0o027 == 0, path
    await eventually((folder / "broker.log").exists)


async def test_it_keeps_its_port_and_what_is_retained_over_a_restart(fog: Fog) -> None:
    port, pid = fog.broker.port, fog.broker.pid
    async with fog.bus("operator") as operator:
        await operator.publish(TOPICS.charter(), b"charter", retain=True)
        await fog.broker.restart()
        assert (fog.broker.port, fog.broker.pid != pid) == (port, True)
    async with fog.bus("console", subscriptions=[Subscription(TOPICS.charter())]) as console:
        assert [m.payload for m in await receive(console, 1)] == [b"charter"]


async def test_wait_returns_when_it_ends(fog: Fog) -> None:
    waiting = asyncio.create_task(fog.broker.wait())
    await asyncio.sleep(0)
    assert fog.broker.pid is not None
    os.kill(fog.broker.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        assert await waiting == -signal.SIGKILL
    assert fog.broker.pid is None
    with pytest.raises(MachineError, match="not running"):
        await fog.broker.reload("")


async def test_nobody_comes_in_without_a_certificate_or_below_tls_1_3(fog: Fog) -> None:
    broker = fog.broker
    anonymous = ssl.create_default_context(cadata=fog.authority.cert.decode())
    client = aiomqtt.Client(
        broker.address, broker.port, protocol=aiomqtt.ProtocolVersion.V5, tls_context=anonymous, timeout=1
    )
    with pytest.raises(aiomqtt.MqttError):
        await client.__aenter__()
    client._client._sock_close()
    await asyncio.sleep(0)
    old = ssl.create_default_context(cadata=fog.authority.cert.decode())
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(BusError, match="no broker answers"):
        await dial(broker.address, broker.port, old)


async def test_who_sends_more_than_a_packet_is_thrown_out_and_nobody_else(fog: Fog) -> None:
    context = client_context(*(getattr(fog.options("pi2"), part) for part in ("ca", "cert", "key")))
    async with fog.bus("pi1") as agent:
        await agent.connected.wait()
        flooder = aiomqtt.Client(
            fog.broker.address,
            fog.broker.port,
            identifier="pi2",
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=context,
            timeout=1,
        )
        with pytest.raises(aiomqtt.MqttError):
            async with flooder:
                await flooder.publish(TOPICS.sample("pi2"), bytes(3 * 2**20), qos=1)
        assert flooder._disconnected.exception() is not None  # aiomqtt does not look at it
        await agent.publish(TOPICS.sample("pi1"), b"still here")
        assert agent.counters["connections", ""] == 1


async def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = Broker(tmp_path / "b", Authority.new("x"), "", port=port)
        with pytest.raises(MachineError, match=f"port {port} on 127.0.0.1 is taken"):
            await broker.start()
        assert broker.pid is None


async def test_what_mosquitto_says_when_it_does_not_start_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong.conf"
    wrong.write_text(TEMPLATE.read_text() + "no_such_setting true\n")
    monkeypatch.setattr(network.broker, "TEMPLATE", wrong)
    with pytest.raises(MachineError, match="no_such_setting"):
        await Broker(tmp_path / "b", Authority.new("x"), "").start()


async def test_a_folder_that_cannot_be_made_and_an_address_that_is_not_ours_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        await Broker(tmp_path / "file" / "b", Authority.new("x"), "").start()
    with pytest.raises(InputError, match=r"broker address 192\.0\.2\.1:0"):
        await Broker(tmp_path / "b", Authority.new("x"), "", address="192.0.2.1").start()


async def test_its_certificate_is_kept_until_it_has_to_be_renewed(tmp_path: Path) -> None:
    first, second = Authority.new("one"), Authority.new("two")
    serials = []
    for authority in (first, first, second):
        async with Broker(tmp_path / "b", authority, ""):
            serials.append(load_certificate(tmp_path / "b" / "broker.pem").serial_number)
    assert serials[0] == serials[1] != serials[2]


async def test_its_log_stays_small(fog: Fog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network.broker, "LOG_BYTES", 2000)
    reader, writer = asyncio.StreamReader(), fog.broker._lines
    for n in range(400):
        reader.feed_data(b"line %d\n" % n)
    reader.feed_data(b"x" * 200_000 + b"\nlast\n")
    reader.feed_eof()
    await writer.copy(reader)
    log = writer.path
    assert log.stat().st_size + log.with_name("broker.log.1").stat().st_size < 5000
    assert log.read_bytes().endswith(b"last\n")


PARENT = """
import asyncio, sys
from pathlib import Path
from mint.certificates import Authority
from network.broker import Broker
async def main():
    async with Broker(Path(sys.argv[1]), Authority.new("x"), "") as broker:
        print(broker.pid, flush=True)
        await broker.wait()
asyncio.run(main())
"""


async def test_it_does_not_outlive_whoever_started_it(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PARENT,
        tmp_path / "b",
        cwd=TEMPLATE.parent.parent,
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    broker = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    await eventually(lambda: not broker.is_running())


def test_without_mosquitto_it_says_how_to_install(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="apt-get install mosquitto"):
        find_mosquitto(str(tmp_path), tmp_path)


def test_an_old_mosquitto_is_said_and_a_broken_one_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "mosquitto"
    program.write_text("#!/bin/sh\necho mosquitto version 1.5.7\nexit 3\n")
    program.chmod(0o755)
    assert find_mosquitto(str(tmp_path)).version == (1, 5, 7)
    assert "1.5.7" in caplog.messages[0]
    program.write_text("#!/bin/sh\necho no library >&2\nexit 127\n")
    with pytest.raises(MachineError, match="no library"):
        find_mosquitto(str(tmp_path))


async def test_the_unpacked_copy_is_used_with_its_libraries(tmp_path: Path) -> None:
    (tmp_path / "usr" / "sbin").mkdir(parents=True)
    (tmp_path / "usr" / "lib" / "x86_64-linux-gnu").mkdir(parents=True)
    copy = tmp_path / "usr" / "sbin" / "mosquitto"
    copy.write_bytes(find_mosquitto().path.read_bytes())
    copy.chmod(0o755)
    program = find_mosquitto(str(tmp_path), tmp_path)
    assert program.path == copy
    assert program.environment["LD_LIBRARY_PATH"] == str(tmp_path / "usr" / "lib" / "x86_64-linux-gnu")
    if os.geteuid() == 0:  # pytest's folders are closed to others: then, and only then, it stays root
        async with Broker(tmp_path / "b", Authority.new("x"), "", program=program) as broker:
            assert broker.pid is not None
            assert psutil.Process(broker.pid).uids().effective == 0


def test_every_setting_of_the_template_has_its_reason() -> None:
    said = False
    for line in TEMPLATE.read_text().splitlines():
        if line.startswith("#"):
            said = not line.startswith("# ---")
        elif not line:
            said = False
        else:
            assert said, line
    assert set(re.findall(r"\$\{(\w+)\}", TEMPLATE.read_text())) == {"ADDRESS", "PORT", "USER"}


def test_no_setting_is_made_twice() -> None:
    settings = [line.split()[0] for line in TEMPLATE.read_text().splitlines() if line and line[0] != "#"]
    assert {s for s in settings if settings.count(s) > 1} == {"log_type"}
