"""Every detector over every trace: the work, in pieces that can be done side by side, and what comes of it.

    Plan -> Piece ... -> traces -> scores -> Outcome ... -> Choice for each detector -> Judged

A piece is one kind of noise, one half of the traces, and cheats or honest traces of it. Scores are reduced where they
are made (tuning.py), so that the pieces' outcomes are small.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from bench.detection import ours, tuning
from bench.detection.noise import Ints, Noise, Recorded, beside, latest_read, percentages
from bench.detection.peers import PEERS, About, Floats
from bench.detection.scenarios import CHEATS, DISTURBANCES, Cheat, Disturbance, cheated, neighbours
from bench.detection.tuning import Cheating, Honest
from mint.charter.model import Detection
from network.trace import Trace

SEED = 2021
# Readings before a cheat begins, at least and at most: in the midst of things, when whoever learns has learned.
# Where so much was not recorded it begins after a half of what was.
SETTLED = (580, 600)
# Readings of an honest trace: half an hour; a disturbance begins in its second quarter.
HONEST = 1801
UNDISTURBED = "undisturbed"
# What accuses by itself scores 1 where it does, 0 elsewhere.
ACCUSES = 0.5
TUNE, JUDGE = 0, 1

DETECTORS: tuple[About, ...] = (*ours.OURS, *(peer.about for peer in PEERS))
Part = Literal["cheats", "honest"]


@dataclass(frozen=True)
class Plan:
    """How many traces of each kind of noise and half.

    `cases`: of each cheat. `plain`: honest and undisturbed. `disturbed`: honest, of each disturbance.
    """

    noises: tuple[Noise, ...]
    detection: Detection
    cases: int
    plain: int
    disturbed: int


@dataclass(frozen=True)
class Piece:
    """One piece of the work."""

    noise: Noise
    half: int
    part: Part


@dataclass(frozen=True)
class Batch:
    """Traces of one length side by side; `names`: each column's scenario.

    `last`: of cheats, each column's last reading before it began, else None. `others`: honest miners of the same
    kind, for Proof-of-Behavior.
    """

    trace: Trace
    names: tuple[str, ...]
    last: Ints | None = None
    others: Trace | None = None


@dataclass
class Outcome:
    """What a piece came to. `honest`, by detector and scenario, one of each variant; `cheating` likewise, each case.

    `points`: ticks x traces that were scored.
    """

    piece: Piece
    points: int = 0
    honest: dict[tuple[str, str], list[Honest]] = field(default_factory=dict)
    cheating: dict[tuple[str, str], list[list[Cheating]]] = field(default_factory=dict)


def pieces(plan: Plan) -> list[Piece]:
    """All of the work, the longest pieces first."""
    return [
        Piece(noise, half, part)
        for part in ("honest", "cheats")
        for noise in plan.noises
        for half in (TUNE, JUDGE)
    ]


def run(plan: Plan, piece: Piece) -> Outcome:
    """Make the traces of a piece, and let every detector score them."""
    outcome = Outcome(piece)
    for batch in batches(plan, piece):
        outcome.points += batch.trace.present.size
        for about, scores in scored(batch, plan.detection):
            _take(outcome, batch, about, scores)
    return outcome


def scored(batch: Batch, detection: Detection) -> Iterator[tuple[About, Floats]]:
    """The scores of every detector that can say something of the batch, (variants, T, n)."""
    bare = percentages(batch.trace)
    by_name = ours.scores(batch.trace, bare, detection)
    if batch.trace.counters is not None:
        by_name[ours.BEHAVIOUR.name] = ours.behaviour(batch.trace, batch.others, detection)
    for about in ours.OURS:
        if about.name in by_name:
            yield about, by_name[about.name]
    for peer in PEERS:
        yield peer.about, peer.scores(bare)


def _take(outcome: Outcome, batch: Batch, about: About, scores: Floats) -> None:
    columns = {name: np.flatnonzero(np.array(batch.names) == name) for name in dict.fromkeys(batch.names)}
    for name, chosen in columns.items():
        key = about.name, name
        if batch.last is None:
            parts = [tuning.honest([variant[:, chosen]]) for variant in scores]
            known = outcome.honest.get(key)
            joined = (
                parts if known is None else [tuning.together(pair) for pair in zip(known, parts, strict=True)]
            )
            outcome.honest[key] = joined
        else:
            cases = [
                [
                    tuning.cheating(variant[:, column], int(batch.last[column]), about.early)
                    for variant in scores
                ]
                for column in chosen
            ]
            outcome.cheating.setdefault(key, []).extend(cases)


# --- traces -----------------------------------------------------------------------------------------


def batches(plan: Plan, piece: Piece) -> Iterator[Batch]:
    """The traces of a piece, the same at every call."""
    key = zlib.crc32(f"{piece.noise.name} {piece.half} {piece.part}".encode())
    rng = np.random.Generator(np.random.SFC64([SEED, key]))
    if piece.part == "honest":
        yield from _honest(plan, piece, rng)
        return
    for horizon in sorted({cheat.horizon for cheat in CHEATS}):
        chosen = [cheat for cheat in CHEATS if cheat.horizon == horizon]
        yield _cheats(plan, piece, chosen, SETTLED[1] + horizon + 1, rng)


def _cheats(plan: Plan, piece: Piece, cheats: Sequence[Cheat], ticks: int, rng: np.random.Generator) -> Batch:
    traces, lasts = [], []
    for cheat in cheats:
        trace = piece.noise.honest(rng, plan.cases, ticks, piece.half)
        offset = rng.random(plan.cases)
        begins = np.minimum(rng.integers(*SETTLED, plan.cases), len(trace.ticks) // 2)
        last = latest_read(trace, begins)
        if cheat.at_once:
            last, offset = np.zeros_like(last), np.zeros_like(offset)
        traces.append(cheated(trace, cheat, last, offset))
        lasts.append(last)
    names = tuple(cheat.name for cheat in cheats for _ in range(plan.cases))
    others = None
    if piece.noise.counters:
        others = piece.noise.honest(rng, ours.FOG - ours.CHEATS_A_FOG, ticks, piece.half)
    return Batch(beside(traces), names, np.concatenate(lasts), others)


def _honest(plan: Plan, piece: Piece, rng: np.random.Generator) -> Iterator[Batch]:
    noise, half = piece.noise, piece.half
    trace = noise.whole(half) if isinstance(noise, Recorded) else noise.honest(rng, plan.plain, HONEST, half)
    yield Batch(trace, (UNDISTURBED,) * len(trace.miners))
    traces, names = [], []
    for disturbance in DISTURBANCES:
        if applies(disturbance, noise):
            trace = noise.honest(rng, plan.disturbed, HONEST, half)
            T = len(trace.ticks)
            at = latest_read(trace, rng.integers(T // 4, T // 2, plan.disturbed))
            traces.append(disturbance.apply(trace, at, rng))
            names += [disturbance.name] * plan.disturbed
    yield Batch(beside(traces), tuple(names))


def applies(disturbance: Disturbance, noise: Noise) -> bool:
    """Whether it can happen to such traces: neighbours come only to simulated hosts that have none."""
    if disturbance.apply is neighbours:
        return noise.name != "contended" and not isinstance(noise, Recorded)
    return noise.counters or not disturbance.counters


# --- choices, and what they bring -------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """How a detector is set: a variant, and the threshold above which it accuses."""

    variant: int
    threshold: float


@dataclass(frozen=True)
class Judged:
    """A detector on the judging half.

    `delays`: by (noise, cheat), of each case, ticks; `hours`: of those traces. `false`: by (noise, scenario),
    accusations of honest traces, and their hours.
    """

    about: About
    choice: Choice
    delays: Mapping[tuple[str, str], Floats]
    hours: Mapping[tuple[str, str], float]
    false: Mapping[tuple[str, str], tuple[int, float]]

    def pick(self, noises: Iterable[str], cheat: str | None = None) -> Floats:
        """The delays on these kinds of noise, of one cheat or of all."""
        wanted = set(noises)
        chosen = [
            delays
            for (noise, name), delays in self.delays.items()
            if noise in wanted and cheat in (None, name)
        ]
        return np.concatenate(chosen) if chosen else np.zeros(0)

    def accused(self, noises: Iterable[str], scenario: str | None = None) -> tuple[int, float]:
        """False accusations, and the hours they came in."""
        wanted = set(noises)
        chosen = [
            pair for (noise, name), pair in self.false.items() if noise in wanted and scenario in (None, name)
        ]
        return sum(count for count, _ in chosen), sum(hours for _, hours in chosen)

    def f1(self, noises: Sequence[str], cheat: str | None = None) -> float:
        """F1 where honest miners run for as many hours as those that cheat."""
        delays = self.pick(noises, cheat)
        found = int(np.isfinite(delays).sum())
        count, hours = self.accused(noises)
        cheating = sum(
            h for (noise, name), h in self.hours.items() if noise in noises and cheat in (None, name)
        )
        expected = count * cheating / hours if hours else 0.0
        return tuning.f1(found, len(delays) - found, expected)


def judge(outcomes: Sequence[Outcome]) -> list[Judged]:
    """Choose each detector's variant and threshold on one half, and judge it on the other."""
    return [_judged(about, outcomes) for about in DETECTORS]


