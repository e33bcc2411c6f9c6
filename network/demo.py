"""`mint demo`: a whole network here, a cheat in it, and what became of the cheat."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
from rich.console import Console

from console.picture import Picture
from console.watch import watch
from mint.charter.seal import SealedCharter
from mint.containers.model import Quota
from mint.errors import ContainerError, MintError, Rejected
from mint.messages.frame import Frame
from mint.messages.judgement import Alarm, Verdict, Vote
from mint.messages.receipt import Receipt
from mint.names import Role
from mint.verdict import verify_verdict
from network.attacks import Attack, Attacker
from network.demo_ledger import paid
from network.founding import DEVICE, miner_names
from network.layout import Layout
from network.local import LocalNetwork, discard
from network.report import Report

# The kernel's file of the cheat is read this often: what "the quota is back" rests on.
LOOK_S = 0.02
# Honest running before the attack: the figures for innocents and costs need some, people want it short.
SETTLE_S, SETTLE_SHARE = 20.0, 0.3
# Blocks often enough that a minute has some dozens; a fleet's are as its charter says.
BLOCK_INTERVAL_S = 2.0
# The pinned program of a demo in which one miner swaps it for one that uses what the processor can do.
PLAIN = ("--path", "portable")
# Sixteen containers on a slow card start in half a minute; without a frame after this something is broken.
FIRST_FRAME_S = 60.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How a demo is run; `seconds` counts from the first frame with all miners in it."""

    folder: Path
    attack: Attack
    miners: int
    seconds: float
    runtime: str | None
    live: bool
    report: Path | None


class Observer:
    """Notes on the messages that go by, what the report says of them."""

    def __init__(self, report: Report, charter: SealedCharter, begun: float) -> None:
        """`begun`: the monotonic time at which the demo was started."""
        self._report, self._charter, self._begun = report, charter, begun
        self.complete = asyncio.Event()
        self._accused: set[str] = set()
        self._convicted: dict[str, float] = {}

    def see(self, _sender: str, message: msgspec.Struct) -> None:
        """Take note of one valid message."""
        now = time.time()
        if isinstance(message, Frame):
            self._frame(message)
        elif isinstance(message, Alarm):
            if message.miner in self._report.attacked and message.detector != "dark":
                self._seen(now)
        elif isinstance(message, Vote):
            self._vote(message, now)
        elif isinstance(message, Verdict):
            self._verdict(message, now)
        elif isinstance(message, Receipt):
            self._receipt(message, now)

    def _frame(self, frame: Frame) -> None:
        report = self._report
        report.frames += 1
        if report.start_to_first_frame_s is None:
            report.start_to_first_frame_s = time.monotonic() - self._begun
        if sum(entry.present for entry in frame.miners) == report.miners:
            self.complete.set()

    def _receipt(self, receipt: Receipt, now: float) -> None:
        if receipt.action == "restore" and receipt.miner in self._report.attacked:
            self._report.repaid_at = now

    def _seen(self, now: float) -> None:
        if self._report.attack_at is not None and self._report.first_seen_at is None:
            self._report.first_seen_at = now

    def _vote(self, vote: Vote, now: float) -> None:
        for accusation in vote.accusations:
            if accusation.miner in self._report.attacked:
                self._seen(now)
            elif accusation.miner not in self._report.innocents_accused:
                self._report.innocents_accused.append(accusation.miner)

    def _verdict(self, verdict: Verdict, now: float) -> None:
        report = self._report
        try:
            proven = verify_verdict(verdict, {self._charter.hash: self._charter})
        except Rejected:
            return
        if verdict.miner in self._convicted or verdict.miner not in report.attacked:
            return
        self._convicted[verdict.miner] = now
        report.verdicts.append(
            {
                "miner": verdict.miner,
                "at": now,
                "offence": verdict.offence,
                "began": verdict.began,
                "frame": verdict.frame,
                "evidence": proven.evidence,
                "excess_cpu_s": proven.excess_ns / 1e9,
            }
        )
        if set(self._convicted) == set(report.attacked):
            report.verdict_at = now


async def run(options: DemoOptions, out: Console, stop: asyncio.Event) -> Report:
    """Run a demo until its time is over or `stop` is set; everything it started is gone when this returns.

    Raises:
        MintError: something of the network could not be started.
    """
    layout = Layout(options.folder)
    with layout.locked():
        discard(layout)
        return await _run(options, layout, out, stop)


async def _run(options: DemoOptions, layout: Layout, out: Console, stop: asyncio.Event) -> Report:
    attack = options.attack
    begun = time.monotonic()
    say = _teller(out, begun)
    network = LocalNetwork(
        layout,
        miners=options.miners,
        runtime=options.runtime,
        say=say,
        block_interval_s=BLOCK_INTERVAL_S,
        program=PLAIN if attack.swaps else (),
        liar=_cheats(attack, miner_names(options.miners))[0] if attack.lies else None,
    )
    async with network:
        charter = network.charter.charter
        report = Report(
            network.runtime.name, len(charter.miners), attack.name, charter.period_ms / 1000, attack.disarms
        )
        observer = Observer(report, network.charter, begun)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(
                watch(
                    network.console(),
                    stop,
                    picture=Picture(network.charter),
                    observer=observer.see,
                    live=options.live,
                    console=out,
                )
            )
            try:
                await _start(attack, network, report)
                await _first_frame(observer, stop)
                meter = Meter(network)
                await _play(options, network, report, stop, say)
                meter.read(report)
                report.paid = await asyncio.to_thread(
                    paid, layout.state(DEVICE), report.attacked, report.attack_at
                )
            finally:
                stop.set()
                await watching
    if options.report is not None:
        options.report.write_text(report.json(), encoding="utf-8")
    return report


