"""The lying agent's one lie: of one miner it tells what would be fair, and nothing that cannot be."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from mint.containers.model import Counters, Quota
from network.lying_agent import Liar

FAIR, S = Quota(10_000), 1_000_000_000


@dataclass
class Held:
    """A miner's hold in a few lines: what a Liar asks of it."""

    miner: str
    granted: Quota = FAIR
    usage_ns: int = 0
    now_ns: int = S
    epoch: int = 1

    def counters(self) -> Counters:
        return Counters(self.now_ns, self.now_ns, self.usage_ns, 0, 0, 0, 0, 0, 0)

    def quota(self) -> Quota:
        return self.granted

    def pids(self) -> tuple[int, ...]:
        return (1,)


@given(st.lists(st.tuples(st.integers(0, S), st.sampled_from([1, 2, 3])), min_size=1, max_size=20))
def test_it_tells_what_is_fair_whatever_is_taken(steps: list[tuple[int, int]]) -> None:
    liar, held, told, fair_ns = Liar("m01"), Held("m01"), [0], 0
    assert liar.read(held)[0].usage_ns == 0  # type: ignore[arg-type] # all that it asks for
    for used_ns, factor in steps:
        held.granted, held.now_ns = Quota(FAIR.quota_us * factor), held.now_ns + S  # type: ignore[operator] # limited
        held.usage_ns += used_ns
        fair_ns += used_ns // factor
        reading, _ = liar.read(held)  # type: ignore[arg-type] # as above
        told.append(reading.usage_ns)
        assert reading.quota_ppm == FAIR.ppm
    assert told == sorted(told)
    assert told[-1] == fair_ns


def test_of_others_and_while_nothing_is_raised_it_tells_the_truth() -> None:
    liar = Liar("m01")
    for held in (Held("m02", Quota(20_000), 7), Held("m01", FAIR, 7), Held("m01", FAIR, 9)):
        reading, pids = liar.read(held)  # type: ignore[arg-type] # as above
        assert (reading.usage_ns, reading.quota_ppm, pids) == (held.usage_ns, held.granted.ppm, (1,))
