"""`python -m bench.detection`: the comparison; `make bench-detection` installs what it needs first."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench.detection import comparison, cost, ours, report
from bench.detection.comparison import JUDGE, TUNE, Outcome, Plan
from bench.detection.noise import Containers, Noise, Percentages, recordings
from bench.detection.scenarios import CHEATS
from mint.errors import InputError

ROOT = Path(__file__).parent.parent.parent
PAGE, PICTURE = (
    ROOT / "docs" / "detection-comparison.md",
    ROOT / "docs" / "figures" / "detection-comparison.png",
)
# Traces of each kind of noise and half: a quarter of an hour on one core; and a minute.
CASES, PLAIN, DISTURBED = 4, 24, 4
QUICK_CASES, QUICK_PLAIN, QUICK_DISTURBED = 1, 1, 1
DOUBLE = CHEATS[0].name


def main(arguments: list[str] | None = None) -> int:
    """Run it; the exit code (mint/errors.py)."""
    options = _parser().parse_args(arguments)
    out = Path(options.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        plan = _plan(options.quick)
        outcomes = list(_outcomes(plan, options.jobs))
        compared = _compared(plan, outcomes)
        report.dumped(compared, out)
        if options.quick:
            _check(outcomes)
            report.draw(compared, out / PICTURE.name)
        else:
            PICTURE.parent.mkdir(exist_ok=True)
            report.draw(compared, PICTURE)
            report.written(PAGE, report.page(compared, f"figures/{PICTURE.name}"))
        print(report.page(compared, PICTURE.name))
    except InputError as error:
        sys.stderr.write(f"bench.detection: {error}\n")
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.detection",
        description=(
            "Compares MinT's detection with others on the same traces, and writes docs/detection-comparison.md. "
            "About a quarter of an hour of one core."
        ),
        epilog="example: python -m bench.detection --quick --out /tmp/comparison",
    )
    parser.add_argument(
        "--out", default="build/detection", metavar="DIR", help="for JSON and CSV (%(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="a minute; checks that all runs, writes no page")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    return parser


def _plan(quick: bool) -> Plan:
    bare: list[Noise] = [
        Percentages("independent"),
        Percentages("autocorrelated"),
        Percentages("heavy-tailed"),
    ]
    counted: list[Noise] = [Containers(contended=False), Containers(contended=True)]
    if quick:
        return Plan((*bare[:1], *counted[:1]), ours.shipped(), QUICK_CASES, QUICK_PLAIN, QUICK_DISTURBED)
    return Plan((*bare, *counted, *recordings()), ours.shipped(), CASES, PLAIN, DISTURBED)


def _compared(plan: Plan, outcomes: list[Outcome]) -> report.Comparison:
    judged = comparison.judge(outcomes)
    hours = tuple(_hours(outcomes, half) for half in (TUNE, JUDGE))
    return report.Comparison(
        judged,
        tuple(noise.name for noise in plan.noises),
        tuple(noise.name for noise in plan.noises if noise.counters),
        cost.microseconds(plan.detection),
        (hours[0], hours[1]),
    )


def _outcomes(plan: Plan, jobs: int) -> Iterator[Outcome]:
    """The outcomes of all pieces, in their order, with progress on stderr."""
    pieces = comparison.pieces(plan)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(max_workers=max(1, jobs)) as pool,
    ):
        task = progress.add_task("comparing", total=len(pieces))
        running = {pool.submit(comparison.run, plan, piece): number for number, piece in enumerate(pieces)}
        done = {}
        for future in as_completed(running):
            done[running[future]] = future.result()
            progress.advance(task)
    yield from (done[number] for number in sorted(done))


def _hours(outcomes: list[Outcome], half: int) -> float:
    return sum(
        variants[0].hours
        for outcome in outcomes
        if outcome.piece.half == half
        for (name, _), variants in outcome.honest.items()
        if name == ours.WHOLE.name
    )


def _check(outcomes: list[Outcome]) -> None:
    """That every detector runs, sees a doubling, and that the law accuses nobody honest: what `--quick` is for."""
    for about in comparison.DETECTORS:
        doubled = [case for one in outcomes for case in one.cheating.get((about.name, DOUBLE), [])]
        assert doubled, f"{about.name} scored nothing"
        seen = [any(variant.highs[-1] > 0 for variant in case) for case in doubled]
        assert any(seen), f"{about.name} does not see a doubling"
    honest = [
        variants[0]
        for one in outcomes
        for (name, _), variants in one.honest.items()
        if name in (ours.BUDGET.name, ours.BEHAVIOUR.name)
    ]
    assert not sum(each.accusations(comparison.ACCUSES) for each in honest), "an honest miner was convicted"


if __name__ == "__main__":
    sys.exit(main())
