"""What every frame of a log has to satisfy: by itself, after the frame before it, and beside the samples it rests on.

The manager signs nothing else, so a signed frame that breaks a rule is a proof against it (mint/fault.py), and
detectors judge nothing else.
"""

from __future__ import annotations

from mint.charter.model import MIN_PERIOD_MS, Charter
from mint.envelope import Opened
from mint.errors import Reason, Rejected
from mint.merkle import leaf_hash, root
from mint.messages.frame import DeviceEntry, Frame, MinerEntry
from mint.messages.sample import MinerReading, Sample
from mint.sign_bytes import Stream
from mint.stream_rules import check_readings


def least_ms(period_ms: int) -> int:
    """The time between two frames, as they say it themselves: half a period at least."""
    return period_ms // 2


def too_far(before: Frame, frame: Frame, charter: Charter) -> bool:
    """Whether the numbers of two frames of one log lie further apart than their times allow.

    So a number that is far ahead is of a time that is far ahead, and whoever has a clock sees that it has not come.
    `charter` is the one that `frame` names; charters between two different ones may have had any period.
    """
    period_ms = charter.period_ms if before.charter == frame.charter else MIN_PERIOD_MS
    return frame.time_ms - before.time_ms < (frame.number - before.number) * least_ms(period_ms)


def check_frame(frame: Frame, charter: Charter) -> None:
    """Check a frame by itself, under the charter that it names.

    Raises:
        Rejected: IMPOSSIBLE, with the rule it breaks.
    """
    devices = [entry.device for entry in frame.devices]
    miners = [entry.miner for entry in frame.miners]
    known = charter.miners_by_name()
    leaves = {entry.device for entry in frame.devices if entry.leaf}
    noted = [decision.miner for decision in frame.decisions]
    counted = {entry.miner: entry.offences for entry in frame.miners}
    for broken, what in (
        (frame.fog != charter.fog or frame.number < 1, "it is of another fog, or of no number"),
        (devices != sorted(device.name for device in charter.devices), "its devices are not the charter's"),
        (
            miners != sorted(set(miners)) or not known.keys() >= set(miners),
            "its miners are not the charter's",
        ),
        (any(len(entry.leaf) not in (0, 32) for entry in frame.devices), "a leaf is no hash"),
        (
            frame.root != root([entry.leaf for entry in frame.devices if entry.leaf]),
            "its root is of other leaves",
        ),
        (len(set(noted)) != len(noted) or not set(noted) <= set(miners), "it decides twice, or on nobody"),
        (
            any(not one.offence or one.offence != counted.get(one.miner) for one in frame.decisions),
            "it decides another offence than the last that it counts",
        ),
    ):
        if broken:
            raise _impossible(frame, what)
    for entry in frame.miners:
        miner = known[entry.miner]
        if entry.entitled_ppm != miner.entitlement.cpu_ppm:
            raise _impossible(frame, f"{entry.miner} is entitled to something else")
        if entry.present and miner.device not in leaves:
            raise _impossible(frame, f"{entry.miner} is present without a sample")
        in_it = (entry.decided == frame.number) == (entry.miner in noted)
        if not in_it or bool(entry.decided) != bool(entry.offences) or frame.number < entry.decided:
            raise _impossible(frame, f"{entry.miner} was not decided on in frame {entry.decided}")


def check_step(before: Frame, frame: Frame, charter: Charter) -> None:
    """Check a frame after the one before it, whose hash it names; `charter` is the one that `frame` names.

    What it is by itself is `check_frame`'s to say.

    Raises:
        Rejected: IMPOSSIBLE, with the rule it breaks.
    """
    if frame.number != before.number + 1:
        raise _impossible(frame, f"it follows frame {before.number}")
    if too_far(before, frame, charter):
        raise _impossible(frame, f"it is of {frame.time_ms} ms, frame {before.number} of {before.time_ms} ms")
    devices = {entry.device: entry for entry in before.devices}
    for device in frame.devices:
        earlier = devices.get(device.device)
        if earlier is not None:
            _check_device(frame, earlier, device)
    rebooted = {
        entry.device
        for entry in frame.devices
        if entry.boot != getattr(devices.get(entry.device), "boot", None)
    }
    noted = {decision.miner for decision in frame.decisions}
    miners = {entry.miner: entry for entry in frame.miners}
    known = charter.miners_by_name()
    for then in before.miners:
        if then.miner in known and then.miner not in miners:
            raise _impossible(frame, f"{then.miner} has gone from it")
    earlier_miners = {entry.miner: entry for entry in before.miners}
    for miner in frame.miners:
        then_known = earlier_miners.get(miner.miner)
        count, last = (0, 0) if then_known is None else (then_known.offences, then_known.decided)
        if miner.offences != count + (miner.miner in noted):
            raise _impossible(frame, f"it counts {miner.offences} offences of {miner.miner} after {count}")
        if miner.decided != (frame.number if miner.miner in noted else last):
            raise _impossible(frame, f"it puts a decision on {miner.miner} into frame {miner.decided}")
        terms = known.get(miner.miner)
        if then_known and terms and frame.charter == before.charter and terms.device not in rebooted:
            _check_miner(frame, then_known, miner)


