"""`mint fairness`: its command line. The components and what they need are imported only when it runs."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mint.errors import InputError, MachineError
from mint.files import write_atomic
from network.outputs import writable
from network.progress import progress

EXAMPLE = "example: mint fairness --hours 100 --attack double --plot fairness.png"
# Of network/fairness/attacks.py and charter.py, which a test holds to this: they load the components.
ATTACKS = ("none", "double", "stubborn", "liar", "rogue-host")
CLASSES = ("one", "two", "two-same-cpu")
# A day on one processor.
MOST_HOURS = 10_000


@dataclass(frozen=True, slots=True)
class Run:
    """What the command line asks for of simulated hours."""

    hours: int
    attack: str
    classes: str
    seed: int
    jobs: int
    without_mint: bool


def fairness(  # noqa: PLR0917 - a command has as many options as it has
    hours: Annotated[
        int, typer.Option(min=1, max=MOST_HOURS, help="Simulated hours; with MinT one takes some 7 s.")
    ] = 10,
    attack: Annotated[
        str, typer.Option(help=f"How one miner takes double from minute ten on: {', '.join(ATTACKS)}.")
    ] = "double",
    classes: Annotated[
        str,
        typer.Option(
            help="The devices: of one class; of two whose entitlements make them equal in hashing; of the same "
            f"two with the same CPU. {', '.join(CLASSES)}."
        ),
    ] = CLASSES[0],
    without_mint: Annotated[
        bool, typer.Option("--without-mint", help="Only without MinT; else both, of the same seeds.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same hours.")] = 2021,
    chain: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead of simulated hours: a real ledger, the ledger-*.sqlite in an agent's --state folder.",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw rewards over time and the cheat's share (PNG).")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Hours at a time.", show_default="as many as processors"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Measure who is paid how much: hours of sixteen miners that mine a ledger, one of which cheats.

    Shares and blocks follow from the CPU time that the kernel's quotas really give; who is caught when, and what is
    taken back, from the components themselves, run in memory (docs/fair-mining.md). Told are rewards against
    entitled hashing with 95 % intervals, Jain's index, Gini's coefficient, chi-square tests, and the cheat's share
    before, during and after.
    """
    _known("--attack", attack, ATTACKS)
    _known("--classes", classes, CLASSES)
    picture = writable(plot, "--plot")
    try:
        if chain is not None:
            _stored(chain, picture, json=json)
            return
        run = Run(hours, attack, classes, seed, jobs or os.cpu_count() or 1, without_mint)
        _simulated(run, picture, json=json)
    except ModuleNotFoundError as error:
        raise MachineError(
            f"{error.name} is not installed", "install MinT with the extra `research`"
        ) from None


def _simulated(run: Run, picture: Path | None, *, json: bool) -> None:
    from network.fairness import report, running  # noqa: PLC0415 - the components, and numpy with them
    from network.fairness.hours import Setting  # noqa: PLC0415
    from network.fairness.summary import Summary  # noqa: PLC0415

    if picture is not None:
        from network.fairness.plot import png  # noqa: PLC0415
    found = []
    for minted in (False,) if run.without_mint else (False, True):
        setting = Setting(run.attack, minted, run.classes)
        with progress("hours with MinT" if minted else "hours without MinT") as tell:
            found.append(Summary(setting, running.run(setting, run.seed, run.hours, run.jobs, tell)))
    sys.stdout.write(report.data(found, run.seed) if json else report.text(found, run.seed))
    if picture is not None:
        write_atomic(picture, png(found))


def _stored(chain: Path, picture: Path | None, *, json: bool) -> None:
    from network.fairness import stored, stored_report  # noqa: PLC0415 - numpy and scipy

    if picture is not None:
        from network.fairness.plot import ledger_png  # noqa: PLC0415
    record = stored.read(chain)
    sys.stdout.write(stored_report.data(record) if json else stored_report.text(record))
    if picture is not None:
        write_atomic(picture, ledger_png(record))


def _known(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(option, f"{value!r} is none", f"use one of {', '.join(known)}")
