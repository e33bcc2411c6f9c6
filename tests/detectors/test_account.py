"""One miner's account: what it used against what it was entitled to, from the frame log alone."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from detectors.account import Account
from mint.messages.frame import MinerEntry
from mint.wire import MOST
from tests.builders import BRACKET, MS, Net, S

NET = Net(miners=5, devices=2)
BOOT = b"B" * 16
OTHER_BOOT = b"C" * 16
RULE = NET.charter.rule(NET.charter.miners[0])
SHARE = 100 * MS


def entry(second: float, usage_ns: int, epoch: int = 1, miner: str = "m01") -> MinerEntry:
    at = round(second * S)
    return MinerEntry(miner, True, epoch, at, at + BRACKET, usage_ns, 0, 0, 0, -1, 100_000)


def account(shares: Sequence[float], epochs: Sequence[int] | None = None) -> Account:
    """An account after seconds in which these shares of entitlement were used."""
    made, used = Account(RULE), 0.0
    made.read(entry(0, 0, epochs[0] if epochs else 1), BOOT, 0, 1)
    for n, share in enumerate(shares, 1):
        epoch = epochs[n] if epochs else 1
        used = share if epochs and epoch != epochs[n - 1] else used + share
        made.read(entry(n, round(used * SHARE), epoch), BOOT, 0, n + 1)
    return made


def test_an_accounts_share_is_percent_of_entitlement_between_two_readings() -> None:
    assert Account(RULE).share is None
    assert account([]).share is None
    assert account([1, 0.5]).share == pytest.approx(50)
    gap = account([1])
    gap.absent()
    assert (gap.share, gap.silent) == (None, 1)
    gap.read(entry(3, round(5 * SHARE)), BOOT, 0, 4)
    assert gap.share == pytest.approx(200)
    assert gap.silent == 0


def test_a_doubling_convicts_at_the_second_reading_and_says_where_it_began() -> None:
    convicted = [RULE.convicts(account([1] * 5 + [2] * n).bucket) for n in range(4)]
    assert convicted == [False, False, True, True]
    assert account([1] * 5 + [2] * 2).began() == 6


def test_a_cgroup_made_anew_wipes_nothing_and_accuses_of_what_can_be_proven() -> None:
    before = account([1, 1, 2])
    anew = account([1, 1, 2, 2], [1, 1, 1, 1, 2])
    assert anew.bucket.level > before.bucket.level > RULE.burst
    assert RULE.convicts(anew.bucket)
    assert anew.began() == 4  # the last reading of the old counter: since then, the new one proves it
    hidden = account([1, 1, 2, 1], [1, 1, 1, 1, 2])
    assert RULE.convicts(hidden.bucket)
    assert hidden.began() is None  # two samples do not show it
    assert hidden.origins()[2] == 4


def test_another_boot_begins_anew() -> None:
    made = account([1, 2, 2])
    made.read(entry(0.5, 0), OTHER_BOOT, 0, 5)
    assert (made.share, made.bucket.level <= 0) == (None, True)


def test_what_cannot_be_begins_anew_rather_than_to_be_believed() -> None:
    made = account([1, 2, 2])
    made.read(entry(1, 0), BOOT, 0, 5)
    assert made.bucket.level <= 0
    assert made.bucket.since == 5


def test_a_rebaselined_account_forgets_what_was_decided() -> None:
    made = account([1, 2, 2])
    made.rebaseline()
    assert made.bucket.level <= 0
    assert made.began() == 4
    made.read(entry(4, round(7 * SHARE)), BOOT, 0, 5)
    assert made.bucket.level // 1_000_000 == pytest.approx(SHARE, rel=0.001)
    Account(RULE).rebaseline()  # nothing read yet


@pytest.mark.parametrize("cut", range(6))
def test_an_account_restored_goes_on_as_if_nothing_happened(cut: int) -> None:
    shares, epochs = [1, 1.5, 2, 0, 2], [1, 1, 1, 2, 2, 3]
    straight, other = Account(RULE), Account(RULE)
    used = 0.0
    for n in range(6):
        if n == cut:
            state = json.loads(json.dumps(other.state()))
            other = Account(RULE)
            other.restore(state)
        used = (used if n and epochs[n] == epochs[n - 1] else 0.0) + (shares[n - 1] if n else 0)
        for one in (straight, other):
            one.read(entry(n, round(used * SHARE), epochs[n]), BOOT, 0, n + 1)
        assert (straight.state(), straight.share, straight.began()) == (
            other.state(),
            other.share,
            other.began(),
        )


def test_a_level_that_forged_counters_drove_beyond_all_bounds_can_still_be_told() -> None:
    made = Account(RULE)
    for n in range(6):
        made.read(entry(n, MOST, epoch=n), BOOT, 0, n + 1)
    assert made.bucket.level // 1_000_000 > MOST
    assert made.excess_ns == MOST
