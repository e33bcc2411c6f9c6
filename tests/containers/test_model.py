from hypothesis import given
from hypothesis import strategies as st

from mint.containers.model import MIN_QUOTA_US, Quota


def test_a_share_becomes_a_quota_and_back() -> None:
    assert Quota.of_ppm(60_000) == Quota(6_000, 100_000, 0, "")
    assert Quota.of_ppm(60_000).ppm == 60_000
    assert Quota(None).ppm is None


def test_the_kernels_least_quota_is_kept() -> None:
    assert Quota.of_ppm(1).quota_us == MIN_QUOTA_US


@given(ppm=st.integers(20_000, 64_000_000), period_us=st.integers(50_000, 1_000_000))
def test_a_quota_never_allows_more_than_the_share(ppm: int, period_us: int) -> None:
    quota = Quota.of_ppm(ppm, period_us)
    assert quota.quota_us is not None
    assert quota.quota_us * 1_000_000 <= ppm * period_us < (quota.quota_us + 1) * 1_000_000


def test_drift_names_what_differs_and_an_unnamed_cpuset_wishes_nothing() -> None:
    wanted = Quota(6_000, 100_000, 0, "")
    assert wanted.drift(Quota(6_000, 100_000, 0, "0-3")) == ()
    assert wanted.drift(Quota(12_000, 50_000, 1, "0")) == ("quota_us", "period_us", "burst_us")
    assert Quota(6_000, cpuset="0").drift(Quota(6_000, cpuset="0-1")) == ("cpuset",)
