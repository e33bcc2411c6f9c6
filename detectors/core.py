"""A detector's state machine: frames in order in, alarms and votes out. No clock, socket, file or random source.

Everything a vote says follows from the frame log and the charters it names, so that detectors on any machine
that saw the same frames cast the same votes. What a detector has to remember is its `state()`; it is stored
together with every vote before that is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from detectors.account import Account
from detectors.behaviour import Round, Window
from detectors.evidence import Shelf
from detectors.offences import Offences
from detectors.ssa.parameters import CALIBRATED, PAPER, SsaParameters
from detectors.ssa.statistics import Statistics
from detectors.ssa.stream import SsaStream
from mint.charter.model import Charter, Miner
from mint.charter.seal import SealedCharter
from mint.effects import Post, Say
from mint.envelope import Signer
from mint.messages.frame import Frame
from mint.messages.judgement import MAX_ACCUSATIONS, Accusation, Alarm, Behaviour, Evidence, Score, Vote

# Pruning the shelf every frame would cost more than it saves.
PRUNE_EVERY = 16
# A detector that catches up votes on frames this close to the newest; older ones the others have decided.
VOTE_WITHIN = 8
# Alarms of one kind on one miner come at most once in so many frames: people want to know, not to count.
ALARM_EVERY = 30
ALARM_EXPIRY_S = 600
VOTE_EXPIRY_S = 60


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
        self._accounts: dict[str, Account] = {}
        self._miners: dict[str, Miner] = {}
        self._offences = Offences()
        self._alarmed: dict[tuple[str, str], int] = {}
        self._ssa = SsaStream(0)
        self._adopt(charter)

    def _adopt(self, sealed: SealedCharter) -> None:
        """Go by `sealed`; miners whose entitlement stays keep their past, everyone else begins anew."""
        self._sealed, charter = sealed, sealed.charter
        self._charter: Charter = charter
        self._topics = sealed.topics()
        miners = charter.miners_by_name()
        before, names = self._accounts, sorted(miners)
        rules = {name: charter.rule(miners[name]) for name in names}
        kept = [
            name
            for name in before
            if name in miners
            and (before[name].rule, self._miners[name].device) == (rules[name], miners[name].device)
        ]
        for name in before.keys() - set(kept):
            self._offences.drop(name)  # what stood against it could not be proven under this charter
        self._accounts = {name: before[name] if name in kept else Account(rules[name]) for name in names}
        self._miners = miners
        parameters = ssa_parameters(charter)
        if parameters != self._ssa.parameters:
            self._ssa = SsaStream(len(names), parameters)
        else:
            rows = list(before)
            self._ssa.arrange([rows.index(name) if name in kept else -1 for name in names])
        self._window = Window(charter.detection.d)

    def step(self, frame: Frame, frame_hash: bytes, charter: SealedCharter, newest: int) -> Step:
        """Take in the next frame of the log.

        Args:
            frame: its envelope and its place in the chain have been checked.
            frame_hash: the hash it is known by.
            charter: the one that the frame names.
            newest: the highest frame number heard of; far behind it we do not vote.
        """
        if charter.hash != self._sealed.hash:
            self._adopt(charter)
        effects: list[Post | Say] = []
        self.shelf.frame(frame.number, frame.devices)
        self._read(frame)
        for miner in self._offences.decided(frame.decisions, frame.number):
            if miner in self._accounts:
                self._ssa.reset(list(self._accounts).index(miner))  # its level is about to change rightfully
        self._spare(frame.number)
        statistics = self._statistics()
        self._window.push(frame.number, self._accounts)
        round_ = self._round(frame.number)
        self._judge(frame, round_)
        effects += self._alarms(frame.number, statistics)
        effects.append(
            Say(self._topics.behaviour(self.name), self._behaviour(frame.number, statistics, round_))
        )
        if frame.number % PRUNE_EVERY == 0:
            self.shelf.prune(frame.number, self._pinned())
        return Step(frame.number, self._vote(frame, frame_hash, newest), tuple(effects))

    def _read(self, frame: Frame) -> None:
        devices = {entry.device: entry for entry in frame.devices}
        present = {entry.miner: entry for entry in frame.miners if entry.present}
        for name, account in self._accounts.items():
            entry, device = present.get(name), devices.get(self._miners[name].device)
            if entry is None or device is None:
                account.absent()
            else:
                account.read(entry, device.boot, device.steal_ns, frame.number)

    def _spare(self, number: int) -> None:
        for name, account in self._accounts.items():
            if self._offences.spared(name, number):
                account.rebaseline()
                self._window.forget(name)

    def _statistics(self) -> Statistics:
        shares = [account.share for account in self._accounts.values()]
        values = np.array([0.0 if share is None else share for share in shares])
        return self._ssa.push(values, np.array([share is not None for share in shares]))

    def _round(self, number: int) -> Round | None:
        """Proof-of-Behavior every d frames."""
        if number % self._charter.detection.d:
            return None
        return self._window.round(self._accounts, self._charter.f_miners)

    def _judge(self, frame: Frame, round_: Round | None) -> None:
        """Let accusations stand: by the law first, by Proof-of-Behavior where the law is silent."""
        for name, account in self._accounts.items():
            spared = account.silent or self._offences.spared(name, frame.number)
            if not spared and account.rule.convicts(account.bucket):
                self._accuse(name, account, "budget", frame.number)
        for name in round_.accused if round_ else ():
            account = self._accounts[name]
            if not self._offences.spared(name, frame.number) and account.bucket.level > account.rule.burst:
                self._accuse(name, account, "pob", frame.number)

    def _accuse(self, name: str, account: Account, evidence: Evidence, number: int) -> None:
        device, since = self._miners[name].device, account.began()
        if since is None:
            return
        first, last = self.shelf.ref(device, since), self.shelf.ref(device, number)
        if first is not None and last is not None and since < number:
            excess_ns = account.excess_ns
            rung = self._offences.rung(name)
            self._offences.accuse(Accusation(name, since, evidence, rung, excess_ns, first, last))

    def _vote(self, frame: Frame, frame_hash: bytes, newest: int) -> bytes | None:
        standing = sorted(self._offences.standing.values(), key=lambda accusation: accusation.miner)
        due = bool(standing) or frame.number % self._charter.detection.d == 0
        if not due or frame.number <= self.last_vote or frame.number + VOTE_WITHIN < newest:
            return None
        self.last_vote = frame.number
        vote = Vote(frame.fog, frame.number, frame_hash, self._sealed.hash, tuple(standing[:MAX_ACCUSATIONS]))
        return self._signer.object(vote)

    def _alarms(self, number: int, statistics: Statistics) -> list[Post]:
        """What people should know at once; alarms decide nothing."""
        found: list[tuple[str, Any, str]] = []
        dark = self._charter.detection.dark_frames
        for row, (name, account) in enumerate(self._accounts.items()):
            level_ms = account.bucket.level / 1e12
            if account.bucket.level > account.rule.burst:
                found.append((name, "budget", f"{level_ms:.1f} ms of CPU above entitlement"))
            W, h = float(statistics.W[row]), float(statistics.h[row])
            if h < W:
                found.append((name, "ssa", f"W = {W:.2f} above {h:.2f}: the structure of its use changed"))
            if account.silent == dark:
                found.append((name, "dark", f"no sample for {dark} frames"))
        posts = []
        for name, detector, reason in found:
            if number - self._alarmed.get((name, detector), -ALARM_EVERY) >= ALARM_EVERY:
                self._alarmed[name, detector] = number
                alarm = self._signer.object(Alarm(number, name, detector, reason))
                posts.append(Post(self._topics.alarm(self.name), alarm, expiry_s=ALARM_EXPIRY_S))
        return posts

    def _behaviour(self, number: int, statistics: Statistics, round_: Round | None) -> Behaviour:
        scores = tuple(
            Score(
                miner=name,
                D=float(statistics.D[row]),
                S=float(statistics.S[row]),
                W=float(statistics.W[row]),
                level_ns=max(0, account.excess_ns),
                krum=float(round_.scores.get(name, 0)) if round_ else float("nan"),
            )
            for row, (name, account) in enumerate(self._accounts.items())
        )
        return Behaviour(number, self._ssa.parameters.h, round_.benchmark if round_ else "", scores)

    def _pinned(self) -> set[tuple[str, int]]:
        """Samples that an accusation might still need (device, frame number)."""
        pinned: set[tuple[str, int]] = set()
        for name, account in self._accounts.items():
            device = self._miners[name].device
            pinned.update((device, origin) for origin in account.origins())
        for accusation in self._offences.standing.values():
            for ref in (accusation.first, accusation.last):
                number = self.shelf.frame_of(ref.leaf)
                if number is not None:
                    pinned.add((ref.device, number))
        return pinned

    def state(self) -> dict[str, Any]:
        """Everything that later votes depend on, as plain data (JSON holds its integers and floats exactly)."""
        self.shelf.prune(self.last_vote, self._pinned())
        return {
            "charter": self._sealed.hash.hex(),
            "last_vote": self.last_vote,
            "accounts": {name: account.state() for name, account in self._accounts.items()},
            "offences": self._offences.state(),
            "ssa": self._ssa.snapshot(),
            "window": self._window.state(),
            "shelf": self.shelf.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state()`, taken under the same charter."""
        self.last_vote = state["last_vote"]
        for name, account in state["accounts"].items():
            if name in self._accounts:
                self._accounts[name].restore(account)
        self._offences.restore(state["offences"])
        rows: Sequence[str] = list(state["accounts"])
        if rows == list(self._accounts):
            self._ssa = SsaStream.restore(state["ssa"], self._ssa.parameters)
        self._window.restore(state["window"])
        self.shelf.restore(state["shelf"])


def ssa_parameters(charter: Charter) -> SsaParameters:
    """The charter's parameters of equations 3 to 9, on top of its preset's."""
    detection = charter.detection
    preset = PAPER if detection.preset == "paper" else CALIBRATED
    threshold = detection.ssa_threshold_milli / 1000
    return replace(
        preset,
        N=detection.N,
        L=detection.L,
        p=detection.p,
        q=detection.q,
        l=detection.eigentriples,
        t_alpha=detection.t_alpha_micro / 1e6,
        threshold=threshold or preset.threshold,
    )
