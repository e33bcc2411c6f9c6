"""A detector's state machine: frames in order in, alarms and votes out. No clock, socket, file or random source.

Everything a vote accuses follows from the frame log and the charters it names, so that detectors on any machine
that saw the same frames accuse alike; whom it calls dark, from these and the shares that were shown to everyone. What a
detector has to remember is its `state()`; it is stored together with every vote before that is sent.

What is thought of the miners is in detectors/judge.py; here it becomes accusations with samples in proof, votes,
and messages for people.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.evidence import Shelf
from detectors.judge import Conviction, Findings, Judge, Terms
from detectors.observation import Observation
from detectors.offences import Offences
from mint.charter.model import Charter
from mint.charter.seal import SealedCharter
from mint.effects import Post, Say
from mint.envelope import Signer
from mint.frames import LogFrame
from mint.messages.frame import Frame
from mint.messages.judgement import MAX_ACCUSATIONS, MAX_DARK, Accusation, Alarm, Behaviour, Score, Vote
from mint.wire import MOST
from mint.work import work_rule

# Pruning the shelf every frame would cost more than it saves.
PRUNE_EVERY = 16
# A detector that catches up votes on frames this close to the newest; older ones the others have decided.
VOTE_WITHIN = 8
# Alarms of one kind on one miner come at most once in so many frames: people want to know, not to count.
ALARM_EVERY = 30
ALARM_EXPIRY_S = 600
VOTE_EXPIRY_S = 60
PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Step:
    """What one frame led to: `vote` is to be stored (with the state) before it is sent."""

    number: int
    vote: bytes | None
    effects: tuple[Post | Say, ...]


class DetectorCore:
    """The judgement of one detector; `name` is its own."""

    def __init__(self, name: str, charter: SealedCharter, signer: Signer, shelf: Shelf) -> None:
        self.name, self.shelf = name, shelf
        self.last_vote = 0
        self._signer = signer
        self._offences = Offences()
        self._alarmed: dict[tuple[str, str], int] = {}
        self._take(charter)
        self._judge = Judge(
            terms_of(charter.charter),
            charter.charter.detection,
            period_ns=charter.charter.period_ms * 1_000_000,
            f_miners=charter.charter.f_miners,
        )

    def _take(self, sealed: SealedCharter) -> None:
        self._sealed, self._charter = sealed, sealed.charter
        self._topics = sealed.topics()
        self._devices = {miner.name: miner.device for miner in self._charter.miners}
        self._gpu = {miner.name: miner.entitlement.gpu_ppm for miner in self._charter.miners}

    def _adopt(self, sealed: SealedCharter) -> None:
        """Go by `sealed`; miners whose terms stay keep their past, everyone else begins anew."""
        before = self._judge.names
        self._take(sealed)
        kept = self._judge.adopt(
            terms_of(self._charter),
            self._charter.detection,
            period_ns=self._charter.period_ms * 1_000_000,
            f_miners=self._charter.f_miners,
        )
        for name in set(before) - set(kept):
            self._offences.drop(name)  # what stood against it could not be proven under this charter

    @property
    def charter(self) -> Charter:
        """The charter that the frame judged last names."""
        return self._charter

    def step(
        self, entry: LogFrame, newest: int, uncounted: Collection[str] = (), *, may_vote: bool = True
    ) -> Step:
        """Take in the next frame of the log.

        Args:
            entry: its signature, its place in the chain and the rules of the log (mint/frame_rules.py) were checked.
            newest: the highest frame number heard of; far behind it we do not vote.
            uncounted: miners that show more shares than their samples count (detectors/batches.py).
            may_vote: False while we do not know what we have voted on before.
        """
        if entry.charter.hash != self._sealed.hash:
            self._adopt(entry.charter)
        frame = entry.frame
        self.shelf.frame(frame.number, frame.devices)
        self._judge.decided(self._offences.note(frame))
        spared = [name for name in self._judge.names if self._offences.spared(name, frame.number)]
        findings = self._judge.step(self._observation(frame), spared)
        for conviction in findings.convictions:
            self._accuse(conviction, frame.number)
        effects: list[Post | Say] = [*self._alarms(findings)]
        effects.append(Say(self._topics.behaviour(self.name), self._behaviour(findings)))
        if frame.number % PRUNE_EVERY == 0:
            self.shelf.prune(self._pinned())
        vote = self._vote(entry, newest, uncounted) if may_vote else None
        return Step(frame.number, vote, tuple(effects))

    def _observation(self, frame: Frame) -> Observation:
        devices = {entry.device: entry for entry in frame.devices}
        rows = {name: row for row, name in enumerate(self._judge.names)}
        columns = np.zeros((7, len(rows)), np.int64)
        present = np.zeros(len(rows), bool)
        gpu = np.full(len(rows), np.nan)
        for entry in frame.miners:
            row = rows.get(entry.miner)
            device = devices.get(self._devices.get(entry.miner, ""))
            if row is None or device is None or not entry.present:
                continue
            present[row] = True
            boot = int.from_bytes(device.boot[:8], "big", signed=True)
            columns[:, row] = (
                entry.before_ns, entry.after_ns, entry.usage_ns, device.steal_ns, boot, entry.epoch, entry.shares
            )  # fmt: skip
            entitled = self._gpu[entry.miner]
            if entitled and entry.gpu_ppm >= 0:
                gpu[row] = entry.gpu_ppm * PERCENT / entitled
        percent = gpu if self._charter.key_parameter == "gpu" else None
        before, after, usage, steal, boots, epoch, shares = columns
        return Observation(frame.number, present, before, after, usage, steal, boots, epoch, percent, shares)

    def _accuse(self, conviction: Conviction, number: int) -> None:
        device, since = self._devices[conviction.miner], conviction.since
        first, last = self.shelf.ref(device, since), self.shelf.ref(device, number)
        if first is None or last is None or since >= number:
            return
        offence = self._offences.next(conviction.miner)
        excess_ns = max(0, min(conviction.excess_ns, MOST))
        self._offences.accuse(
            Accusation(conviction.miner, offence, since, conviction.evidence, excess_ns, first, last)
        )

    def _vote(self, entry: LogFrame, newest: int, uncounted: Collection[str]) -> bytes | None:
        frame = entry.frame
        standing = sorted(self._offences.standing.values(), key=lambda accusation: accusation.miner)
        due = bool(standing) or frame.number % self._charter.detection.d == 0
        if not due or frame.number <= self.last_vote or frame.number + VOTE_WITHIN < newest:
            return None
        self.last_vote = frame.number
        accused, dark = tuple(standing[:MAX_ACCUSATIONS]), self._dark(frame.number, uncounted)
        vote = Vote(frame.fog, frame.number, entry.hash, self._sealed.hash, accused, dark, frame.time_ms)
        return self._signer.object(vote)

    def _dark(self, number: int, uncounted: Collection[str]) -> tuple[str, ...]:
        """Who is dark, or not believed; where there are more than a vote names, others each time."""
        dark = sorted({*self._judge.dark(), *(name for name in uncounted if name in self._devices)})
        begin = number // self._charter.detection.d * MAX_DARK % max(1, len(dark))
        return tuple(sorted((dark[begin:] + dark[:begin])[:MAX_DARK]))

    def _alarms(self, findings: Findings) -> list[Post]:
        """What people should know at once; alarms decide nothing."""
        posts = []
        for found in findings.found:
            key = (found.miner, found.detector)
            if findings.number - self._alarmed.get(key, -ALARM_EVERY) >= ALARM_EVERY:
                self._alarmed[key] = findings.number
                alarm = Alarm(findings.number, found.miner, found.detector, found.reason)
                posts.append(
                    Post(self._topics.alarm(self.name), self._signer.object(alarm), expiry_s=ALARM_EXPIRY_S)
                )
        return posts

    def _behaviour(self, findings: Findings) -> Behaviour:
        statistics, round_ = findings.statistics, findings.round
        scores = tuple(
            Score(
                miner=name,
                D=float(statistics.D[row]),
                S=float(statistics.S[row]),
                W=float(statistics.W[row]),
                level_ns=max(0, min(int(findings.levels_ns[row]), MOST)),
                krum=float(round_.scores.get(name, 0)) if round_ else float("nan"),
            )
            for row, name in enumerate(self._judge.names)
        )
        return Behaviour(
            findings.number, self._judge.parameters.h, round_.benchmark if round_ else "", scores
        )

    def _pinned(self) -> set[tuple[str, int]]:
        """Samples that an accusation might still need (device, frame number)."""
        pinned: set[tuple[str, int]] = set()
        for row, name in enumerate(self._judge.names):
            device = self._devices[name]
            pinned.update((device, origin) for origin in self._judge.origins(row))
        for accusation in self._offences.standing.values():
            for ref in (accusation.first, accusation.last):
                number = self.shelf.frame_of(ref.leaf)
                if number is not None:
                    pinned.add((ref.device, number))
        return pinned

    def state(self) -> dict[str, Any]:
        """Everything that later votes depend on, as plain data (JSON holds its integers and floats exactly)."""
        self.shelf.prune(self._pinned())
        return {
            "charter": self._sealed.hash.hex(),
            "last_vote": self.last_vote,
            "judge": self._judge.state(),
            "offences": self._offences.state(),
            "shelf": self.shelf.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`; under another charter than it was taken under, the judgement begins anew."""
        self.last_vote = state["last_vote"]
        if state["charter"] != self._sealed.hash.hex():
            return
        self._judge.restore(state["judge"])
        self._offences.restore(state["offences"])
        self.shelf.restore(state["shelf"])


def terms_of(charter: Charter) -> list[Terms]:
    """What the charter holds its miners to, by name."""
    return [
        Terms(name, miner.entitlement.cpu_ppm, miner.law, miner.device, work_rule(charter, miner))
        for name, miner in sorted(charter.miners_by_name().items())
    ]
