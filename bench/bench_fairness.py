"""Whether mining is as fair as promised: `python -m bench fairness`, or with options as below.

The cheat's mean share of an hour's rewards, in fair shares, without MinT and with it, for each attack; and of honest
hours whether the p-values of the chi-square tests are uniform. With MinT an hour takes some 7 s of one core, so that
as many as the figures ask for (--hours 100) take six minutes on two cores for each attack.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from network.fairness.attacks import ATTACKS, CHEAT
from network.fairness.charter import CLASSES
from network.fairness.hours import Setting
from network.fairness.report import interval
from network.fairness.running import run
from network.fairness.summary import Summary
from network.progress import progress

SEED = 2021
# Hours with MinT of each attack, and without, which cost a twentieth.
HOURS, HOURS_WITHOUT = 2, 100
# Asked for: the upper end of the interval with MinT; without it what follows from ten minutes at one of sixteen parts
# and fifty at two of seventeen. p-values that are this uneven by chance once in a hundred times are not uniform.
MOST, WITHOUT, NEAR = 1.1, (10 / 60 + 50 / 60 * 2 * 16 / 17), 0.02
LEAST_P = 0.01


def summary(setting: Setting, hours: int, jobs: int) -> Summary:
    """So many hours of a setting."""
    what = f"{setting.attack}, {setting.classes}, {'with' if setting.minted else 'without'} MinT"
    with progress(what) as tell:
        return Summary(setting, run(setting, SEED, hours, jobs, tell))


def row(what: str, asked: str, seen: str, *, kept: bool) -> str:
    """One figure."""
    return f"{what:44} {asked:>14} {seen:>26} {'kept' if kept else 'BROKEN':>7}"


def alone(jobs: int) -> str:
    """The cheat's share without MinT, however it cheats."""
    found = summary(Setting("double", False, "one"), HOURS_WITHOUT, jobs).times_fair(CHEAT)
    kept = abs(found.value - WITHOUT) < NEAR
    return row(f"without MinT, {HOURS_WITHOUT} hours", f"{WITHOUT:.3f}", interval(found), kept=kept)


def minted(attack: str, hours: int, jobs: int) -> str:
    """The cheat's share with MinT."""
    found = summary(Setting(attack, True, "one"), hours, jobs).times_fair(CHEAT)
    return row(f"{attack}, {hours} hours", f"at most {MOST}", interval(found), kept=found.high <= MOST)


def honest(classes: str, jobs: int) -> list[str]:
    """Whether p-values are uniform."""
    found = summary(Setting("none", False, classes), HOURS_WITHOUT, jobs)
    p_values = {"blocks": found.blocks.uniform, "shares": found.paid.uniform}
    return [
        row(f"honest, {classes}: p of {what} uniform", f"p > {LEAST_P}", f"{p:.3f}", kept=p > LEAST_P)
        for what, p in p_values.items()
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m bench.bench_fairness --hours 100 --attack liar",
    )
    parser.add_argument(
        "--hours", type=int, default=HOURS, help="with MinT, of each attack (default: %(default)s)"
    )
    parser.add_argument("--attack", action="append", choices=ATTACKS[1:], help="only this; may be repeated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="hours at a time")
    options = parser.parse_args(arguments)
    print(f"{'times fair, of the rewards of an hour':44} {'asked for':>14} {'seen (95 %)':>26}")
    print(alone(options.jobs), flush=True)
    for attack in options.attack or ATTACKS[1:]:
        print(minted(attack, options.hours, options.jobs), flush=True)
    for classes in CLASSES:
        for line in honest(classes, options.jobs):
            print(line, flush=True)


if __name__ == "__main__":
    main()
