"""What an anchored verdict does on a chain: whom it bars, how long, once, and what lifts it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mint.chain.body import MAX_PROOFS
from mint.chain.penalties import blocks_of
from mint.chain.state import restored, snapshot
from mint.charter.model import Pardon
from mint.envelope import Envelope
from mint.errors import Reason
from mint.messages.fault import Fault
from mint.messages.judgement import Verdict
from mint.sign_bytes import Object
from mint.verdict import LEAST_FRAMES
from mint.wire import decode, encode
from tests.chain.mine import CHAIN, INTERVAL_MS, Mine, net
from tests.chain.test_rules import refused

NET = net()
MINE = Mine(NET)
TENTH = MINE.grown(MINE.genesis, 10)


def test_a_verdict_bars_its_miner_from_the_next_block_on_for_as_long_as_its_penalty_lasts() -> None:
    state = MINE.after(TENTH, "m01", MINE.verdict("m01"))  # by the very miner, which may
    blocks = LEAST_FRAMES * 1000 // INTERVAL_MS
    assert [(one.first, one.last) for one in state.bars] == [(12, 11 + blocks)]
    for _ in range(blocks):
        with refused(Reason.BARRED, "offence 1"):
            MINE.after(state, "m01")
        state = MINE.after(state, "m02")
    assert MINE.after(state, "m01").height == 12 + blocks


def test_shares_of_a_barred_miner_are_not_paid_whenever_they_were_found() -> None:
    barred = MINE.after(TENTH, "m02", MINE.verdict("m01"))
    before = MINE.shares(TENTH, "m01", 2)
    checked = MINE.checked(barred, MINE.block(barred, "m02", before, MINE.shares(barred, "m03")))
    assert checked.works == {"m03": 4}  # of the same device
    state = barred
    during = MINE.shares(state, "m01", 1)
    for _ in range(8):  # the bar ends with the sixth
        state = MINE.after(state, "m02")
    after = MINE.shares(state, "m01", 5)
    assert MINE.checked(state, MINE.block(state, "m02", during, after)).works == {"m01": 20}


def test_an_offence_is_anchored_once_whoever_published_its_verdict() -> None:
    state = MINE.after(TENTH, "m02", MINE.verdict("m01", offence=2))
    for again in (
        MINE.verdict("m01", offence=2),
        MINE.verdict("m01", offence=2, frame=30, by="det2"),
        MINE.verdict("m01", offence=1),
    ):
        with refused(Reason.REPLAYED):
            MINE.after(state, "m02", again)
    assert MINE.after(state, "m02", MINE.verdict("m01", offence=3)).offences == {"m01": 3}
    with refused(Reason.REPLAYED):
        MINE.after(TENTH, "m02", MINE.verdict("m01"), MINE.verdict("m01", frame=30))


def test_a_verdict_is_valid_under_a_charter_that_the_chain_anchors() -> None:
    newer = NET.next_version(title="newer")
    verdict = MINE.verdict("m01", sealed=newer)
    with refused(Reason.UNKNOWN_CHARTER):
        MINE.after(TENTH, "m02", verdict)
    assert MINE.after(TENTH, "m02", newer.data, verdict).offences == {"m01": 1}
    # And one under an older charter stays so.
    assert MINE.after(TENTH, "m02", newer.data, MINE.verdict("m01")).offences == {"m01": 1}


def test_a_forged_verdict_makes_a_block_invalid() -> None:
    envelope = decode(MINE.verdict("m01"), Envelope)
    with refused(Reason.BAD_SIGNATURE):
        MINE.after(TENTH, "m02", encode(Envelope(envelope.body, bytes(64))))
    body = decode(envelope.body, Object)
    verdict = decode(body.payload, Verdict)
    few = NET.signer("det1").object(msgspec.structs.replace(verdict, votes=verdict.votes[:2]))
    with refused(Reason.NO_QUORUM):
        MINE.after(TENTH, "m02", few)


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "observe"},
        {"holds": ("m01",)},
        {"pardons": (Pardon("m01", 1),)},
    ],
)
def test_the_operator_lifts_a_bar(changes: dict[str, Any]) -> None:
    state = MINE.after(TENTH, "m02", MINE.verdict("m01"))
    lifted = MINE.after(state, "m01", NET.next_version(**changes).data)
    assert MINE.after(lifted, "m01").height == 13


def test_a_penalty_without_frames_lasts_a_block() -> None:
    chain = msgspec.structs.replace(CHAIN, block_interval_ms=3_600_000)
    assert blocks_of(chain, 0, 1000) == blocks_of(chain, 3600, 1000) == 1
    assert blocks_of(chain, 3601, 1000) == 2


def test_more_verdicts_than_a_block_takes_wait_for_the_next() -> None:
    mine = Mine(net(miners=MAX_PROOFS + 1, devices=1))
    first = mine.after(mine.genesis)
    verdicts = [mine.verdict(miner.name) for miner in mine.net.charter.miners]
    state = mine.after(first, "m01", *verdicts[:-1])
    assert len(state.offences) == MAX_PROOFS
    with refused(Reason.OVERSIZE):
        mine.after(first, "m01", *verdicts)


def test_a_lie_about_shares_bars_the_miner_for_a_day_of_blocks() -> None:
    chain = msgspec.structs.replace(CHAIN, block_interval_ms=3_600_000)
    mine = Mine(net(chain=chain))
    state = mine.grown(mine.genesis, 2)
    state = mine.after(state, "m02", mine.lie("m01"))
    assert [(one.miner, one.first, one.last) for one in state.bars] == [("m01", 4, 27)]
    batch = mine.shares(state, "m01", 2)
    assert mine.checked(state, mine.block(state, "m03", batch)).works == {}
    for _ in range(24):
        with refused(Reason.BARRED, "a lie about its shares"):
            mine.after(state, "m01")
        state = mine.after(state, "m03")  # of the same device
    assert mine.after(state, "m01").height == 28


def test_a_lie_is_anchored_once_and_no_other_before_its_bar_is_over() -> None:
    chain = msgspec.structs.replace(CHAIN, block_interval_ms=3_600_000)
    mine = Mine(net(chain=chain))
    state = mine.grown(mine.genesis, 2)
    with refused(Reason.REPLAYED):
        mine.after(state, "m02", mine.lie("m01", 9), mine.lie("m01", 10, by="det2"))
    newest_ms = max(state.times)
    state = mine.after(state, "m02", mine.lie("m01", 9))
    before, later = mine.lie("m01", 10, newest_ms), mine.lie("m01", 11, newest_ms + 1)
    for _ in range(23):
        for again in (mine.lie("m01", 9, by="det2"), mine.lie("m01", 8), before, later):
            with refused(Reason.REPLAYED):
                mine.after(state, "m02", again)
        state = mine.after(state, "m03")
    with refused(Reason.REPLAYED):
        mine.after(state, "m02", before)
    again_barred = mine.after(state, "m02", later)
    assert [(one.first, one.last) for one in again_barred.bars] == [(4, 27), (28, 51)]
    assert restored(mine.ledger, snapshot(again_barred)) == again_barred
    assert mine.after(state, "m02", mine.lie("m03", 8)).lies.keys() == {"m01", "m03"}


def test_a_lie_of_a_time_to_come_waits_and_is_not_anchored_again_and_again() -> None:
    latest = max(TENTH.times) + NET.charter.clock_tolerance_ms
    with refused(Reason.WRONG_TIME):
        MINE.after(TENTH, "m02", MINE.lie("m01", time_ms=latest + 1))
    state = MINE.after(TENTH, "m02", MINE.lie("m01", time_ms=latest))
    with refused(Reason.REPLAYED):
        MINE.after(state, "m02", MINE.lie("m01", time_ms=latest))


def test_no_other_fault_is_in_a_block_and_none_that_shows_nothing() -> None:
    fault = NET.opened(MINE.lie("m01")).message
    assert isinstance(fault, Fault)
    other = {"kind": "two_samples", "about": "", "proof": fault.proof[1:] * 2}
    for changes, reason in (
        (other, Reason.WRONG_KIND),
        ({"about": "m03"}, Reason.NOT_PROVEN),
        ({"about": "nobody"}, Reason.UNKNOWN_CHARTER),
        ({"proof": fault.proof[::-1]}, Reason.MALFORMED),
        ({"proof": fault.proof[:1]}, Reason.MALFORMED),
        ({"proof": (*fault.proof, bytes(200_000))}, Reason.OVERSIZE),
    ):
        with refused(reason):
            MINE.after(TENTH, "m02", NET.signer("det1").object(msgspec.structs.replace(fault, **changes)))


def test_a_miner_that_is_taken_out_is_forgotten_and_who_has_its_name_later_answers_for_itself() -> None:
    old = MINE.verdict("m04")
    state = MINE.after(TENTH, "m02", MINE.verdict("m04", 2), MINE.shares(TENTH, "m04", 3))
    without = NET.next_version(miners=NET.charter.miners[:3])
    state = MINE.after(state, "m02", without.data)
    assert (state.bars, state.offences, state.totals) == ((), {}, {})
    again = NET.next_version(version=3)
    state = MINE.after(state, "m02", again.data)
    assert MINE.after(state, "m04").height == 14
    with refused(Reason.UNKNOWN_CHARTER):  # it is of the one before
        MINE.after(state, "m02", old)
    assert MINE.after(state, "m02", MINE.verdict("m04", sealed=again)).offences == {"m04": 1}
