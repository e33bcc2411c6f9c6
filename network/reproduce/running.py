"""Runs experiments: telemetry, what is measured in it, tables, pictures, and a few lines for people."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from mint.files import write_atomic
from network.progress import progress
from network.reproduce.experiment import Experiment, csv
from network.reproduce.fig3 import FIG3
from network.reproduce.fig4 import FIG4
from network.reproduce.fig5 import FIG5
from network.reproduce.fig6 import FIG6
from network.reproduce.script import Script
from network.reproduce.sources import Source

EXPERIMENTS: tuple[Experiment[Any], ...] = (FIG3, FIG4, FIG5, FIG6)


def scripts(experiments: Sequence[Experiment[Any]]) -> tuple[Script, ...]:
    """The runs that these experiments look at, each once."""
    return tuple({experiment.script.name: experiment.script for experiment in experiments}.values())


def run(
    experiments: Sequence[Experiment[Any]], source: Source, repetitions: int, folder: Path, out: Console
) -> None:
    """Run them, and write NAME.png and CSV files into `folder`; says on `out` what came of it.

    Raises:
        MintError, OSError: as the source and the file system have it.
    """
    measured: dict[str, list[Any]] = {experiment.name: [] for experiment in experiments}
    total_s = repetitions * sum(script.seconds for script in scripts(experiments))
    done_s = 0

    def advance(seconds: int) -> None:
        nonlocal done_s
        done_s += seconds
        tell(done_s / total_s)

    with progress("running the experiments") as tell:
        for repetition in range(1, repetitions + 1):
            for script in scripts(experiments):
                trace = source(script, repetition, advance)
                for experiment in experiments:
                    if experiment.script is script:
                        measured[experiment.name].append(experiment.measure(trace))
    for experiment in experiments:
        runs = measured[experiment.name]
        written = _write(experiment, runs, source.about, folder)
        out.print(f"{experiment.name}: {experiment.about} ({', '.join(written)})")
        for line in experiment.summary(runs):
            out.print(f"  {line}")


def _write(experiment: Experiment[Any], runs: Sequence[Any], about: str, folder: Path) -> list[str]:
    figure, picture = experiment.draw(runs), io.BytesIO()
    count = "one run" if len(runs) == 1 else f"mean and range of {len(runs)} runs"
    figure.suptitle(f"{figure.get_suptitle()}\n{about}, {count}", fontsize=12)
    figure.savefig(picture, format="png", metadata={"Software": None})
    files = {f"{experiment.name}.png": picture.getvalue()}
    files |= {name: csv(table) for name, table in experiment.tables(runs).items()}
    for name, content in files.items():
        write_atomic(folder / name, content)
    return list(files)