async def _start(attack: Attack, network: LocalNetwork, report: Report) -> None:
    """Start the miners; who cheats from the first second begins here."""
    if attack.from_start:
        report.attacked, report.attack_at = _cheats(attack, _names(network)), time.time()
    await network.start_miners(dict.fromkeys(report.attacked, attack.start))


def _names(network: LocalNetwork) -> tuple[str, ...]:
    return tuple(miner.name for miner in network.charter.charter.miners)


def _cheats(attack: Attack, names: tuple[str, ...]) -> list[str]:
    """In the middle of the list, so that a picture of it shows them between honest ones."""
    return list(names[len(names) // 2 :][: attack.cheats])


async def _first_frame(observer: Observer, stop: asyncio.Event) -> None:
    waiting = {asyncio.create_task(observer.complete.wait()), asyncio.create_task(stop.wait())}
    done, pending = await asyncio.wait(waiting, timeout=FIRST_FRAME_S, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if not done:
        raise MintError(f"no frame with all miners within {FIRST_FRAME_S:g} s; see the logs folder")


async def _play(
    options: DemoOptions,
    network: LocalNetwork,
    report: Report,
    stop: asyncio.Event,
    say: Callable[[str], None],
) -> None:
    """Let them settle, attack, look on until the time is over."""
    attack, charter = options.attack, network.charter.charter
    ends = time.monotonic() + options.seconds
    if not attack.cheats:
        await _pause(stop, options.seconds)
        return
    if not attack.from_start:
        settle_s = min(SETTLE_S, options.seconds * SETTLE_SHARE)
        say(f"all miners seen; {settle_s:.0f} s of honest mining before the attack: {attack.about}")
        if await _pause(stop, settle_s):
            return
    cheats = _cheats(attack, _names(network))
    entitled = {
        miner.name: Quota.of_ppm(miner.entitlement.cpu_ppm).quota_us or 0
        for miner in charter.miners
        if miner.name in cheats
    }
    attacker = Attacker(attack, {name: network.runtime.hold(name) for name in cheats}, entitled)
    if not attack.from_start:
        report.attacked, report.attack_at = cheats, time.time()
        say(f"attack: {', '.join(cheats)} ({attack.about})")
        if attack.disarms:
            await network.disarm()
        if attack.swaps:
            network.swap(cheats[0])
    began = time.monotonic()
    while time.monotonic() < ends and not stop.is_set():
        if not attack.from_start:
            attacker.act(time.monotonic() - began)
        _look(attacker, report, say)
        await _pause(stop, LOOK_S)


def _look(attacker: Attacker, report: Report, say: Callable[[str], None]) -> None:
    """Whether the kernel's files say that every cheat's quota is back."""
    if report.restored_at is not None or report.attack_at is None:
        return
    what = "low" if attacker.attack.swaps else "back"
    with suppress(ContainerError):
        if report.verdict_at is not None and all(attacker.restored().values()):
            report.restored_at = time.time()
            report.periods_to_restore = (report.restored_at - report.attack_at) / report.period_s
            say(f"the quota is {what}, {report.periods_to_restore:.1f} periods after the attack began")


async def _pause(stop: asyncio.Event, seconds: float) -> bool:
    """Wait; True when told to stop meanwhile."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()


class Meter:
    """What the components cost, from one moment to another."""

    def __init__(self, network: LocalNetwork) -> None:
        self._processes = network.component_processes()
        self._roles = {node.name: node.role for node in network.charter.charter.nodes}
        self._begun = time.monotonic()
        self._cpu = {name: _cpu_s(process) for name, process in self._processes.items()}

    def read(self, report: Report) -> None:
        """Write the costs since then into the report; a component that died meanwhile leaves them out."""
        elapsed = time.monotonic() - self._begun
        used: dict[bool, float] = {True: 0.0, False: 0.0}
        rss: dict[bool, float] = {True: 0.0, False: 0.0}
        try:
            for name, process in self._processes.items():
                edge = self._roles[name] is Role.AGENT
                used[edge] += _cpu_s(process) - self._cpu[name]
                rss[edge] += process.memory_info().rss / 2**20
        except psutil.Error:
            return
        if elapsed > 0:
            report.agent_cpu_percent, report.fog_cpu_percent = (
                100 * used[e] / elapsed for e in (True, False)
            )
            report.agent_rss_mib, report.fog_rss_mib = rss[True], rss[False]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _teller(out: Console, begun: float) -> Callable[[str], None]:
    def say(what: str) -> None:
        out.print(f"[dim]{time.monotonic() - begun:5.1f} s[/dim] {what}", soft_wrap=True)

    return say
