"""The long-running components as commands: `mint miners`, `agent`, `twin`, `detector`, `enforcer`.

They parse their options with argparse and import only what the component itself needs: a device carries
neither numpy nor the command line's typer and rich (docs/decisions/0002-dependencies.md).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn

from mint.containers.hierarchy import CGROUP_ROOT
from mint.errors import InputError, MintError, cause_of
from mint.names import Role
from mint.node import Node, NodeOptions

Service = Callable[[Node, asyncio.Event], Awaitable[None]]

ROLES = {
    "miners": Role.AGENT,
    "agent": Role.AGENT,
    "twin": Role.MANAGER,
    "detector": Role.DETECTOR,
    "enforcer": Role.ENFORCER,
}
ABOUT = {
    "miners": "Start the miners that the charter gives this device, and keep them running.",
    "agent": "Sample every miner on this device once a period and send what they used to the twin manager.",
    "twin": "Be a fog's twin manager: verify samples, keep the twins, close and store a frame a tick.",
    "detector": "Follow the frame log, score every miner, vote on who takes more than its share.",
    "enforcer": "Verify verdicts, and keep the quotas of this device's miners as they should be.",
}
# On a device: those that find miners in cgroups.
ON_DEVICE = ("agent", "enforcer")
MAX_PORT = 65_535


def main(command: str, arguments: list[str]) -> int:
    """Run a component until SIGTERM or SIGINT; its exit code (mint/errors.py)."""
    options = parser(command).parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname).1s %(name)s: %(message)s",
    )
    if command in ON_DEVICE:
        # Counter files stay open, some five a miner: 256 miners need more than the usual 1,024.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        host, port = options.broker if command != "miners" else ("", 0)
        where = NodeOptions(options.charter, options.node, options.keys, host, port, options.state)
        node = Node(where, ROLES[command])
        asyncio.run(_until_told(node, _service(command, options)))
    except Exception as error:
        cause = cause_of(error)
        if not isinstance(cause, (MintError, OSError, sqlite3.Error)):
            raise  # a mistake of ours: with its traceback
        # A full disk, say. Nothing was told that is not stored; whoever keeps us running starts us again.
        sys.stderr.write(f"mint {command}: {cause}\n")
        return cause.exit_code if isinstance(cause, MintError) else 1
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser(command: str) -> argparse.ArgumentParser:
    """The options of a component."""
    broker = "" if command == "miners" else " --broker fog.local:8883"
    parsed = _Parser(
        prog=f"mint {command}",
        description=ABOUT[command],
        epilog=f"example: mint {command} --charter /etc/mint/charter.signed --node NAME "
        f"--keys /etc/mint/keys/NAME{broker} --state /var/lib/mint",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parsed.add_argument("--charter", type=Path, required=True, metavar="FILE", help="the signed charter")
    parsed.add_argument("--node", required=True, metavar="NAME", help="which node of the charter this is")
    parsed.add_argument(
        "--keys",
        type=Path,
        required=True,
        metavar="DIR",
        help="its keys and certificate (`mint init` makes them)",
    )
    if command != "miners":
        parsed.add_argument(
            "--broker", type=_address_option, required=True, metavar="HOST:PORT", help="the MQTT broker"
        )
    parsed.add_argument("--state", type=Path, required=True, metavar="DIR", help="what it must remember")
    if command == "miners":
        parsed.add_argument(
            "--runtime", metavar="NAME", help="docker, cgroup or duty; else the best that works here"
        )
    if command in ON_DEVICE:
        parsed.add_argument(
            "--cgroup-root",
            type=Path,
            default=CGROUP_ROOT,
            metavar="DIR",
            help="where cgroups are mounted (%(default)s)",
        )
        parsed.add_argument(
            "--duty-dir", type=Path, metavar="DIR", help="miners that a duty cycle limits, if any"
        )
        parsed.add_argument(
            "--docker", action="store_true", help="also ask Docker for containers with the label mint.miner"
        )
    return parsed


def address(text: str) -> tuple[str, int]:
    """Host and port in HOST:PORT.

    Raises:
        InputError: it is not of that form.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        raise InputError("--broker", f"{text!r} is not HOST:PORT", "write it like fog.local:8883")
    return host.strip("[]"), int(port)


def _address_option(text: str) -> tuple[str, int]:
    try:
        return address(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(f"{error.wrong}; {error.mend}") from None


def _service(command: str, options: argparse.Namespace) -> Service:
    """The component's own `run`, imported only now."""
    # ruff: noqa: PLC0415
    if command == "twin":
        from twin_broker.service import run as twin

        return twin
    if command == "detector":
        from detectors.service import run as detector

        return detector
    if command == "miners":
        from agents.pow.service import run as miners

        return lambda node, stop: miners(node, stop, runtime=options.runtime)
    if command == "agent":
        from agents.service import run as agent

        return lambda node, stop: agent(
            node, stop, cgroup_root=options.cgroup_root, duty_dir=options.duty_dir, docker=options.docker
        )
    if command == "enforcer":
        from enforcer.service import run as enforcer

        return lambda node, stop: enforcer(
            node, stop, cgroup_root=options.cgroup_root, duty_dir=options.duty_dir, docker=options.docker
        )
    raise InputError("mint", f"{command!r} is no component", f"use one of {', '.join(ROLES)}")


async def _until_told(node: Node, service: Service) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    node.log.info("%s, session %d, process %d", node.name, node.session, os.getpid())
    await service(node, stop)
