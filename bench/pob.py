"""Proof-of-Behavior in figures, those of docs/proof-of-behavior.md: `python -m bench.pob` (three minutes).

1. honest fogs: how often a miner is far from B*, above its entitlement, and both, by cut-off;
2. gains: how soon colluders are accused;
3. colluders at +10 %: rounds in which exactly they hold the highest scores, by f, noise and length of the window;
4. Krum beside Multi-Krum and Bulyan.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import get_args

import numpy as np

from bench.honest_hosts import KINDS
from bench.pob_fogs import MINERS, MOST_F, Colluders, Noise, cumulative, frame_by_frame
from bench.pob_gains import GAINS, course
from bench.pob_honest import CUTS, D, Outcome, judge
from bench.pob_rules import Choice, by_bulyan, by_krum, by_multi_krum
from detectors.behaviour import WINDOW
from detectors.krum import krum
from detectors.observation import Ints
from network.progress import progress

SEED = 2021
# Rounds: of each kind of honest hosts, twice; of each kind of colluders.
HONEST, COLLUDING = 150_000, 3_000
QUICK_HONEST, QUICK_COLLUDING = 2_000, 200
# Lengths of the vector and of the window, in frames and rounds.
LENGTHS = ((5, WINDOW), (D, 1), (D, 2), (D, WINDOW), (20, WINDOW), (60, WINDOW))
# Bulyan bears so many of sixteen.
BULYAN_F = (MINERS - 3) // 4


def honest(rounds: int, seed: int) -> Iterator[str]:
    """The table of honest fogs."""
    yield (
        f"{'hosts':42} {'rounds':>8} {'miners':>9} "
        + " ".join(f"{'far ' + format(cut, 'g'):>9}" for cut in CUTS)
        + (f" {'above':>5} {'both':>5} {'95 % bound':>14}")
    )
    outcomes = []
    for befalls in (False, True):
        for number, kind in enumerate(KINDS):
            with progress(kind.name) as tell:
                outcome = judge(kind, rounds=rounds, seed=seed + number, befalls=befalls, advance=tell)
            outcomes.append(outcome)
            yield _row(replace(outcome, kind=kind.name + (" *" if befalls else "")))
    total = Outcome(
        "all",
        sum(one.rounds for one in outcomes),
        sum(one.miners for one in outcomes),
        {cut: sum(one.far[cut] for one in outcomes) for cut in CUTS},
        sum(one.above for one in outcomes),
        {cut: sum(one.accused[cut] for one in outcomes) for cut in CUTS},
    )
    yield _row(total)
    yield "* with pauses, outages, restarts, reboots, stalls, late and lost readings (bench/disturbances.py)"
    yield f"both, at cut-offs of {', '.join(f'{cut:g}' for cut in CUTS)} bursts: " + ", ".join(
        str(total.accused[cut]) for cut in CUTS
    )


def _row(one: Outcome) -> str:
    far = " ".join(f"{one.far[cut] / one.miners:9.3%}" for cut in CUTS)
    bound = f"1 in {1 / one.bound(one.accused[1.0]):,.0f}"
    return f"{one.kind:42} {one.rounds:8} {one.miners:9} {far} {one.above:5} {one.accused[1.0]:5} {bound:>14}"


def gains(seed: int) -> Iterator[str]:
    """The table of delays."""
    rounds = " ".join(f"round {number}" for number in range(1, WINDOW + 1))
    yield f"{'hosts':9} {'gain':>6}   accused by the end of {rounds}   top {MOST_F}  honest accused"
    for contended in (False, True):
        for gain in GAINS:
            one = course(gain, seed, contended=contended)
            shares = " ".join(f"{share:7.1%}" for share in one.accused)
            name = "contended" if contended else "quiet"
            yield f"{name:9} {gain:6.0%} {'':23} {shares} {one.top:7.1%} {one.wronged:15}"


def hits(vectors: Ints, f: int, told: int) -> tuple[float, float]:
    """Shares of rounds in which exactly the last f miners have the top f scores, and in which B* is one of them."""
    top = best = 0
    for G in vectors:
        result = krum(G, told)
        top += min(result.scores[MINERS - f :]) > max(result.scores[: MINERS - f])
        best += result.best >= MINERS - f
    return top / len(vectors), best / len(vectors)


def colluders(rounds: int, seed: int) -> Iterator[str]:
    """The table of top scores, in percent of rounds; Krum is told that there may be MOST_F."""
    yield f"{'vectors':28} {'noise':12} {'telemetry':10} " + " ".join(
        f"{'f = ' + str(f):>7}" for f in range(1, MOST_F + 1)
    )
    for d, window in LENGTHS:
        yield from _of_length(f"d = {d}, window of {window * d}", d, window, rounds, seed)
    yield from _of_length(f"frame by frame, d = {D}", D, None, rounds, seed)


def _of_length(name: str, d: int, window: int | None, rounds: int, seed: int) -> Iterator[str]:
    for noise in get_args(Noise):
        for same in (False, True):
            shares = []
            for f in range(1, MOST_F + 1):
                rng = np.random.default_rng([seed, d, window or 0, f, same])
                use = Colluders(noise, f, same).use(rng, rounds, (window or 1) * d)
                vectors = frame_by_frame(use, d) if window is None else cumulative(use, d, window)
                shares.append(hits(vectors, f, MOST_F)[0])
            yield f"{name:28} {noise:12} {'identical' if same else 'their own':10} " + " ".join(
                f"{share:7.2%}" for share in shares
            )


def rules(rounds: int, seed: int) -> Iterator[str]:
    """The table of rules, each told f."""
    what = f"{'vectors':16} {'noise':12} {'telemetry':10} {'f':>2}"
    yield f"{what} {'rule':11} {'top f':>7} {'builds on one':>13} {'off by':>8}"
    kinds: tuple[tuple[str, Callable[[Ints], Ints]], ...] = (
        ("cumulative", lambda use: cumulative(use, D)),
        ("frame by frame", lambda use: frame_by_frame(use, D)),
    )
    for name, vectors in kinds:
        for noise in get_args(Noise):
            for same in (False, True):
                for f in (BULYAN_F, MOST_F):
                    use = Colluders(noise, f, same).use(
                        np.random.default_rng([seed, f, same]), rounds, WINDOW * D
                    )
                    for rule in (by_krum, by_multi_krum, *((by_bulyan,) if f <= BULYAN_F else ())):
                        yield (
                            f"{name:16} {noise:12} {'identical' if same else 'their own':10} {f:2} "
                            + _ruled(rule, vectors(use), f)
                        )


def _ruled(rule: Callable[[Ints, int], Choice], vectors: Ints, f: int) -> str:
    """Top f: exactly the colluders are left out as the worst. Off by: the last value, from the honest ones' mean."""
    first = MINERS - f
    top = on = 0
    away = []
    for G in vectors:
        choice = rule(G, f)
        top += min(choice.left[-f:]) >= first
        on += max(choice.picked) >= first
        away.append(abs(choice.benchmark[-1] - G[:first, -1].mean()))
    name = rule.__name__.removeprefix("by_").replace("_", "-")
    return f"{name:11} {top / len(vectors):7.1%} {on / len(vectors):13.1%} {np.mean(away) / 1e4:6.1f} %"


def main(arguments: list[str] | None = None) -> None:
    """Print the four tables."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: OPENBLAS_NUM_THREADS=1 python -m bench.pob --quick",
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: some seconds")
    parser.add_argument("--seed", type=int, default=SEED, help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    clean, colluding = (QUICK_HONEST, QUICK_COLLUDING) if options.quick else (HONEST, COLLUDING)
    for title, lines in (
        (
            "Honest fogs: share of miners in rounds farther from B* than so many bursts",
            honest(clean, options.seed),
        ),
        (
            f"{MOST_F} colluders of {MINERS}: share accused, and fogs where they end with the top scores",
            gains(options.seed),
        ),
        (
            f"Rounds in which exactly f colluders at +10 % have the top f scores, of {colluding}",
            colluders(colluding, options.seed),
        ),
        (f"Rules that build on several vectors, {colluding} rounds each", rules(colluding, options.seed)),
    ):
        print(f"\n== {title}", flush=True)
        for line in lines:
            print(line, flush=True)


if __name__ == "__main__":
    main()
