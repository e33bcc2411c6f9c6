"""What all parts of detection together say of every miner, tick by tick. No clock, socket, file or random source.

    Observation -> budget law -> work -> SSA -> (the nature of the telemetry) -> Proof-of-Behavior -> Findings

A detector of a live network feeds it from the frame log (detectors/core.py), `mint replay` from a recorded trace: the
same code, the same findings. What a finding decides depends on the law that holds the miner to its entitlement:

| law | budget | SSA's W above h | Proof-of-Behavior |
|---|---|---|---|
| kernel: a CFS quota | convicts | alarm | accuses |
| soft: a duty cycle | convicts, with a wider burst | accuses | accuses |
| none: bare percentages | - | accuses | - |

Where a ledger is mined, work that reported CPU time does not explain convicts, whatever the law.

The preset `paper` is the paper to the letter, for research: W of equation 8 above h of equation 9 is an
alarm, Krum over d values of W scores every miner, nothing else looks, and nobody is accused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from detectors.behaviour import Round, Window
from detectors.behaviour_paper import PaperWindow
from detectors.budget import RESTART_WITHIN, RESTARTS, Ledger
from detectors.nature.stream import Nature
from detectors.observation import Bools, Floats, Ints, Law, Observation
from detectors.ssa.direction import Direction
from detectors.ssa.parameters import CALIBRATED, PAPER, SsaParameters
from detectors.ssa.statistics import Statistics
from detectors.ssa.stream import SsaStream
from detectors.work import WorkLedger
from mint.budget import BudgetRule
from mint.charter.model import Detection, budget_rule
from mint.messages.judgement import Evidence
from mint.work import NS_PER_S, Count, WorkRule

# W wavers about h for long after a gain has ended: it is said again only after it was below this share of h.
REARM = 0.5
# Ticks for which a lie that was told once stands: a vote may have to wait for a sample.
LASTING = 30


@dataclass(frozen=True, slots=True)
class Terms:
    """What one miner is held to. `device` tells one miner of a name from another that moved elsewhere.

    `work`: how many shares its CPU time explains, None where it mines no ledger.
    """

    name: str
    entitled_ppm: int
    law: Law
    device: str = ""
    work: WorkRule | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that began with this tick, for people; `decides`: an accusation, else an alarm."""

    miner: str
    detector: Literal["budget", "ssa", "pob", "work", "dark"]
    reason: str
    decides: bool


@dataclass(frozen=True, slots=True)
class Conviction:
    """What stands against a miner at this tick: since which number, how much it took, and by which evidence."""

    miner: str
    row: int
    evidence: Evidence
    since: int
    reason: str
    excess_ns: int


@dataclass(frozen=True)
class Findings:
    """One tick's result; `levels_ns`: the budget law's levels, (n,)."""

    number: int
    found: tuple[Finding, ...]
    convictions: tuple[Conviction, ...]
    statistics: Statistics
    levels_ns: Ints
    round: Round | None


