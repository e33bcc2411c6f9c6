"""The two ways in which SSA's distances are computed; what holds for one holds for the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from detectors.ssa import statistics
from detectors.ssa.kernel import kernel
from tests.setup.machine import missing


@pytest.fixture(scope="module", params=["kernel", "numpy"], autouse=True)
def arithmetic(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each test of the module twice: with the compiled kernel, and as on a machine without a compiler."""
    way: str = request.param
    chosen = kernel() if way == "kernel" else None
    if way == "kernel" and chosen is None:
        missing("a C compiler")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "kernel", lambda: chosen)
        yield way
