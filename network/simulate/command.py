"""`mint simulate`: its command line. The components and what they need are imported only when it runs."""

from __future__ import annotations

import json as jsonlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from mint.errors import InputError
from network.progress import progress
from network.simulate.faults import Plan, from_json
from network.simulate.scenarios import SCENARIOS, draw_plan, turn

if TYPE_CHECKING:
    from network.simulate.seeds import Outcome

EXAMPLE = "example: mint simulate --seeds 1..100 --scenario crash"
ALL = "all"
MOST_SEEDS = 1_000_000


def simulate(  # noqa: PLR0917 - a command has as many options as it has
    seeds: Annotated[
        str,
        typer.Option(metavar="A..B", help="Which seeds to run, A and B included; one number is one seed."),
    ] = f"1..{len(SCENARIOS)}",
    scenario: Annotated[
        str, typer.Option(help=f"What goes wrong: {', '.join(SCENARIOS)}; {ALL}: each seed the next of them.")
    ] = ALL,
    minutes: Annotated[float, typer.Option(help="Simulated minutes of each run.")] = 10.0,
    plan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Run this plan instead: a violation's, as --json writes it."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Runs at a time.", show_default="as many as processors"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a seed, for programs.")] = False,
) -> None:
    """Run the components themselves under faults and lies, on a bus, disks and clocks in memory, and check what holds.

    One seed is one history. What breaks a guarantee (docs/agreement.md) is shrunk to the faults that it takes, and
    told with what happened. Exit code 0 where nothing breaks, 1 where something does.
    """
    plans = [_read(plan)] if plan is not None else drawn(seeds, scenario, minutes)
    from network.simulate.seeds import examined  # noqa: PLC0415 - the components, and numpy with them

    outcomes: list[Outcome] = []
    with progress("simulating") as tell:
        for outcome in examined(plans, jobs or os.cpu_count() or 1, tell):
            outcomes.append(outcome)
            if json:
                sys.stdout.write(jsonlib.dumps(msgspec.to_builtins(outcome.json)) + "\n")
            elif outcome.rule is not None:
                sys.stdout.write("\n".join(_told(outcome)) + "\n")
            sys.stdout.flush()
    if not json:
        sys.stdout.write(_summary(outcomes) + "\n")
    raise typer.Exit(1 if any(outcome.rule is not None for outcome in outcomes) else 0)


def drawn(seeds: str, scenario: str, minutes: float) -> Sequence[Plan]:
    """The plans of a command line.

    Raises:
        InputError: the option that is wrong.
    """
    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", seeds)
    if found is None:
        raise InputError("--seeds", f"{seeds!r} is no number and no A..B", "write --seeds 1..100")
    first, last = int(found[1]), int(found[2] or found[1])
    if not first <= last < first + MOST_SEEDS:
        raise InputError("--seeds", f"{seeds} is empty or more than a million", "write --seeds 1..100")
    numbers = range(first, last + 1)
    return [draw_plan(turn(seed) if scenario == ALL else scenario, seed, minutes) for seed in numbers]


def _read(path: Path) -> Plan:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            "--plan", f"{path} cannot be read ({error.strerror})", "name a file that holds a plan"
        ) from None
    return from_json(data, str(path))


def _told(outcome: Outcome) -> Iterator[str]:
    """A violation for people."""
    plan, broken = outcome.plan, outcome.broken
    minutes = f"{plan.end_ms / 60_000:g}"
    yield f"seed {plan.seed} of {plan.scenario} breaks {outcome.rule} at {outcome.at_ms / 1000:.3f} s: {outcome.text}"
    yield f"  again: mint simulate --scenario {plan.scenario} --seeds {plan.seed} --minutes {minutes}"
    if broken is None:
        return
    size = broken.plan.size
    yield (
        f"  it takes {len(broken.plan.faults)} of {len(plan.faults)} faults, among {size.miners} miners, "
        f"{size.devices} devices, {size.detectors} detectors; then at {broken.at_ms / 1000:.3f} s: {broken.text}"
    )
    for fault in broken.plan.faults:
        yield f"    {jsonlib.dumps(msgspec.to_builtins(fault))}"
    yield "  its history:"
    for line in broken.history:
        yield f"    {line}"


def _summary(outcomes: Sequence[Outcome]) -> str:
    broken = sum(outcome.rule is not None for outcome in outcomes)
    whole = [outcome for outcome in outcomes if outcome.rule is None]
    simulated_s = sum(outcome.plan.end_ms for outcome in whole) / 1000
    cpu_s = sum(outcome.cpu_s for outcome in whole)
    rate = f", {simulated_s / cpu_s:.0f} times real time on one processor" if cpu_s else ""
    what = "no violation" if not broken else f"{broken} violate a guarantee"
    return f"{len(outcomes)} seeds: {what}; {simulated_s / 3600:.1f} simulated hours{rate}"
