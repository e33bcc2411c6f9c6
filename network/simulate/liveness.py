"""What has to come about once faults have stopped: convictions, rightful quotas, one and the same state everywhere.

Looked at when the run ends. The names are those of docs/agreement.md (L1, L3), and of S4 and S7, whose faults have to
be told within a time, and S8, by which each of them has to hold.
"""

from __future__ import annotations

from collections.abc import Iterator

from enforcer.core import Core
from mint.charter.seal import SealedCharter
from mint.errors import Rejected
from mint.fault import OF_MANAGER, Shown, verify_fault
from mint.frame_log import FrameLog
from mint.messages.fault import Fault as Misconduct
from mint.messages.judgement import Vote
from network.simulate.disks import DetectorDisk
from network.simulate.faults import AGENT_LIES, CHEATS, LIES, Fault
from network.simulate.ground import Ground
from network.simulate.nodes import Hands
from network.simulate.safety import Safety, Violation, message_in
from network.simulate.schedule import MS, S
from network.simulate.takings import Takings

PPM = 1_000_000
# Everyone is back within this long after the faults: 45 s until a silent connection is given up, 10 s of dialling
# where nobody answers, 30 s of backoff at most (mint/bus/bus.py), and some for catching up. What is due from then on
# is due a minute later.
BACK_MS = 90_000
CONVICTED_MS = BACK_MS + 60_000
# Managers lie in networks without other faults: whoever is shown it says so with the next frame, or vote on it.
SHOWN_MS = 15_000
# And who is left out is missed by 2 f + 1 detectors once each has watched it: a slice a detector, and one to begin with
# (detectors/watch.py).
SLICE_MS = 16_000
# Time that a device may have gained on the manager before it is not believed any more (mint/device_clock.py has 2 s).
GAINED_MS = 1_000
# A miner that takes double is shown by its work within a minute (bench/bench_work.py: 95 of 100 in 40 s).
DOUBLE = 2 * PPM
WORKED_MS = 120_000
# Frames that one head may be ahead of another in an undisturbed network at the moment when it is looked at.
BEHIND = 2
# Frames that a penalty may last longer than it has to: a look at the miner, and a frame that is on its way.
LATE_FRAMES = 5