def check_against(frame: Frame, entry: DeviceEntry, data: bytes, opened: Opened, charter: Charter) -> None:
    """Check a frame's `entry` of a device against the sample that it names by its leaf hash.

    Args:
        frame: the frame.
        entry: of one of its devices.
        data: the sample's envelope, whose leaf hash the entry names.
        opened: the same, opened under the charter that the frame names.
        charter: that charter.

    Raises:
        Rejected: NOT_PROVEN, the frame says something else.
    """
    body, sample = opened.body, opened.message
    if leaf_hash(data) != entry.leaf or not isinstance(body, Stream) or not isinstance(sample, Sample):
        raise Rejected(Reason.WRONG_KIND, "not the sample that the frame names")
    said = (body.sender, body.session, body.sequence, sample.boot, sample.steal_ns)
    if said != (entry.device, entry.session, entry.sequence, entry.boot, entry.steal_ns):
        raise _contradicted(frame, f"{entry.device} said something else of itself")
    known = charter.miners_by_name()
    check_readings(entry.device, sample, known)
    readings = {reading.miner: reading for reading in sample.miners}
    entries = {
        miner.miner: miner
        for miner in frame.miners
        if miner.miner in known and known[miner.miner].device == entry.device
    }
    for name, reading in readings.items():
        if name not in entries or not _same(entries[name], reading):
            raise _contradicted(frame, f"{entry.device} read {name} otherwise")
    for name, miner in entries.items():
        if miner.present and name not in readings:
            raise _contradicted(frame, f"{entry.device} did not read {name}")


def _check_device(frame: Frame, before: DeviceEntry, entry: DeviceEntry) -> None:
    place, then = (entry.session, entry.sequence), (before.session, before.sequence)
    if entry.leaf:
        if place <= then:
            raise _impossible(frame, f"{entry.device} is where it was, with something new")
        if entry.boot == before.boot and entry.steal_ns < before.steal_ns:
            raise _impossible(frame, f"steal of {entry.device} runs backwards")
    elif (place, entry.boot, entry.steal_ns) != (then, before.boot, before.steal_ns):
        raise _impossible(frame, f"{entry.device} is elsewhere, with nothing new")


def _check_miner(frame: Frame, before: MinerEntry, entry: MinerEntry) -> None:
    if not (before.present and entry.present):
        return
    if entry.before_ns < before.after_ns:
        raise _impossible(frame, f"time of {entry.miner} runs backwards")
    if entry.epoch == before.epoch and entry.usage_ns < before.usage_ns:
        raise _impossible(frame, f"use of {entry.miner} runs backwards")
    if entry.epoch == before.epoch and entry.shares < before.shares:
        raise _impossible(frame, f"{entry.miner} has fewer shares than before")


def _same(entry: MinerEntry, reading: MinerReading) -> bool:
    return entry.present and (
        entry.epoch,
        entry.before_ns,
        entry.after_ns,
        entry.usage_ns,
        entry.nr_periods,
        entry.nr_throttled,
        entry.throttled_ns,
        entry.gpu_ppm,
        entry.shares,
    ) == (
        reading.epoch,
        reading.before_ns,
        reading.after_ns,
        reading.usage_ns,
        reading.nr_periods,
        reading.nr_throttled,
        reading.throttled_ns,
        reading.gpu_ppm,
        reading.shares,
    )


def _impossible(frame: Frame, what: str) -> Rejected:
    return Rejected(Reason.IMPOSSIBLE, f"frame {frame.number}: {what}")


def _contradicted(frame: Frame, what: str) -> Rejected:
    return Rejected(Reason.NOT_PROVEN, f"frame {frame.number}: {what}")
