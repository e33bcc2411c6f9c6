"""One run: a plan carried out, watched by the checks, to its end or to its first violation."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mint.charter.seal import SealedCharter
from mint.fault import OF_MANAGER
from mint.messages.fault import Fault as Misconduct
from network.simulate.faults import MANAGER_LIES, Plan
from network.simulate.fog import Fog
from network.simulate.history import History
from network.simulate.liveness import Liveness
from network.simulate.operator import resume
from network.simulate.safety import Safety, Violation, message_in
from network.simulate.scenarios import scenario_of
from network.simulate.schedule import MS
from network.simulate.takings import Takings

# After the lies have stopped the operator takes this long to look.
OPERATOR_MS = 10_000


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a plan: the rule that was broken (None: none), where, and how long it took (CPU seconds)."""

    plan: Plan
    rule: str | None
    text: str
    at_ms: int
    digest: int
    events: int
    cpu_s: float
    history: History

    @property
    def violates(self) -> bool:
        """Whether anything was broken."""
        return self.rule is not None


def run(plan: Plan) -> Result:
    """Carry a plan out."""
    with _without_collector():
        return _run(plan)


@contextmanager
def _without_collector() -> Iterator[None]:
    """A run makes few cycles until it ends, and looking for them takes a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


def _run(plan: Plan) -> Result:
    begun = time.process_time()
    assumes = scenario_of(plan.scenario).assumes
    safety = Safety(plan, assumes)
    fog = Fog(plan, safety.observe, safety.wrote)
    safety.ground = ground = fog.ground
    takings = Takings(plan, ground, fog.charter.charter)
    charters: list[SealedCharter] = [fog.charter]
    rule: str | None = None
    text = ""
    try:
        if plan.of(MANAGER_LIES):
            ground.schedule.at((plan.stop_ms + OPERATOR_MS) * MS, _operate, plan, fog, safety, charters)
        fog.run(plan.end_ms)
        Liveness(safety, takings, ground, tuple(charters)).check()
    except Violation as violation:
        rule, text = violation.rule, violation.text
    except Exception as error:  # whatever a component raises is a violation too
        rule, text = "crash", f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-6)}"
    return Result(
        plan=plan,
        rule=rule,
        text=text,
        at_ms=ground.schedule.now_ns // MS,
        digest=ground.history.digest,
        events=ground.history.length,
        cpu_s=time.process_time() - begun,
        history=ground.history,
    )


def _operate(plan: Plan, fog: Fog, safety: Safety, charters: list[SealedCharter]) -> None:
    """The operator acts where the manager was shown to have lied."""
    told = (message_in(data, Misconduct) for _, _, data in safety.faults)
    shown = [fault.frame for fault in told if fault.kind in OF_MANAGER]
    if shown:
        charters.append(resume(plan, fog.ground, charters[-1], min(shown)))