def choose(about: About, outcomes: Sequence[Outcome]) -> Choice:
    """The variant with the best F1 on the tuning half, its threshold that of the tolerated rate."""
    if not about.tuned:
        return Choice(0, ACCUSES)
    best, chosen = -1.0, Choice(0, np.inf)
    tune = [outcome for outcome in outcomes if outcome.piece.half == TUNE]
    for variant in range(len(about.variants)):
        parts = [
            each[variant] for one in tune for (name, _), each in one.honest.items() if name == about.name
        ]
        threshold = tuning.together(parts).threshold(tuning.TOLERATED_AN_HOUR)
        if about.settled and threshold >= 1:
            continue  # it accuses too often, and there is nothing else to set
        choice = Choice(variant, threshold)
        judged = _with(about, choice, tune)
        score = judged.f1(sorted({outcome.piece.noise.name for outcome in tune}))
        if score > best:
            best, chosen = score, choice
    return chosen


def _judged(about: About, outcomes: Sequence[Outcome]) -> Judged:
    choice = choose(about, outcomes)
    return _with(about, choice, [outcome for outcome in outcomes if outcome.piece.half == JUDGE])


def _with(about: About, choice: Choice, outcomes: Sequence[Outcome]) -> Judged:
    delays, hours, false = {}, {}, {}
    for outcome in outcomes:
        noise = outcome.piece.noise.name
        for (name, scenario), cases in outcome.cheating.items():
            if name == about.name:
                found = [case[choice.variant].delay(choice.threshold) for case in cases]
                delays[noise, scenario] = np.array(found)
                hours[noise, scenario] = sum(case[0].ticks for case in cases) / tuning.TICKS_AN_HOUR
        for (name, scenario), variants in outcome.honest.items():
            if name == about.name:
                honest = variants[choice.variant]
                false[noise, scenario] = (honest.accusations(choice.threshold), honest.hours)
    return Judged(about, choice, delays, hours, false)
