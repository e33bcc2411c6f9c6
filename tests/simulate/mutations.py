"""Deliberate mistakes in the components, each of which `mint simulate` has to find.

A mistake is a patch of one rule; beside it stands a scenario and a seed that show it, and the guarantees
(docs/agreement.md) one of which it breaks there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import mint.envelope
import mint.verdict
import network.simulate.charter
import network.simulate.signing
from detectors.core import DetectorCore
from detectors.detector import Detector
from detectors.follower import Follower
from detectors.offences import Offences
from detectors.watch import Watch
from detectors.work import WorkLedger
from enforcer.core import Core
from enforcer.ledger import Case
from enforcer.missing import Missing
from enforcer.state import Saved
from mint.budget import BudgetRule
from mint.charter.model import Charter
from mint.effects import Effect, Keep
from mint.errors import Reason, Rejected
from mint.work import WorkRule
from network.simulate.disks import EnforcerDisk
from twin_broker import core as manager_core
from twin_broker.learning import Learning
from twin_broker.manager import Manager

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutation:
    """A mistake, where it shows (a run of how many simulated minutes), and as what."""

    name: str
    patch: Patch
    scenario: str
    seed: int
    breaks: frozenset[str]
    minutes: float


MUTATIONS: list[Mutation] = []


def mutation(scenario: str, seed: int, breaks: str, minutes: float = 8.0) -> Callable[[Patch], Patch]:
    """Register a mistake."""

    def register(patch: Patch) -> Patch:
        name = patch.__name__.replace("_", " ")
        MUTATIONS.append(Mutation(name, patch, scenario, seed, frozenset(breaks.split()), minutes))
        return patch

    return register


# --- verdicts ---------------------------------------------------------------------------------------


@mutation("lying-detector", 0, "S1 S2")
def one_vote_is_a_quorum(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(Charter, "quorum", property(lambda _: 1))


@mutation("lying-detector", 0, "S1 S2")
def a_detector_that_votes_twice_counts_twice(mp: pytest.MonkeyPatch) -> None:
    honest = mint.verdict._accusations

    def counted(verdict: Any, charter: Charter, trust: Any) -> Any:
        found, frame_hash = honest(verdict, _Lenient(charter), trust)  # type: ignore[arg-type]
        if len(verdict.votes) < charter.quorum:
            raise Rejected(Reason.NO_QUORUM, "too few")
        return found, frame_hash

    mp.setattr(mint.verdict, "_accusations", counted)


class _Lenient:
    """A charter whose quorum is one."""

    quorum = 1

    def __init__(self, charter: Charter) -> None:
        self._charter = charter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._charter, name)


@mutation("lying-detector", 0, "S1 S2")
def signatures_are_not_checked(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(network.simulate.charter, "verifies", lambda *_: True)


@mutation("inventing-manager", 0, "S1")
def samples_need_not_show_what_a_verdict_says(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(BudgetRule, "proves", lambda *_: True)


@mutation("calm", 0, "S1")
def the_law_allows_nothing_above_entitlement(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(BudgetRule, "allowed_ns", property(lambda _: 1_000_000))


# --- votes ------------------------------------------------------------------------------------------


@mutation("crash", 0, "S5")
def a_vote_is_told_before_it_is_kept(mp: pytest.MonkeyPatch) -> None:
    honest = Detector._judge

    def judge(self: Detector, frame: Any) -> list[Effect]:
        effects = honest(self, frame)
        return sorted(effects, key=lambda effect: isinstance(effect, Keep))

    mp.setattr(Detector, "_judge", judge)


@mutation("calm", 0, "L3")
def a_detector_counts_offences_itself(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(Offences, "next", lambda self, miner: self._decided.get(miner, 0) + 2)


# --- the log ----------------------------------------------------------------------------------------


@mutation("backup", 7, "S6")
def a_manager_does_not_learn_how_far_its_log_has_come(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(Learning, "done", property(lambda _: True))


@mutation("crash", 0, "S6")
def a_frame_is_told_before_it_is_kept(mp: pytest.MonkeyPatch) -> None:
    honest = Manager.tick

    def tick(self: Manager, now: Any) -> list[Effect]:
        return sorted(honest(self, now), key=lambda effect: isinstance(effect, Keep))

    mp.setattr(Manager, "tick", tick)


@mutation("equivocating-manager", 0, "S4")
def two_frames_of_one_number_are_not_noticed(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(Detector, "_take", lambda self, frame: (self._course.follower.take(frame) and []) or [])


@mutation("inventing-manager", 5, "S1 S7")
def nobody_watches_the_manager(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(Watch, "watches", lambda *_: False)


@mutation("calm", 0, "S3 S4 L1 L3")
def an_offence_is_decided_again_and_again(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(manager_core.TwinManager, "next_offence", lambda self, miner: 1)


@mutation("crash", 0, "L1 L3")
def a_detector_does_not_ask_for_frames_it_missed(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(Follower, "missing", lambda _: None)


# --- detection and enforcement ----------------------------------------------------------------------


@mutation("calm", 0, "L1")
def nobody_is_convicted(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(DetectorCore, "_accuse", lambda *_: None)


@mutation("liar", 1, "L1")
def work_convicts_nobody(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(WorkLedger, "push", lambda *_: None)


@mutation("liar", 1, "S1")
def work_convicts_whoever_mines(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(WorkRule, "bounds", (0, 0))


@mutation("calm", 0, "L1")
def an_enforcer_takes_up_no_verdict(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(Core, "accept", lambda *_: False)


@mutation("calm", 1, "L1")
def a_penalty_never_ends(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(Case, "over", lambda *_: False)


@mutation("crash", 0, "L1")
def an_enforcer_forgets_its_cases_when_it_starts(mp: pytest.MonkeyPatch) -> None:
    """But not that it took them up: of those that it does not know at all it hears again."""
    honest = EnforcerDisk.load

    def load(self: EnforcerDisk) -> Saved:
        saved = honest(self)
        states = {name: msgspec.structs.replace(state, cases=()) for name, state in saved.states.items()}
        return replace(saved, states=states)

    mp.setattr(EnforcerDisk, "load", load)


@mutation("calm", 0, "S2")
def an_enforcer_punishes_drift(mp: pytest.MonkeyPatch) -> None:
    honest = Core._unjudged

    def unjudged(self: Core, miner: Any, state: Any, seen: Any, now_ns: int) -> Any:
        plan = honest(self, miner, state, seen, now_ns)
        if plan.notes:
            lead: Any = SimpleNamespace(share_ppm=500_000)
            wish = self._low(miner, state, lead)
            return type(plan)(seen, plan.state, wish, plan.notes)
        return plan

    mp.setattr(Core, "_unjudged", unjudged)


@mutation("mixed", 2735, "L3", minutes=10.0)
def a_verdict_that_passed_the_enforcer_by_is_not_asked_for(mp: pytest.MonkeyPatch) -> None:
    mp.setattr(Missing, "ask", lambda *_: [])
