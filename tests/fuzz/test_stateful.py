"""One component at a time amid lies that hypothesis chooses, so that what fails is shrunk to the few that matter.

The others are there and honest; what is injected reaches the one alone, so every step is a message more to it.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.fuzz.campaign import CASTS, Lies
from tests.fuzz.fog import Fog
from tests.fuzz.laws import Laws

EXAMPLES, STEPS = 15, 25
# All that a test waits for: a frame needs 1.25 periods at the most, learning how far the log has come a few seconds.
GOES_ON_S = 8


class Amid(RuleBasedStateMachine):
    """A component (`target`) amid lies."""

    target = ""

    @initialize(cast=st.sampled_from(CASTS), seed=st.integers(0, 3))
    def begin(self, cast: tuple[str, ...], seed: int) -> None:
        self.cast, self.laws = cast, Laws(cast)
        self.fog = Fog(self.laws, seed)
        self.lies = Lies(self.fog, cast)
        self.fog.run(3)

    @rule(rng=st.randoms(use_true_random=False), count=st.integers(1, 8))
    def lie(self, rng: random.Random, count: int) -> None:
        for _ in range(count):
            self.lies.tell(rng, only=self.target)

    @rule(seconds=st.sampled_from((0.01, 0.5, 1.0, 4.0)))
    def time_passes(self, seconds: float) -> None:
        self.fog.run(seconds)

    @rule()
    def the_connection_comes_back(self) -> None:
        self.fog.actors[self.target].connected()
        self.fog.deliver()

    @rule()
    def it_is_killed_and_starts_again(self) -> None:
        self.fog.restart(self.target)

    @rule(effects=st.integers(0, 6))
    def it_is_killed_amid_what_it_does(self, effects: int) -> None:
        self.fog.kill(self.target, effects)

    @precondition(lambda self: not self.laws.cheats)
    @rule()
    def a_miner_cheats(self) -> None:
        self.laws.cheats.add("m01")
        self.fog.cheat("m01")

    @invariant()
    def what_it_remembers_is_bounded(self) -> None:
        if hasattr(self, "fog"):
            self.laws.check(self.fog.actors[self.target])

    def teardown(self) -> None:
        if not hasattr(self, "fog") or "manager" in self.cast:
            return
        frame = self.fog.frame
        self.fog.run(GOES_ON_S)
        assert self.fog.frame > frame, "no frame is closed any more"


@pytest.mark.parametrize("target", ["manager", "det1", "enforcer", "edge1"])
def test_whatever_one_component_is_told_the_laws_hold(target: str) -> None:
    machine: Any = type(f"Amid_{target}", (Amid,), {"target": target})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)
    )
