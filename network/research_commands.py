"""`mint replay` and `mint export`: their command lines. Nothing heavy is imported until one of them runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mint.charter.toml import SETTING_KEYS, Setting, setting
from mint.errors import InputError, MachineError
from mint.wire import MOST
from network.layout import Layout
from network.outputs import writable
from network.progress import progress

PRESETS = ("calibrated", "paper")
# The name that `mint init` and `mint up` give the manager (network/founding.py).
MANAGER = "manager"

REPLAY_EXAMPLE = "example: mint replay yesterday.parquet --statistics statistics.csv --plot replay.png"
EXPORT_EXAMPLE = "example: mint export --dir .mint/up -o yesterday.parquet"


def replay(  # noqa: PLR0917 - a command has as many options as it has
    trace: Annotated[
        Path, typer.Argument(metavar="TRACE", help="A recorded trace, CSV or Parquet (docs/traces.md).")
    ],
    preset: Annotated[str, typer.Option(help=f"{' or '.join(PRESETS)}.")] = PRESETS[0],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help=f"A parameter: {', '.join(SETTING_KEYS[1:])} (docs/charter.md).",
        ),
    ] = None,
    statistics: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write D, S, W and h of every miner and tick.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Findings as JSON, one a line, and nothing else.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the miners accused or alarmed.")
    ] = None,
) -> None:
    """Run the whole detection on a recorded trace, as fast as it goes, and tell what it finds.

    Exit code 0 whatever was found, 2 where the trace or an option is wrong.
    """
    made = _setting(preset, set_ or [])
    writable(statistics, "--statistics")
    writable(plot, "--plot")
    with _research(), _quiet_pipe():
        _replay(trace, made, statistics, plot, json=json)


def export(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="What to write: FILE.csv or FILE.parquet.")
    ],
    state: Annotated[Path | None, typer.Option(help="The --state folder of a manager.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="The folder of a network on this machine.")
    ] = None,
    first: Annotated[
        int, typer.Option("--from", min=0, help="The first frame.", show_default="the oldest")
    ] = 0,
    last: Annotated[
        int, typer.Option("--to", min=0, help="The last frame.", show_default="the newest")
    ] = MOST,
) -> None:
    """Write what a network's manager stored as a trace, for `mint replay`; the manager may be running."""
    if (state is None) == (folder is None):
        raise InputError(
            "--state, --dir", "one of the two is needed", "name the manager's folder, or its network's"
        )
    if folder is not None:
        layout = Layout(folder)
        if not layout.mark.is_file():
            raise InputError(
                str(folder), "holds no MinT network", "name the --dir of `mint up`, or use --state"
            )
        state = layout.state(MANAGER)
    writable(output, "--output")
    with _research():
        from network.export import export as write  # noqa: PLC0415 - numpy, pyarrow
        from twin_broker.service import DATABASE  # noqa: PLC0415 - as above
        from twin_broker.store import FrameReader  # noqa: PLC0415 - as above

        with progress("exporting") as tell:
            frames, rows = write(FrameReader(Path(state or "") / DATABASE), output, first, last, tell)
    _say(f"{output}: {frames:,} frames, {rows:,} rows\n")


def _replay(path: Path, made: Setting, statistics: Path | None, plot: Path | None, *, json: bool) -> None:
    from network import replay_output as output  # noqa: PLC0415 - numpy, pyarrow
    from network.outputs import whole_file  # noqa: PLC0415 - as above
    from network.replay import replay as steps  # noqa: PLC0415 - as above
    from network.trace_file import read_trace  # noqa: PLC0415 - as above

    with progress(f"reading {path.name}") as tell:
        trace = read_trace(path, tell)
    if doubt := output.doubt(trace):
        sys.stderr.write(f"mint replay: {path}: {doubt}\n")
    told = output.Told(_say, as_json=json)
    drawing = None
    if plot is not None:
        from network.replay_plot import Drawing  # noqa: PLC0415 - matplotlib takes a second

        drawing = Drawing(trace, made.detection.preset)
    begun = time.monotonic()
    with ExitStack() as stack:
        sinks = [told.add]
        if drawing is not None:
            sinks.append(drawing.add)
        if statistics is not None:
            table = stack.enter_context(whole_file(statistics))
            sinks.append(output.Table(table, trace.miners).add)
        tell = stack.enter_context(progress("detecting"))
        for step in steps(trace, made):
            for sink in sinks:
                sink(step)
            if step.row is not None:
                tell((step.row + 1) / len(trace.ticks))
    seconds = time.monotonic() - begun
    drawn = "" if drawing is None or plot is None else drawing.save(plot)
    if not json:
        _say(drawn + told.summary(trace, made.period_ms / 1000, seconds))


def _say(text: str) -> None:
    """Write to what is stdout now: while a bar is shown on the same terminal, lines go above it."""
    sys.stdout.write(text)


def _setting(preset: str, pairs: list[str]) -> Setting:
    if preset not in PRESETS:
        raise InputError("--preset", f"{preset!r} is no preset", f"use {' or '.join(PRESETS)}")
    written = {"preset": preset}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise InputError("--set", f"{pair!r} sets nothing", "write KEY=VALUE, such as N=48")
        written[key] = text
    return setting(written, "--set")


@contextmanager
def _research() -> Iterator[None]:
    """Say in one line what is not installed here."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MachineError(
            f"{error.name} is not installed", "install MinT with the extra `research`"
        ) from None


@contextmanager
def _quiet_pipe() -> Iterator[None]:
    """End quietly where nobody reads on (`mint replay ... | head`)."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still in the buffer goes nowhere, else Python complains of it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
