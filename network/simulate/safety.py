"""What may never happen, looked at with every effect of every node and every quota that is written.

The names are those of docs/agreement.md: S1, S2, S3, S5 and S6; S4, S7 and S8 take time (liveness.py). Everything is
judged by what nodes did and what the plan made them do, not by what any of them believes.
"""

from __future__ import annotations

from collections.abc import Callable

from mint.effects import Effect, Keep, Post, Say
from mint.envelope import Envelope, object_hash
from mint.frames import frame_in
from mint.messages.frame import Frame, FrameReply
from mint.messages.judgement import Verdict, Vote
from mint.sign_bytes import Object
from mint.topics import Topics
from mint.wire import T, decode
from network.simulate.charter import FOG
from network.simulate.disks import DetectorDisk
from network.simulate.faults import AGENT_LIES, CHEATS, LIES, Plan
from network.simulate.ground import Ground
from network.simulate.host import Do, Host
from network.simulate.miner import CfsMiner
from network.simulate.nodes import Hands
from twin_broker.storage import Append

# Evidence that only a quorum's word stands for (mint/verdict.py): what a lying log may mislead honest detectors to.
BY_QUORUM = "ssa"


class Violation(Exception):
    """Something that may not happen did; `rule` is which, `text` what."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule, self.text = rule, text


class Safety:
    """Watches one run; `assumes` is what its scenario leaves true. Every method raises Violation.

    `lowered`: when an enforcer put each miner low (true ns); `faults`: what was told of misconduct (when, by whom,
    envelope); `forked_ns`: when the manager had told two frames after one; `decided`: the offences that an honest log
    took note of.
    """

    def __init__(self, plan: Plan, assumes: frozenset[str]) -> None:
        self.plan, self.assumes = plan, assumes
        self.ground: Ground
        self._quorum = 2 * plan.size.f_detectors + 1
        self._liars = plan.named(LIES)
        lying_devices = plan.named(AGENT_LIES)
        self.innocent = frozenset(
            miner
            for miner in plan.size.miner_names
            if miner not in plan.named(CHEATS) and plan.size.device_of(miner) not in lying_devices
        )
        self.lowered: dict[str, list[int]] = {}
        self.faults: list[tuple[int, str, bytes]] = []
        self.forked_ns: int | None = None
        self._cast: dict[tuple[str, int], bytes] = {}
        self._accusers: dict[tuple[bytes, str, int], set[str]] = {}
        self._met: set[tuple[str, int]] = set()
        self._kept_frames: dict[int, bytes] = {}
        self._told_frames: dict[bytes, set[bytes]] = {}
        self.decided: dict[tuple[str, int], bytes] = {}
        topics = Topics(FOG)
        self._handlers: dict[str, Callable[[Host, bytes], None]] = {topics.frame(): self._frame}
        for name in plan.size.detector_names:
            self._handlers[topics.vote(name)] = self._vote
            for miner in plan.size.miner_names:
                self._handlers[topics.verdict(name, miner)] = self._verdict
        for name in plan.size.nodes:
            self._handlers[topics.fault(name)] = self._fault

    # --- what is observed ---

    def observe(self, host: Host, effect: Effect | Do, data: bytes | None) -> None:
        """An effect was carried out."""
        if data is not None:
            if isinstance(effect, Post):
                handler = self._handlers.get(effect.topic)
                if handler is not None:
                    handler(host, data)
            elif (
                isinstance(effect, Say)
                and isinstance(effect.message, FrameReply)
                and "log" not in self.assumes
            ):
                for frame in effect.message.frames:
                    self._frame(host, frame)
        elif isinstance(effect, Keep) and isinstance(effect.what, Append):
            self._append(effect.what)

    def wrote(self, miner: str, by: str, container: CfsMiner) -> None:
        """Somebody wrote a quota, or paused a miner."""
        host = self.ground.hosts.get(by)
        if host is None or not isinstance(host.component, Hands):
            return
        granted = self.ground.device_of(miner).granted[miner]
        quota_us, granted_us = container.quota.quota_us, granted.quota_us
        assert quota_us is not None  # noqa: S101 (nobody here lifts a limit)
        assert granted_us is not None  # noqa: S101
        if quota_us > granted_us:
            raise Violation("S3", f"{by} gave {miner} more than its entitlement")
        if quota_us < granted_us or container.frozen:
            self._enforced(host.component, miner, by)

    # --- enforcement ---

    def _enforced(self, hands: Hands, miner: str, by: str) -> None:
        """S1, S2: only on a quorum's word, and on nobody innocent."""
        self.lowered.setdefault(miner, []).append(self.ground.schedule.now_ns)
        state = hands.enforcer.core.states.get(miner)
        offences = tuple(case.offence for case in state.cases) if state else ()
        if not offences:
            raise Violation("S2", f"{by} put {miner} low without an open case")
        for offence in offences:
            if (miner, offence) not in self._met:
                raise Violation(
                    "S2", f"{by} put {miner} low for offence {offence}, which no quorum voted for"
                )
        if miner in self.innocent and self.assumes >= {"log", "quorum"}:
            raise Violation("S1", f"{by} put {miner} low, which never took more than its share")

    # --- votes and verdicts ---

    def _vote(self, host: Host, data: bytes) -> None:
        """S5: one word on a frame, kept before it is told."""
        vote = message_in(data, Vote)
        for accusation in vote.accusations:
            key = (vote.frame_hash, accusation.miner, accusation.offence)
            accusers = self._accusers.setdefault(key, set())
            accusers.add(host.name)
            if len(accusers) >= self._quorum:
                self._met.add((accusation.miner, accusation.offence))
        if host.name in self._liars:
            return
        storage = host.disk.storage
        if isinstance(storage, DetectorDisk) and storage.kept_vote != data:
            raise Violation("S5", f"{host.name} told a vote on frame {vote.frame} that it had not kept")
        before = self._cast.setdefault((host.name, vote.frame), data)
        if before != data:
            raise Violation("S5", f"{host.name} voted twice, and differently, on frame {vote.frame}")

    def _verdict(self, host: Host, data: bytes) -> None:
        """S1: nobody innocent; by use whatever the manager says, by SSA where it is honest."""
        if host.name in self._liars:
            return
        verdict = message_in(data, Verdict)
        if (verdict.miner, verdict.offence) not in self._met:
            raise Violation(
                "S2", f"{host.name} published a verdict on {verdict.miner} that no quorum voted for"
            )
        spared = verdict.evidence != BY_QUORUM or self.assumes >= {"log", "quorum"}
        if verdict.miner in self.innocent and spared:
            raise Violation(
                "S1",
                f"{host.name} published a verdict ({verdict.evidence}) on {verdict.miner}, which is innocent",
            )

    # --- the log ---

    def _append(self, append: Append) -> None:
        """S3, S6: an honest manager keeps one frame a number, ever, and decides each offence once."""
        if "log" not in self.assumes:
            return
        for stored in append.frames:
            number, frame_hash, data = stored.kept
            before = self._kept_frames.setdefault(number, frame_hash)
            if before != frame_hash:
                raise Violation("S6", f"the manager made two frames {number}")
            for decision in frame_in(data).decisions:
                decided = (decision.miner, decision.offence)
                if self.decided.setdefault(decided, frame_hash) != frame_hash:
                    raise Violation(
                        "S3", f"frame {number} decides offence {decision.offence} of {decision.miner} again"
                    )

    def _frame(self, host: Host, data: bytes) -> None:
        """S4, S6: what is told was kept, and what is told twice is a fork."""
        frame_hash = object_hash(data)
        frame = message_in(data, Frame)
        if "log" in self.assumes and self._kept_frames.get(frame.number) != frame_hash:
            raise Violation("S6", f"{host.name} told frame {frame.number}, which it had not kept")
        told = self._told_frames.setdefault(frame.previous, set())
        told.add(frame_hash)
        if len(told) > 1 and self.forked_ns is None:
            self.forked_ns = self.ground.schedule.now_ns

    def _fault(self, host: Host, data: bytes) -> None:
        self.faults.append((self.ground.schedule.now_ns, host.name, data))


def message_in(data: bytes, as_type: type[T]) -> T:
    """The message in an object's envelope, of which the signature does not matter here."""
    return decode(decode(decode(data, Envelope).body, Object).payload, as_type)
