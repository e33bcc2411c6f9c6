"""`mint reproduce`: the command line of the paper's figures. Imports nothing heavy until it runs."""

from __future__ import annotations

import hashlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mint.errors import InputError, MachineError

EXAMPLE = "example: mint reproduce all --out figures --seed 2021"
FIGURES = ("fig3", "fig4", "fig5", "fig6")
ALL = "all"
# The paper repeats each experiment "at least five times"; recording in real time, once is what people wait for.
REPETITIONS, REAL_REPETITIONS = 5, 1
# All runs are in memory until they are written: of fifty the longest table has a million rows.
MOST_REPETITIONS = 50
INTERRUPTED = 130


def reproduce(  # noqa: PLR0917 - a command has as many options as it has
    figure: Annotated[str, typer.Argument(help=f"One of {', '.join(FIGURES)}, or {ALL}.")],
    out: Annotated[Path, typer.Option(help="The folder to write pictures and CSV files to.")],
    repetitions: Annotated[
        int | None,
        typer.Option(
            help="Runs of each experiment.", show_default=f"{REPETITIONS}; {REAL_REPETITIONS} with --real"
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of simulated telemetry: the same seed, the same CSV files.")
    ] = 2021,
    real: Annotated[
        bool, typer.Option("--real", help="From 16 real containers that it starts here; takes real time.")
    ] = False,
    from_recording: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw again what --real recorded in this folder.")
    ] = None,
) -> None:
    """Run the paper's experiments (section 5.2) and draw its figures 3 to 6, with the CSV files behind them.

    From simulated telemetry with the noise of real containers, or from real ones. What they show beside the paper's
    own is in docs/paper.md. Ctrl-C ends a recording and removes its containers; recordings that are whole stay.
    """
    names = _figures(figure)
    if repetitions is None:
        repetitions = REAL_REPETITIONS if real or from_recording else REPETITIONS
    if not 1 <= repetitions <= MOST_REPETITIONS:
        raise InputError("--repetitions", f"{repetitions} is not possible", f"give 1 to {MOST_REPETITIONS}")
    if seed < 0:
        raise InputError("--seed", f"{seed} is negative", "give 0 or more")
    if real and from_recording:
        raise InputError("--from-recording", "is the opposite of --real", "give one of the two")
    folder = _writable(out)
    try:
        from network.reproduce import running, sources  # noqa: PLC0415 - numpy, matplotlib: what others lack
    except ModuleNotFoundError as error:
        raise MachineError(
            f"{error.name} is not installed", "install MinT with the extra `research`"
        ) from None
    experiments = [experiment for experiment in running.EXPERIMENTS if experiment.name in names]
    source: sources.Source
    if real:
        seconds = repetitions * sum(sources.recording_s(script) for script in running.scripts(experiments))
        _say(f"recording 16 containers in real time: {seconds / 60:.0f} minutes")
        scope = "reproduce_" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
        source = sources.Containers(folder, scope, _say)
    elif from_recording:
        source = sources.Recordings(from_recording)
    else:
        source = sources.Simulation(seed)
    try:
        with _ended_like_ctrl_c():
            running.run(experiments, source, repetitions, folder, Console(highlight=False, soft_wrap=True))
    except KeyboardInterrupt:
        _say("interrupted; nothing is left running")
        raise typer.Exit(INTERRUPTED) from None


def _figures(figure: str) -> tuple[str, ...]:
    if figure == ALL:
        return FIGURES
    if figure not in FIGURES:
        raise InputError("FIGURE", f"{figure!r} is no figure of ours", f"use {', '.join(FIGURES)} or {ALL}")
    return (figure,)


def _writable(folder: Path) -> Path:
    """`folder`, made where there is none: said now, not after the runs."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".mint-reproduce"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            "--out", f"{folder} cannot be written ({error.strerror})", "name another folder"
        ) from None
    return folder


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end what runs as Ctrl-C does: with its containers removed."""
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
