"""`mint calibrate`: its command line. Imports nothing heavy until it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mint.errors import InputError, MachineError
from mint.files import write_atomic

EXAMPLE = (
    "example: mint calibrate clean.csv --rate 0.001 --out calibration --write fleet/charter.toml, "
    "or mint calibrate --class pi4 --write fleet/charter.toml"
)
ALL = "all"
PRESETS = ("calibrated", "paper")
# Simulated miner-hours of each kind where no trace is given: they vouch for one false alarm in 1,000 miner-hours, and
# take a minute a kind.
HOURS = 10_000.0
# About an hour a kind.
MOST_HOURS = 1_000_000.0


def calibrate(  # noqa: PLR0917 - a command has as many options as it has
    traces: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[TRACE]...", help="Recorded traces without a cheat: that they are clean you vouch for."
        ),
    ] = None,
    simulate: Annotated[
        float | None,
        typer.Option(
            metavar="HOURS",
            help="Miner-hours of simulated honest telemetry, of each kind.",
            show_default=f"{HOURS:.0f} where no trace is given",
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="What is simulated: quiet, contended (hosts whose kernel holds miners to a quota), independent, "
            "correlated, heavy (percentages alone), or all. May be given several times.",
            show_default=ALL,
        ),
    ] = None,
    cpu: Annotated[
        list[float] | None,
        typer.Option(
            help="Entitlement of simulated quiet and contended miners, CPUs. May be given several times.",
            show_default="0.05",
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(help="Tolerated false alarms per miner-hour: 0.001 is one in 1,000 hours of one miner."),
    ] = 0.001,
    preset: Annotated[str, typer.Option(help=f"Whose W: {' or '.join(PRESETS)}.")] = PRESETS[0],
    out: Annotated[
        Path | None, typer.Option(help="A folder for calibration.csv and calibration.png, the curves.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="CHARTER.TOML",
            help="Set ssa_threshold in this charter, or with --class that class's rate; then raise its version and "
            "sign it.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="No extrapolation: exit code 1 and nothing written instead.")
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed, the same result.")] = 2021,
    class_: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Instead: measure the hashes that a second of CPU time makes on this machine, a device of class NAME.",
        ),
    ] = None,
) -> None:
    """Find the threshold of SSA's W for a rate of false alarms, from clean telemetry, recorded or simulated.

    With --class: how fast the pinned miner hashes here, for the charter (docs/work-evidence.md).

    The threshold is the lowest whose rate is, with 97.5 % confidence, at most the one tolerated. Where telemetry is
    too short to vouch for that, the curve is extrapolated, and the output says so (docs/detection.md).

    Exit code 1 where telemetry is too short even for that, or ends while W still learns the miners' noise; with
    --strict wherever it would extrapolate.
    """
    if class_ is not None:
        if traces or simulate is not None or kind or cpu or out is not None:
            raise InputError("--class", "takes no telemetry", "give it with --write and --json alone")
        _measure(class_, write, json=json)
        return
    cpus = cpu or [0.05]
    _check(rate, preset, simulate, cpus, seed)
    if traces and simulate is None and (kind or cpu):
        raise InputError("--kind and --cpu", "nothing is simulated", "add --simulate HOURS")
    hours = simulate if simulate is not None else 0.0 if traces else HOURS
    try:
        from network.calibrate import charter_edit, clean, plot, report, running  # noqa: PLC0415 - what others lack
    except ModuleNotFoundError as error:
        raise MachineError(
            f"{error.name} is not installed", "install MinT with the extra `research`"
        ) from None
    kinds = _kinds(kind or [ALL], clean.KINDS)
    if write is not None:
        charter_edit.checked(write, preset)
    folder = _made(out)
    plan = running.Plan(tuple(traces or ()), hours, kinds, tuple(cpus), preset, seed)
    found = report.Calibration.of(preset, rate, seed, running.curves(plan))
    if folder is not None:
        write_atomic(folder / "calibration.csv", report.csv(found).encode())
        write_atomic(folder / "calibration.png", plot.png(found))
    settled = found.choice is not None and not (strict and found.choice.extrapolated)
    written = None
    if write is not None and found.choice is not None and settled:
        charter_edit.write(write, preset, found.choice.threshold)
        written = str(write)
    sys.stdout.write(report.data(found, written) if json else report.text(found))
    if written and not json:
        sys.stdout.write(f"written to {written}; raise its version, then run: mint charter sign\n")
    if not settled:
        raise typer.Exit(1)


def _measure(name: str, write: Path | None, *, json: bool) -> None:
    """A class's rate."""
    from network.calibrate import class_edit, class_rate  # noqa: PLC0415 - as below: only where it runs

    if write is not None:
        class_edit.checked(write, name)
    measured = class_rate.measure(name)
    if write is not None:
        class_edit.write(write, name, measured.best)
    sys.stdout.write(
        class_rate.data(measured, None if write is None else str(write))
        if json
        else class_rate.text(measured)
    )
    if write is not None and not json:
        sys.stdout.write(f"written to {write}; raise its version, then run: mint charter sign\n")


def _kinds(given: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The kinds that are named, each once, in their order."""
    for name in given:
        if name not in {*known, ALL}:
            raise InputError(
                "--kind", f"{name!r} is no kind of telemetry", f"use {', '.join(known)} or {ALL}"
            )
    return tuple(name for name in known if name in given or ALL in given)


def _made(folder: Path | None) -> Path | None:
    """`folder`, made where there is none: said now, not after the run."""
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "no right to"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise InputError("--out", f"{folder} cannot be written ({reason})", "name another folder")
    return folder


def _check(rate: float, preset: str, simulate: float | None, cpus: list[float], seed: int) -> None:
    checks = (
        (0 < rate <= 60, "--rate", rate, "more than 0 and at most 60 a miner-hour"),
        (preset in PRESETS, "--preset", preset, " or ".join(PRESETS)),
        (
            simulate is None or 0 < simulate <= MOST_HOURS,
            "--simulate",
            simulate,
            f"up to {MOST_HOURS:.0f} hours",
        ),
        (all(0.01 <= one <= 1 for one in cpus), "--cpu", cpus, "0.01 to 1 CPU"),
        (seed >= 0, "--seed", seed, "0 or more"),
    )
    for holds, option, value, need in checks:
        if not holds:
            raise InputError(option, f"{value} is not possible", f"give {need}")
