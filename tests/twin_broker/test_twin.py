"""The logical object LO_k: c, g, m and b in percent of entitlement (section 4.2)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mint.charter.model import Entitlement, Miner
from mint.messages.sample import MinerReading, Twin
from mint.wire import MOST, decode, encode
from tests.builders import MS, S
from twin_broker.twin import FULL, MinerTwin

BOOT = b"B" * 16
MINER = Miner("m01", "edge1", Entitlement(100_000, 250_000, 1 << 26, 1 << 20), "kernel", "enforce", "")


def reading(at_s: int = 0, **changes: Any) -> MinerReading:
    at = at_s * S
    made = MinerReading("m01", 1, at, at + MS, 5 * S, 0, 0, 0, 1 << 25, 1 << 30, 125_000, 100_000, True, 9)
    return msgspec.structs.replace(made, **changes)


def after(one: dict[str, Any], two: dict[str, Any], **how: Any) -> Twin:
    """The twin two seconds and a reading later."""
    twin = MinerTwin(reading(10, **one), BOOT).next(reading(12, **two), how.pop("boot", BOOT))
    return twin.message(MINER, 7, **({"convicted": False, "dark_frames": 30} | how))


def test_use_is_normalised_by_what_the_miner_is_entitled_to() -> None:
    twin = after({}, {"usage_ns": 5 * S + 300 * MS, "io_bytes": (1 << 30) + (1 << 20)})
    assert twin == Twin("m01", 7, 150 * 1000, 50 * 1000, 50 * 1000, 50 * 1000, 100_000, 100_000, "fair")
    assert FULL == 100 * 1000


def test_what_is_not_granted_or_not_known_is_minus_one() -> None:
    bare = msgspec.structs.replace(MINER, entitlement=Entitlement(100_000, 0, 0, 0))
    first = MinerTwin(reading(gpu_ppm=-1), BOOT).message(MINER, 1, convicted=False, dark_frames=30)
    assert (first.c, first.g, first.b) == (-1, -1, -1)
    twin = MinerTwin(reading(10), BOOT).next(reading(12), BOOT)
    message = twin.message(bare, 1, convicted=False, dark_frames=30)
    assert (message.c, message.g, message.m, message.b) == (0, -1, -1, -1)


@pytest.mark.parametrize(("changes", "how"), [({"epoch": 2}, {}), ({}, {"boot": b"C" * 16})])
def test_readings_of_another_epoch_or_boot_do_not_compare(
    changes: dict[str, Any], how: dict[str, Any]
) -> None:
    twin = after({}, changes, **how)
    assert (twin.c, twin.b) == (-1, -1)


def test_no_time_between_two_readings_makes_no_rate() -> None:
    twin = MinerTwin(reading(10), BOOT).next(reading(10), BOOT)
    assert twin.message(MINER, 1, convicted=False, dark_frames=30).c == -1


def test_io_that_runs_backwards_is_none() -> None:
    assert after({}, {"io_bytes": 0}).b == 0


def test_what_was_made_again_from_a_frame_knows_no_memory_and_makes_no_rate() -> None:
    again = MinerTwin(reading(10, memory_bytes=0, io_bytes=0), BOOT, whole=False)
    assert again.message(MINER, 1, convicted=False, dark_frames=30).m == -1
    twin = again.next(reading(12), BOOT).message(MINER, 1, convicted=False, dark_frames=30)
    assert (twin.c, twin.m, twin.b) == (-1, 50_000, -1)


@pytest.mark.parametrize(
    ("used_ms", "running", "convicted", "silent", "condition"),
    [
        (200, True, False, 0, "fair"),
        (400, True, False, 0, "fair"),  # a twin judges nobody
        (19, True, False, 0, "idle"),
        (20, True, False, 0, "fair"),
        (400, True, True, 0, "convicted"),
        (400, False, True, 0, "stopped"),
        (400, True, True, 29, "convicted"),
        (400, True, True, 30, "dark"),
    ],
)
def test_its_condition(used_ms: int, running: bool, convicted: bool, silent: int, condition: str) -> None:
    twin = MinerTwin(reading(10), BOOT).next(
        reading(12, usage_ns=5 * S + used_ms * MS, running=running), BOOT
    )
    for _ in range(silent):
        twin = twin.silent()
    assert twin.message(MINER, 1, convicted=convicted, dark_frames=30).condition == condition


def test_its_entry_in_a_frame_repeats_the_reading_and_says_whether_it_is_new() -> None:
    twin = MinerTwin(reading(10), BOOT)
    entry = twin.entry(MINER, 3, 8)
    assert (entry.miner, entry.present, entry.usage_ns, entry.entitled_ppm) == ("m01", True, 5 * S, 100_000)
    assert (entry.offences, entry.decided, entry.shares) == (3, 8, 9)
    assert twin.silent().entry(MINER, 3, 8) == msgspec.structs.replace(entry, present=False)


def test_a_forged_counter_makes_a_twin_that_can_still_be_told() -> None:
    wild = {"usage_ns": MOST, "io_bytes": MOST, "memory_bytes": MOST, "gpu_ppm": MOST}
    poor = msgspec.structs.replace(MINER, entitlement=Entitlement(1_000, 1, 1, 1))
    twin = MinerTwin(reading(0, usage_ns=0, io_bytes=0, after_ns=0), BOOT)
    twin = twin.next(reading(0, before_ns=1, after_ns=3, **wild), BOOT)
    message = twin.message(poor, 1, convicted=False, dark_frames=30)
    assert decode(encode(message), Twin) == message
    assert (message.c, message.g, message.m, message.b) == (MOST, MOST, MOST, MOST)
