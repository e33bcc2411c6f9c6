import os
import time

from hypothesis import given
from hypothesis import strategies as st

from agents.pow.duty_limiter import Bucket, cpu_clock, memory_and_io

QUOTA_NS = 6_000_000


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4 * QUOTA_NS))))
def test_over_any_window_use_is_at_most_quota_and_one_overrun(history: list[tuple[int, int]]) -> None:
    """A process runs only with credit, so what it gets is bounded whatever it takes in one look."""
    bucket, used, periods, longest_look = Bucket(), 0, 0, 0
    for begun, took in history:
        bucket.fill(begun, QUOTA_NS)
        periods += begun
        if bucket.credit_ns > 0:
            bucket.spend(took)
            used += took
            longest_look = max(longest_look, took)
        assert bucket.credit_ns <= QUOTA_NS
        assert used <= periods * QUOTA_NS + longest_look


def test_a_debt_is_waited_off() -> None:
    bucket = Bucket()
    bucket.fill(1, QUOTA_NS)
    bucket.spend(3 * QUOTA_NS)
    bucket.fill(2, QUOTA_NS)
    assert bucket.credit_ns == 0
    bucket.fill(1, QUOTA_NS)
    assert bucket.credit_ns == QUOTA_NS


def test_the_cpu_clock_of_a_process_is_its_own() -> None:
    before = time.process_time_ns()
    assert before <= time.clock_gettime_ns(cpu_clock(os.getpid())) <= time.process_time_ns()


def test_memory_of_a_process_and_zeros_where_there_is_none() -> None:
    memory, _ = memory_and_io(os.getpid())
    assert memory > 1_000_000
    assert memory_and_io(2**22 + 1) == (0, 0)
