"""Link by link from the operator's public key down to the accused device's own samples.

    operator -> charters -> frames (chain, rules, samples) -> verdicts (votes, samples, the law, their place in the log)

Everything is checked by the code that detectors and enforcers go by (mint/), and nothing is taken on trust that is in
the file: what is not there is said to be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from mint.charter.seal import SealedCharter, open_charter
from mint.envelope import object_hash
from mint.errors import Rejected
from mint.fault_proofs import contradicts, verdict_in
from mint.frame_rules import check_frame, check_step
from mint.frames import LogFrame, open_frame, resumes
from mint.keys import network_id
from mint.merkle import leaf_hash
from mint.messages.judgement import Verdict
from mint.verdict import BY_QUORUM, BY_WORK, Proven, verify_verdict
from network.verify.case import Page
from network.verify.report import Report

NS_PER_S = 1e9


class Source(Protocol):
    """What is verified: a case, or a stored log."""

    @property
    def charters(self) -> Sequence[bytes]:
        """Signed charters."""

    @property
    def verdicts(self) -> Sequence[bytes]:
        """Envelopes of verdicts."""

    def pages(self) -> Iterator[Page]:
        """Frames in order, with their samples."""

    def __len__(self) -> int:
        """How many frames there are."""


class Verification:
    """Checks one source against one operator's key; `report` grows as it goes."""

    def __init__(self, operator: bytes, source: Source) -> None:
        self.report = Report()
        self.frames: list[tuple[int, int]] = []  # stretches without a gap: first and last number
        self.charters = self._charters(operator, source.charters)
        self._verdicts = self._read(source.verdicts)
        # What is looked for in the log: samples that verdicts name, by leaf hash, and frames that votes are on.
        self._wanted = {leaf_hash(data) for verdict in self._verdicts.values() for data in verdict[0:2]}
        self._found: dict[bytes, int] = {}
        self._voted: dict[int, bytes] = {}
        self._noted: dict[tuple[str, int], int] = {}
        self._on = {verdict[2].frame for verdict in self._verdicts.values()}
        self._last: LogFrame | None = None
        self._samples = self._missing = 0

    def frame(self, page: Page) -> LogFrame | None:
        """Check the next frame; None where it is not signed as a frame of this network."""
        try:
            frame = open_frame(page.frame, self.charters)
        except Rejected as rejected:
            self.report.breaks("log", f"after frame {self._last.number if self._last else 0}: {rejected}")
            return None
        self._place(frame)
        try:
            check_frame(frame.frame, frame.charter.charter)
        except Rejected as rejected:
            self.report.breaks("log", rejected.detail)
        self._check_samples(frame, page.samples)
        for entry in frame.frame.devices:
            if entry.leaf in self._wanted:
                self._found.setdefault(entry.leaf, frame.number)
        if frame.number in self._on:
            self._voted[frame.number] = frame.hash
        for decision in frame.frame.decisions:
            self._noted.setdefault((decision.miner, decision.offence), frame.number)
        self._last = frame
        return frame

    def finish(self) -> Report:
        """Say what the frames showed, and check the verdicts."""
        if self.frames:
            spans = ", ".join(f"{first} to {last}" for first, last in self.frames[:5])
            gaps = "" if len(self.frames) == 1 else f" in {len(self.frames)} stretches"
            self.report.holds(
                "log", f"frames {spans}{gaps}: signed, chained by hash, by the rules of the log"
            )
            shown = (
                f"{self._samples} samples that frames rest on are signed by their devices and say the same"
            )
            missing = f"; {self._missing} are not here" if self._missing else ""
            self.report.holds("samples", shown + missing)
        if self._last is not None:
            self.report.head = (self._last.number, self._last.hash)
        for data, (_, _, verdict) in self._verdicts.items():
            self._check_verdict(data, verdict)
        return self.report

    # --- charters and frames ---

    def _charters(self, operator: bytes, signed: Sequence[bytes]) -> dict[bytes, SealedCharter]:
        known: dict[bytes, SealedCharter] = {}
        for data in signed:
            try:
                sealed = open_charter(data, operator)
            except Rejected as rejected:
                self.report.breaks("charter", f"is not the operator's: {rejected}")
                continue
            known[sealed.hash] = sealed
        for sealed in sorted(known.values(), key=lambda one: one.charter.version):
            charter = sealed.charter
            self.report.holds(
                "charter",
                f"version {charter.version} of fog {charter.fog} is signed by the operator of network "
                f"{network_id(operator).hex()[:12]}: {len(charter.miners)} miners, {len(charter.detectors)} detectors, "
                f"of which {charter.f_detectors} may lie",
            )
        return known

    def _place(self, frame: LogFrame) -> None:
        """Its place after the frame before."""
        before = self._last
        if before is None or frame.number > before.number + 1:
            self.frames.append((frame.number, frame.number))
            return
        if frame.number != before.number + 1 or frame.frame.previous != before.hash:
            resumed = resumes(before.charter.charter, frame.charter.charter)
            if not resumed:
                self.report.breaks(
                    "log", f"frame {frame.number} does not follow frame {before.number} as it is here"
                )
            self.frames.append((frame.number, frame.number))
            return
        try:
            check_step(before.frame, frame.frame, frame.charter.charter)
        except Rejected as rejected:
            self.report.breaks("log", rejected.detail)
        self.frames[-1] = (self.frames[-1][0], frame.number)

    def _check_samples(self, frame: LogFrame, samples: tuple[bytes, ...]) -> None:
        at_hand = {leaf_hash(sample): sample for sample in samples}
        for entry in frame.frame.devices:
            sample = at_hand.get(entry.leaf)
            if not entry.leaf:
                continue
            if sample is None:
                self._missing += 1
            elif contradicts(frame, sample):
                self.report.breaks(
                    "samples", f"frame {frame.number} contradicts the sample of {entry.device}"
                )
            else:
                self._samples += 1

    # --- verdicts ---

    def _read(self, envelopes: Sequence[bytes]) -> dict[bytes, tuple[bytes, bytes, Verdict]]:
        """Verdicts by their hash, several certificates of one offence once; with their two samples."""
        read: dict[bytes, tuple[bytes, bytes, Verdict]] = {}
        offences: set[tuple[str, int]] = set()
        for data in envelopes:
            try:
                verdict, verdict_hash = verdict_in(data), object_hash(data)
            except Rejected as rejected:
                self.report.breaks("verdict", f"cannot be read: {rejected}")
                continue
            if (verdict.miner, verdict.offence) not in offences:
                offences.add((verdict.miner, verdict.offence))
                read[verdict_hash] = (verdict.first, verdict.last, verdict)
        return read

    def _check_verdict(self, verdict_hash: bytes, verdict: Verdict) -> None:
        about = f"verdict {verdict.miner}/{verdict.offence}"
        try:
            proven = verify_verdict(verdict, self.charters)
        except Rejected as rejected:
            self.report.breaks(about, rejected.detail)
            return
        self.report.holds(about, _done(verdict, proven))
        self.report.holds(
            about, f"{len(verdict.votes)} detectors accuse on frame {proven.frame}: {_quorum(proven)}"
        )
        self.report.holds(about, _law(proven))
        self._check_place(about, verdict, proven)
        self.report.verdicts.append(
            {
                "hash": verdict_hash.hex(),
                "miner": verdict.miner,
                "offence": verdict.offence,
                "began": verdict.began,
                "frame": verdict.frame,
                "evidence": verdict.evidence,
                "excess_ns": verdict.excess_ns,
                "until": proven.until,
                "noted_in_frame": self._noted.get((verdict.miner, verdict.offence)),
            }
        )

    def _check_place(self, about: str, verdict: Verdict, proven: Proven) -> None:
        """Where the verdict stands in the log, as far as the log is here."""
        if not self.frames:
            return
        ours = self._voted.get(proven.frame)
        if ours is not None and ours != proven.frame_hash:
            self.report.breaks(about, f"its votes are on another frame {proven.frame} than the log's")
        elif ours is not None:
            noted = self._noted.get((verdict.miner, verdict.offence))
            where = f"frame {noted} takes note of it" if noted else "no frame here takes note of it yet"
            self.report.holds(about, f"frame {proven.frame} is the log's; {where}")
        else:
            self.report.holds(about, f"frame {proven.frame} is not among the frames here")
        numbers = [self._found.get(leaf_hash(data)) for data in (verdict.first, verdict.last)]
        if None not in numbers:
            self.report.holds(about, f"frames {numbers[0]} and {numbers[1]} rest on its two samples")


