"""The operator, who acts once: where the manager was shown to have lied, the log goes on with another key.

That is what docs/agreement.md asks of a person: look which frame is the last good one, sign a charter that says so.
"""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from mint.bus.outbox import Outgoing
from mint.charter.model import Resume
from mint.charter.seal import OPERATOR, SealedCharter
from network.simulate.charter import sealed
from network.simulate.disks import DetectorDisk
from network.simulate.faults import LIES, Plan
from network.simulate.ground import Ground
from network.simulate.schedule import S
from network.simulate.signing import HashKey

MANAGER = "manager"
# How long the manager's process is away while its key is replaced.
AWAY_NS = 2 * S


def resume(plan: Plan, ground: Ground, charter: SealedCharter, shown: int) -> SealedCharter:
    """Sign the next charter, give the manager its new key, and publish it; the charter.

    `shown`: the first frame at which the manager was shown to have lied.
    """
    frame, frame_hash = _last_good(plan, ground, shown)
    key = HashKey(f"{MANAGER} of version {charter.charter.version + 1}")
    nodes = tuple(
        replace(node, key=key.public) if node.name == MANAGER else node for node in charter.charter.nodes
    )
    after = sealed(
        replace(
            charter.charter,
            version=charter.charter.version + 1,
            nodes=nodes,
            resume=Resume(frame, frame_hash),
        )
    )
    ground.history.note(ground.schedule.now_ns, OPERATOR, "resumed", frame, after.charter.version)
    host = ground.hosts[MANAGER]
    host.crash(AWAY_NS)
    host.key = key
    host.disk.charters[after.hash] = after
    now = ground.schedule.now_ns / S
    post = Outgoing(after.topics().charter(), after.data, 1, True, now)
    ground.broker.publish(OPERATOR, post)
    return after


def _last_good(plan: Plan, ground: Ground, shown: int) -> tuple[int, bytes]:
    """The newest frame before `shown` that f + 1 honest detectors have: number and hash; zeros where there is none."""
    liars = plan.named(LIES)
    held: Counter[tuple[int, bytes]] = Counter()
    for name in plan.size.detector_names:
        storage = ground.hosts[name].disk.storage
        if name not in liars and isinstance(storage, DetectorDisk):
            held.update((kept.number, kept.hash) for kept in storage.log.frames(0, shown))
    needed = plan.size.f_detectors + 1
    good = [frame for frame, count in held.items() if count >= needed and frame[0] < shown]
    return max(good, default=(0, bytes(32)))