class Liveness:
    """Judges one run at its end; `charters` are all that there were."""

    def __init__(
        self, safety: Safety, takings: Takings, ground: Ground, charters: tuple[SealedCharter, ...]
    ) -> None:
        self._plan, self._assumes = safety.plan, safety.assumes
        self._safety, self._takings, self._ground = safety, takings, ground
        self._charters = {charter.hash: charter for charter in charters}

    def check(self) -> None:
        """Everything.

        Raises:
            Violation: something has not come about.
        """
        self._convictions()
        self._quotas()
        self._faults()
        self._decisions()
        self._heads()

    # --- L1 ---

    def _convictions(self) -> None:
        """L1: every cheat was put low in time, where its device spoke the truth, or its work tells, and went on."""
        for fault in self._plan.of(CHEATS):
            due_ms = max(fault.at_ms, self._plan.stop_ms) + CONVICTED_MS
            for miner in fault.who:
                if due_ms > self._plan.end_ms or not self._takings.clear(fault, miner):
                    continue
                if not (self._visible(fault, miner) or self._worked(fault, miner)):
                    continue
                lowered = self._safety.lowered.get(miner, [])
                if not any(fault.at_ms * MS <= at <= due_ms * MS for at in lowered):
                    raise Violation(
                        "L1", f"{miner} ({fault.kind} from {fault.at_ms} ms) was not put low by {due_ms} ms"
                    )

    def _visible(self, fault: Fault, miner: str) -> bool:
        """Whether what a cheat took can be seen in its device's counters once messages pass."""
        device = self._plan.size.device_of(miner)
        if device in self._plan.named(AGENT_LIES):
            return False
        gained_ms = 0
        for other in self._plan.faults:
            if other.kind == "reboot" and device in other.who and other.until_ms >= fault.at_ms:
                return False  # its counters began anew
            if other.kind == "dilate" and {device, "manager"} & set(other.who):
                gained_ms += abs(other.amount) * other.for_ms // PPM
        return gained_ms < GAINED_MS

    def _worked(self, fault: Fault, miner: str) -> bool:
        """Whether its work shows a cheat whose device tells no more use than entitlement and is well otherwise."""
        device = self._plan.size.device_of(miner)
        troubles = {other.kind for other in self._plan.faults if device in other.who}
        long = fault.kind == "cheat" and fault.amount >= DOUBLE and fault.for_ms >= WORKED_MS
        return long and troubles == {"fabricate"}

    def _quotas(self) -> None:
        """L1: every container has what its enforcer's books say, and that is never more than its entitlement."""
        if (
            self._plan.end_ms
            < max((fault.until_ms for fault in self._plan.of(CHEATS)), default=0) + CONVICTED_MS
        ):
            return
        for name, device in self._ground.devices.items():
            core = self._enforcer_of(name)
            frame = self._newest_frame()
            for miner, container in device.containers.items():
                state = core.states.get(miner)
                cases = state.cases if state else ()
                granted, quota = device.granted[miner], container.quota
                if not cases and (quota != granted or container.frozen) and self._believed(miner):
                    raise Violation(
                        "L1", f"{miner} is owed nothing and has {quota.ppm} ppm, not {granted.ppm}"
                    )
                if cases and not container.frozen and (quota.ppm or PPM) >= (granted.ppm or PPM):
                    raise Violation("L1", f"{miner} is under a penalty and has {quota.ppm} ppm")
                due = all(case.books.excess_ns <= 0 and frame > case.until + LATE_FRAMES for case in cases)
                if cases and due and self._believed(miner):
                    raise Violation(
                        "L1", f"{miner} has paid, until frame {cases[0].until}, and has {quota.ppm} ppm"
                    )

    def _believed(self, miner: str) -> bool:
        """Whether its device's word counts, so that a raised quota is seen."""
        cheats = [fault for fault in self._plan.of(CHEATS) if miner in fault.who]
        return all(self._visible(fault, miner) for fault in cheats)

    def _newest_frame(self) -> int:
        """The newest frame that any detector has."""
        newest = (self._log_of(name).newest() for name in self._plan.size.detector_names)
        return max((kept.number for kept in newest if kept is not None), default=0)

    def _log_of(self, detector: str) -> FrameLog:
        storage = self._ground.hosts[detector].disk.storage
        assert isinstance(storage, DetectorDisk)  # noqa: S101 (fog.py gives it one)
        return storage.log

    def _enforcer_of(self, device: str) -> Core:
        size = self._plan.size
        name = size.enforcer_names[size.device_names.index(device)]
        component = self._ground.hosts[name].component
        if not isinstance(component, Hands):
            raise Violation("L3", f"{name} is not running at the end")
        return component.enforcer.core

    # --- S4, S7 ---

    def _faults(self) -> None:
        """What is wrong is shown, and no fault is told that is none."""
        shown = list(self._shown())
        manager = [at for at, one in shown if one.kind in OF_MANAGER]
        if "log" in self._assumes and manager:
            raise Violation(
                "S4", f"the manager was shown to have lied at {manager[0] / S:.3f} s, and had not"
            )
        for at, one in shown:
            if one.kind == "two_votes" and one.accused not in self._plan.named(LIES):
                raise Violation("S5", f"{one.accused} was shown to have voted twice at {at / S:.3f} s")
        forked_ns = self._safety.forked_ns
        if forked_ns is not None and not any(at <= self._due(forked_ns) for at in manager):
            raise Violation("S4", f"the log forked at {forked_ns / S:.3f} s, and nobody showed it in time")
        for lie in self._plan.of({"invent"}):
            if lie.for_ms > SHOWN_MS and not any(at <= self._due(lie.at_ms * MS) for at in manager):
                raise Violation("S7", f"counters were invented from {lie.at_ms} ms on, and nobody showed it")
        left_out = {one.about for _, one in shown if one.kind == "omission"}
        names = self._plan.size.device_names
        missed_ms = SLICE_MS * (self._plan.size.detectors + 1)
        for lie in self._plan.of({"omit"}):
            device = names[lie.amount % len(names)]
            if lie.for_ms > missed_ms and device not in left_out:
                raise Violation("S7", f"{device} was left out from {lie.at_ms} ms on, and nobody said so")

    def _due(self, since_ns: int) -> int:
        """When misconduct has to be shown: messages pass between those who have to see it."""
        return since_ns + SHOWN_MS * MS

    def _shown(self) -> Iterator[tuple[int, Shown]]:
        """Every fault that an honest node told, and when; each of them has to hold."""
        for at, who, data in self._safety.faults:
            if who in self._plan.named(LIES):
                continue
            fault = message_in(data, Misconduct)
            try:
                shown = verify_fault(fault, self._charters)
            except Rejected as rejected:
                raise Violation("S8", f"{who} told a fault that does not hold: {rejected}") from None
            if not shown.claim:
                yield at, shown

    # --- L3 ---

    def _decisions(self) -> None:
        """L3: what an enforcer has taken up is in the log, and the other way round."""
        if "log" not in self._assumes:
            return
        decided = self._safety.decided
        for name, device in self._ground.devices.items():
            core = self._enforcer_of(name)
            for miner in device.containers:
                state = core.states.get(miner)
                strange = [one for one in (state.known if state else ()) if (miner, one) not in decided]
                if strange:
                    raise Violation("L3", f"offences {strange} of {miner} are punished and not in the log")
        for miner, offence in decided:
            core = self._enforcer_of(self._plan.size.device_of(miner))
            if not core.knows(miner, offence):
                raise Violation("L3", f"offence {offence} of {miner} is in the log and not punished")

    def _heads(self) -> None:
        """L3: everyone has come to the same frame, and honest detectors said the same of it."""
        heads: dict[str, tuple[int, bytes]] = {}
        logs = {}
        for name in self._plan.size.detector_names:
            if name in self._plan.named(LIES):
                continue
            storage = self._ground.hosts[name].disk.storage
            assert isinstance(storage, DetectorDisk)  # noqa: S101 (fog.py gives it one)
            logs[name] = storage
            newest = storage.log.newest()
            heads[name] = (0, b"") if newest is None else (newest.number, newest.hash)
        numbers = [number for number, _ in heads.values()]
        if not numbers:
            return
        due = (self._plan.end_ms - self._plan.stop_ms - BACK_MS) // 2_000
        if max(numbers) < due or max(numbers) - min(numbers) > BEHIND:
            raise Violation("L3", f"heads at the end: {dict(zip(heads, numbers, strict=True))}")
        common = min(numbers)
        hashes = {name: log.log.frames(common, 1)[0].hash for name, log in logs.items()}
        if len(set(hashes.values())) > 1:
            raise Violation("L3", f"detectors have different frames {common}")
        self._same_words(logs)

    def _same_words(self, logs: dict[str, DetectorDisk]) -> None:
        """Votes on one frame accuse the same miners of the same offences."""
        said: dict[int, dict[str, frozenset[tuple[str, int]]]] = {}
        for name, disk in logs.items():
            memory = disk.memory()
            if memory is not None and memory.vote:
                vote = message_in(memory.vote, Vote)
                accused = frozenset((one.miner, one.offence) for one in vote.accusations)
                said.setdefault(vote.frame, {})[name] = accused
        for frame, words in said.items():
            if len(set(words.values())) > 1:
                raise Violation("L3", f"votes on frame {frame} differ: {words}")