def _done(verdict: Verdict, proven: Proven) -> str:
    taken, above = (
        verdict.excess_ns / NS_PER_S,
        "what it reported" if verdict.evidence == BY_WORK else "entitlement",
    )
    return (
        f"{verdict.miner} took {taken:.3f} CPU-s above {above} since frame {verdict.began}, by {verdict.evidence}; "
        f"offence {verdict.offence} is rung {verdict.offence} of the ladder, until frame {proven.until} at least"
    )


def _quorum(proven: Proven) -> str:
    charter = proven.charter.charter
    return f"{charter.quorum} of {len(charter.detectors)} are needed under charter version {charter.version}"


def _law(proven: Proven) -> str:
    first, last, device = proven.first, proven.last, proven.miner.device
    used, time_s = (last.usage_ns - first.usage_ns) / NS_PER_S, (last.after_ns - first.before_ns) / NS_PER_S
    granted = proven.miner.entitlement.cpu_ppm / 1e6
    said = f"two samples signed by {device} itself: {used:.3f} CPU-s in {time_s:.3f} s, entitled to {granted:g} CPU"
    if proven.evidence == BY_QUORUM:
        return f"{said}; this evidence lies in many ticks and rests on the quorum's word"
    if proven.evidence == BY_WORK:
        more_s = proven.excess_ns / NS_PER_S
        return (
            f"{said}; their shares took {more_s:.3f} CPU-s more, which no number of lying detectors can forge: it "
            "reports too little, or its code is faster than the image, and the samples do not say which"
        )
    allowed = proven.charter.charter.rule(proven.miner).allowed_ns / 1e6
    return f"{said}: more than the law's {allowed:.0f} ms above, which no number of lying detectors can forge"
