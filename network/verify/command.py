"""`mint verify`: its command line."""

from __future__ import annotations

import asyncio
import json as jsonlib
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from mint.errors import InputError
from mint.keys import load_public
from mint.names import Role
from mint.node import Node, NodeOptions
from network import services, up
from network.layout import Layout
from network.local import default_dir
from network.outputs import writable
from network.progress import progress
from network.verify.case import Case, read_case, write_case
from network.verify.checks import Source, Verification
from network.verify.report import Report

EXAMPLE = "example: mint verify --live --save case.mint && mint verify case.mint --operator operator.pub --recompute"
WATCHER = "watcher"


def verify(  # noqa: PLR0917 - a command has as many options as it has
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="A case, a verdict as it came from the bus, or a manager's --state folder."
        ),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="What stands decided in a running network.")] = False,
    operator: Annotated[
        Path | None, typer.Option(help="The operator's public key.", show_default="the --dir's operator.pub")
    ] = None,
    charter: Annotated[
        list[Path] | None, typer.Option(help="Signed charters, where the file holds none (a bare verdict).")
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Run the detection itself on the frames once more.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the case, for others to verify.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    broker: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The broker for --live; without it the network here."),
    ] = None,
    node: Annotated[str, typer.Option(help="The console node of the charter to be, for --live.")] = WATCHER,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="The network's folder.", show_default=".mint/up")
    ] = None,
) -> None:
    """Check a verdict, or a whole log, from the operator's public key alone: every signature, hash, rule and sample.

    Exit code 0 where everything holds, 1 where a link breaks, 2 where something cannot be read.
    """
    if live == (source is not None):
        raise InputError("FILE, --live", "one of the two is needed", "see mint verify --help")
    writable(save, "--save")
    layout = Layout(folder or default_dir("up"))
    key = load_public(operator or layout.operator_public)
    checked = _gathered(layout, broker, node) if live else _opened(Path(source or ""), charter or [])
    report = run(checked, key, recompute=recompute)
    if save is not None:
        write_case(checked if isinstance(checked, Case) else _copied(checked), save)
    if json:
        sys.stdout.write(jsonlib.dumps(report.json(), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join([*report.lines(), *_head(report)]) + "\n")
    raise typer.Exit(0 if report.proven else 1)


def run(source: Source, operator: bytes, *, recompute: bool) -> Report:
    """Verify a source against an operator's public key."""
    verification, again = Verification(operator, source), None
    if recompute:
        from network.verify.recompute import Recomputation  # noqa: PLC0415 - numpy

        again = Recomputation()
    with progress("verifying") as tell:
        for done, page in enumerate(source.pages()):
            frame = verification.frame(page)
            if again is not None and frame is not None:
                again.step(frame)
            tell(done / max(1, len(source)))
    report = verification.finish()
    if again is not None:
        again.compare(report)
    return report


def _opened(path: Path, charters: list[Path]) -> Source:
    if path.is_dir():
        from network.verify.stored import StoredLog  # noqa: PLC0415 - the manager's store

        return StoredLog(path)
    try:
        signed = tuple(one.read_bytes() for one in charters)
    except OSError as error:
        raise InputError("--charter", f"cannot be read ({error.strerror})", "name a signed charter") from None
    return read_case(path, signed)


def _gathered(layout: Layout, broker: str | None, name: str) -> Case:
    from network.verify.live import gather, sorted_out  # noqa: PLC0415 - numpy comes with the detectors

    host, port = services.address(broker) if broker else up.running_broker(layout)
    options = NodeOptions(layout.charter, name, layout.keys(name), host, port, layout.state(name))
    here = Node(options, Role.CONSOLE)

    async def gathering() -> Case:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        with progress("asking for frames") as tell:
            return await gather(here, stop, tell)

    return sorted_out(asyncio.run(gathering()))


def _copied(source: Source) -> Case:
    """The whole source as one case."""
    pages = list(source.pages())
    samples = tuple(sample for page in pages for sample in page.samples)
    return Case(tuple(source.charters), tuple(page.frame for page in pages), samples, tuple(source.verdicts))


def _head(report: Report) -> list[str]:
    """The newest frame: what a charter that has the log resume would name."""
    if report.head is None:
        return []
    return [f"newest frame here: {report.head[0]}, hash {report.head[1].hex()}"]