class Judge:
    """The judgement of n miners."""

    def __init__(
        self, terms: Sequence[Terms], detection: Detection, *, period_ns: int, f_miners: int
    ) -> None:
        n = len(terms)
        self.parameters = ssa_parameters(detection)
        self._set(terms, detection, period_ns, f_miners)
        self.ledger = Ledger(self._rules())
        self.work = WorkLedger([one.work for one in self.terms])
        self.ssa = SsaStream(n, self.parameters)
        self.direction = Direction(n)
        self.nature = Nature(n)
        self.window = _window(detection, n)
        self._standing: set[tuple[str, str, bool]] = set()
        self._lies: dict[str, tuple[int, str]] = {}

    def _set(self, terms: Sequence[Terms], detection: Detection, period_ns: int, f_miners: int) -> None:
        self.terms, self.detection = tuple(terms), detection
        self._period_ns, self._f_miners = period_ns, f_miners
        self.names = tuple(one.name for one in terms)
        self._rows = {name: row for row, name in enumerate(self.names)}
        self._counted = np.array([one.law != "none" for one in terms], bool)
        self._lawful = np.array([one.law == "kernel" for one in terms], bool)

    def _rules(self) -> list[BudgetRule]:
        return [budget_rule(self.detection, one.entitled_ppm, one.law, self._period_ns) for one in self.terms]

    def adopt(
        self, terms: Sequence[Terms], detection: Detection, *, period_ns: int, f_miners: int
    ) -> tuple[str, ...]:
        """Go by these terms from the next tick on; the miners whose terms stay keep their past, and are returned.

        Everyone else begins anew, as do all where a parameter of theirs changed.
        """
        old_rows, old_rules = self._rows, dict(zip(self.terms, self.ledger.rules, strict=True))
        old_detection = self.detection
        self._set(terms, detection, period_ns, f_miners)
        rules = self._rules()
        kept = {one for one, rule in zip(self.terms, rules, strict=True) if old_rules.get(one) == rule}
        origin = [old_rows[one.name] if one in kept else -1 for one in self.terms]
        self.ledger.arrange(origin, rules)
        self.work.arrange(origin, [one.work for one in self.terms])
        self.direction.arrange(origin)
        self.nature.arrange(origin)
        parameters = ssa_parameters(detection)
        if parameters == self.parameters:
            self.ssa.arrange(origin)
        else:
            self.parameters, self.ssa = parameters, SsaStream(len(terms), parameters)
        if (detection.d, detection.preset) == (old_detection.d, old_detection.preset):
            self.window.arrange(origin)
        else:
            self.window = _window(detection, len(terms))
        names = {one.name for one in kept}
        self._standing = {key for key in self._standing if key[0] in names}
        self._lies = {name: lie for name, lie in self._lies.items() if name in names}
        return tuple(names)

    def dark(self) -> list[str]:
        """Of whom there was no reading for so long, or never since these terms began, by name."""
        silent = self.ledger.silent >= self.detection.dark_frames
        return [self.names[row] for row in np.flatnonzero(self._counted & silent)]

    def decided(self, miners: Collection[str]) -> None:
        """Verdicts on these miners are in the log: their level is about to change rightfully."""
        self.ssa.reset(*self._rows_of(miners))
        for miner in miners:
            self._lies.pop(miner, None)

    def step(self, seen: Observation, spared: Collection[str] = ()) -> Findings:
        """Take in the next tick; `spared` are not judged, and what they used so far is not held against them."""
        counted = seen.present & self._counted
        self.ledger.push(seen, counted)
        self.work.push(seen, counted)
        if rows := self._rows_of(spared):
            self.ledger.rebaseline(*rows)
            self.work.rebaseline(*rows)
            self.window.forget(*rows)
            self.direction.forgive(*rows)
        percent = self.ledger.share if seen.percent is None else seen.percent
        known = seen.present & np.isfinite(percent)
        statistics = self._statistics(percent, known, seen.percent is None)
        due, round_ = seen.number % self.detection.d == 0, None
        if isinstance(self.window, PaperWindow):
            self.window.push(seen.number, statistics.W)
            if due:
                round_ = self.window.round(self.names, self._f_miners)
            return self._findings(seen, statistics, self._changed(statistics), [], round_)
        self.window.push(seen.number, self.ledger)
        if due:
            round_ = self.window.round(self.names, self.ledger, self._f_miners)
        doubts = self._listen(seen, percent, known)
        convictions = [
            *self._broken(),
            *self._worked(),
            *self._grown(seen, statistics),
            *self._unlike(round_),
            *self._lying(seen.number),
        ]
        judged = [one for one in convictions if one.miner not in spared]
        return self._findings(
            seen, statistics, doubts + self._warned(seen.number, statistics), judged, round_
        )

    def _statistics(self, percent: Floats, known: Bools, counted: bool) -> Statistics:
        statistics = self.ssa.push(np.where(known, percent, 0.0), known)
        if self.detection.preset == "paper":
            return statistics
        # A late reading makes a percentage of a few ms: what was gained in it is no more than that.
        self.direction.push(100.0 + self.ledger.gain if counted else percent, known)
        return Statistics(statistics.D, self.direction.S, self.direction.W, statistics.h)

    def _broken(self) -> list[Conviction]:
        """Who broke the budget law, where two readings can prove it."""
        found = []
        for row in np.flatnonzero(self.ledger.convicted):
            since = self.ledger.began(int(row))
            if since is not None:
                reason = f"{self.ledger.level[row] / 1e6:.1f} ms of CPU above entitlement since {since}"
                found.append(self._conviction(int(row), "budget", since, reason))
        return found

    def _conviction(self, row: int, evidence: Evidence, since: int, reason: str) -> Conviction:
        """By anything but work: what was taken is what the budget law's books say."""
        return Conviction(self.names[row], row, evidence, since, reason, int(self.ledger.level[row]))

    def _worked(self) -> list[Conviction]:
        """Who showed more shares than the CPU time that it reports explains."""
        found = []
        for row in np.flatnonzero(self.work.convicted).tolist():
            rule, (shares, used_ns) = self.work.rules[row], self.work.shown(row)
            assert rule is not None  # noqa: S101 (nobody else is convicted)
            since, excess_ns = self.work.began(row), rule.excess_ns(Count(0, 0), Count(used_ns, shares))
            told_s, more_s = used_ns / NS_PER_S, excess_ns / NS_PER_S
            reason = (
                f"{shares} shares since {since} with {told_s:.2f} s of CPU take {more_s:.2f} s more: "
                "it reports too little, or its code is faster than the image"
            )
            found.append(Conviction(self.names[row], row, "work", since, reason, excess_ns))
        return found

    def _grown(self, seen: Observation, statistics: Statistics) -> list[Conviction]:
        """Whose use grows above entitlement by more than its noise, where no kernel law holds."""
        decides = ~self._lawful if seen.percent is None else np.ones(len(self.names), bool)
        rows = np.flatnonzero(decides & (statistics.h < statistics.W))
        since = seen.number - 1
        return [self._conviction(row, "ssa", since, _growth(statistics, row)) for row in rows.tolist()]

    def _unlike(self, round_: Round | None) -> list[Conviction]:
        """Who is far from the benchmark and above its entitlement."""
        found = []
        if round_ is None:
            return []
        for row in round_.accused:
            since = self.ledger.began(row)
            if since is not None:
                above_ms = self.ledger.level[row] / 1e6
                reason = f"{above_ms:.1f} ms of CPU above entitlement, unlike {round_.benchmark}"
                found.append(self._conviction(row, "pob", since, reason))
        return found

    def _listen(self, seen: Observation, percent: Floats, known: Bools) -> list[Finding]:
        """Whether telemetry changed its nature: sure lies are kept for `_lying`, doubts are for people."""
        none = np.zeros(len(known), np.int64)
        used, elapsed = (self.ledger.used, self.ledger.elapsed) if seen.percent is None else (none, none)
        lies = self.nature.push(seen.number, known, percent, used, elapsed)
        self._lies |= {
            self.names[lie.row]: (seen.number, lie.reason(self.names)) for lie in lies if lie.decides
        }
        return [
            Finding(self.names[lie.row], "ssa", lie.reason(self.names), decides=False)
            for lie in lies
            if not lie.decides
        ]

    def _lying(self, number: int) -> list[Conviction]:
        """Whose telemetry was told to be no telemetry a little while ago."""
        self._lies = {name: lie for name, lie in self._lies.items() if number - lie[0] < LASTING}
        return [
            self._conviction(self._rows[name], "ssa", began - 1, reason)
            for name, (began, reason) in self._lies.items()
        ]

    def _warned(self, number: int, statistics: Statistics) -> list[Finding]:
        """Alarms: growth where the kernel's law decides, silence, and books that cannot say what was used."""
        rows = np.flatnonzero(self._lawful & (statistics.h < statistics.W))
        found = [
            Finding(self.names[row], "ssa", _growth(statistics, row), decides=False) for row in rows.tolist()
        ]
        found += [
            Finding(name, "dark", f"no sample for {self.detection.dark_frames} ticks", decides=False)
            for name in self.dark()
        ]
        often = f"its counter or clock began again {RESTARTS + 1} times in {RESTART_WITHIN} ticks"
        found += [
            Finding(self.names[row], "dark", f"{often}: what it used in between is not known", decides=False)
            for row in np.flatnonzero(self._counted & self.ledger.restless(number))
        ]
        return found

    def _changed(self, statistics: Statistics) -> list[Finding]:
        """The paper's alarm."""
        rows = np.flatnonzero(statistics.h < statistics.W)
        return [
            Finding(
                self.names[row],
                "ssa",
                f"W = {statistics.W[row]:.3f} above h = {statistics.h[row]:.3f}: the structure of its use changed",
                decides=False,
            )
            for row in rows
        ]

    def _findings(
        self,
        seen: Observation,
        statistics: Statistics,
        alarms: list[Finding],
        convictions: list[Conviction],
        round_: Round | None,
    ) -> Findings:
        """What stands now, and of that what did not stand a tick ago.

        The law's word outlives a tick without a reading: a missing sample ends no offence.
        """
        said = [Finding(one.miner, one.evidence, one.reason, decides=True) for one in convictions] + alarms
        standing = {(one.miner, one.detector, one.decides): one for one in said}
        found = tuple(one for key, one in standing.items() if key not in self._standing)
        above = self.ledger.above
        calm = statistics.h * (1 if self.detection.preset == "paper" else REARM) > statistics.W
        lasting = {key for key in self._standing if not self._over(key, above, calm)}
        self._standing = set(standing) | lasting
        return Findings(seen.number, found, tuple(convictions), statistics, self.ledger.level.copy(), round_)

    def _over(self, key: tuple[str, str, bool], above: Bools, calm: Bools) -> bool:
        """Whether what stood a tick ago is over, if nothing says it now."""
        row, detector = self._rows[key[0]], key[1]
        if detector in ("budget", "pob"):
            return not above[row]
        if detector == "work":
            return not self.work.above(row)
        return bool(calm[row]) if detector == "ssa" else True

    def origins(self, row: int) -> set[int]:
        """Numbers of the readings that an accusation of `row` might still need, however long it is silent."""
        return {*self.ledger.origins(row), *self.work.origins(row)}

    def _rows_of(self, miners: Collection[str]) -> list[int]:
        return [self._rows[miner] for miner in miners if miner in self._rows]

    def state(self) -> dict[str, Any]:
        """Everything that later findings depend on but terms and parameters, as plain data."""
        return {
            "ledger": self.ledger.state(),
            "work": self.work.state(),
            "ssa": self.ssa.snapshot(),
            "direction": self.direction.state(),
            "nature": self.nature.state(),
            "window": self.window.state(),
            "standing": sorted(self._standing),
            "lies": self._lies,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`, taken under the same terms and parameters."""
        self.ledger.restore(state["ledger"])
        self.work.restore(state["work"])
        self.ssa = SsaStream.restore(state["ssa"], self.parameters)
        self.direction.restore(state["direction"])
        self.nature = Nature.restore(state["nature"])
        self.window.restore(state["window"])
        self._standing = {(miner, detector, decides) for miner, detector, decides in state["standing"]}
        self._lies = {miner: (number, reason) for miner, (number, reason) in state["lies"].items()}


def _growth(statistics: Statistics, row: int) -> str:
    return f"use grows above entitlement: W = {statistics.W[row]:.2f} above h = {statistics.h[row]:.2f}"


def _window(detection: Detection, miners: int) -> Window | PaperWindow:
    """The preset's behaviour vectors."""
    return (PaperWindow if detection.preset == "paper" else Window)(detection.d, miners)


def ssa_parameters(detection: Detection) -> SsaParameters:
    """The parameters of equations 3 to 9, on top of the preset's."""
    preset = PAPER if detection.preset == "paper" else CALIBRATED
    return replace(
        preset,
        N=detection.N,
        L=detection.L,
        p=detection.p,
        q=detection.q,
        l=detection.eigentriples,
        t_alpha=detection.t_alpha_micro / 1e6,
        threshold=detection.ssa_threshold_milli / 1000 or preset.threshold,
    )
