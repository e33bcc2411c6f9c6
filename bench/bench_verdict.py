"""From votes to verdict on the local network: `python -m bench.bench_verdict [SECONDS] [RUNTIME]`.

Real processes and a real broker; a few miners double their quota, and again whenever they are put back. A console
on the bus notes when every vote and verdict arrives. For each offence printed is the time to the first verdict on it,
from the vote that completes the quorum on that verdict's frame (the 2 f_detectors + 1st that accuses the miner), and
from the first of those votes. Asked for is less than 100 ms from the first of them.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mint.bus.options import Subscription
from mint.charter.seal import SealedCharter
from mint.containers.model import Quota
from mint.courier import bus_of
from mint.envelope import open_envelope
from mint.errors import ContainerError, Rejected
from mint.messages.judgement import Verdict, Vote
from mint.verdict import accusation_of, verify_verdict
from network.layout import Layout
from network.local import LocalNetwork

SECONDS, MINERS, CHEATS = 120.0, 16, 6
# Honest running first, as `mint demo` has it, and between the first offences of two cheats.
SETTLE_S, BETWEEN_S = 10.0, 4.0
# The quota of each cheat is looked at this often.
LOOK_S = 0.05
FACTOR = 2.0
ASKED_MS = 100.0


@dataclass(frozen=True)
class Heard:
    """A message as it came, and when (monotonic seconds)."""

    at_s: float
    topic: str
    data: bytes


@dataclass(frozen=True)
class Decided:
    """An offence: milliseconds from the first accusing vote, and from the one that completed the quorum."""

    miner: str
    offence: int
    first_ms: float
    quorum_ms: float


async def listen(network: LocalNetwork, heard: list[Heard]) -> None:
    """Note every vote and verdict as it arrives, unopened: opening them would delay the next."""
    node, topics = network.console(), network.charter.topics()
    filters = (topics.vote("+"), topics.verdict("+", "+"))
    async with bus_of(node, [Subscription(filter_, limit=4096) for filter_ in filters]) as bus:
        async for incoming in bus.messages():
            heard.append(Heard(time.monotonic(), incoming.topic, incoming.payload))  # noqa: PERF401 (it never ends)


async def cheat(network: LocalNetwork, miner: str, after_s: float) -> None:
    """Double a miner's quota, and again whenever somebody has put it back."""
    await asyncio.sleep(after_s)
    entitled = network.charter.charter.miners_by_name()[miner].entitlement.cpu_ppm
    hold, raised = network.runtime.hold(miner), Quota.of_ppm(round(FACTOR * entitled))
    while True:
        with suppress(ContainerError):  # it is just being restarted
            actual = hold.quota()
            if actual.quota_us != raised.quota_us:
                hold.set_quota(Quota(raised.quota_us, actual.period_us))
        await asyncio.sleep(LOOK_S)


async def run(folder: Path, seconds: float, runtime: str | None, out: Console) -> list[Decided]:
    """A network, its cheats, and what was decided on them."""
    heard: list[Heard] = []
    network = LocalNetwork(Layout(folder), miners=MINERS, runtime=runtime, say=out.print)
    async with network:
        tasks = [asyncio.create_task(listen(network, heard))]
        try:
            await network.start_miners()
            names = [miner.name for miner in network.charter.charter.miners][:CHEATS]
            out.print(f"{', '.join(names)} cheat, one after the other, for {seconds:g} s")
            for place, name in enumerate(names):
                tasks.append(asyncio.create_task(cheat(network, name, SETTLE_S + place * BETWEEN_S)))
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return decided(heard, network.charter)


def decided(heard: Iterable[Heard], charter: SealedCharter) -> list[Decided]:
    """What came of the votes and verdicts that were heard: each offence once, at its first valid verdict."""
    votes: list[tuple[float, str, Vote]] = []
    found: dict[tuple[str, int], Decided] = {}
    for one in heard:
        try:
            opened = open_envelope(one.data, charter.trust(), topic=one.topic)
            message = opened.message
            if isinstance(message, Vote):
                votes.append((one.at_s, opened.sender, message))
            elif isinstance(message, Verdict):
                verify_verdict(message, {charter.hash: charter})
                key = (message.miner, message.offence)
                if key not in found:
                    found[key] = _measured(one.at_s, message, votes, charter.charter.quorum)
        except Rejected:
            continue
    return list(found.values())


def _measured(at_s: float, verdict: Verdict, votes: list[tuple[float, str, Vote]], quorum: int) -> Decided:
    """`votes`: all that came before the verdict."""
    came: dict[str, float] = {}
    for when_s, sender, vote in votes:
        if vote.frame == verdict.frame and accusation_of(vote, verdict.miner, verdict.offence):
            came.setdefault(sender, when_s)
    # Who overtook the votes of its own quorum on their way here was quicker than can be told: at once.
    times_s = [*sorted(came.values()), *[at_s] * quorum][:quorum]
    return Decided(verdict.miner, verdict.offence, 1e3 * (at_s - times_s[0]), 1e3 * (at_s - times_s[-1]))


def main() -> None:
    """Run, and print each offence, then the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    runtime = sys.argv[2] if len(sys.argv) > 2 else None
    out = Console()
    with tempfile.TemporaryDirectory(prefix="mint-bench-") as folder:
        Path(folder).chmod(0o755)  # Mosquitto runs without privileges
        before = os.getloadavg()[0]
        offences = asyncio.run(run(Path(folder) / "net", seconds, runtime, out))
    for one in offences:
        out.print(
            f"{one.miner}, offence {one.offence}: {one.quorum_ms:.1f} ms after the quorum's last vote, "
            f"{one.first_ms:.1f} ms after its first"
        )
    out.print(f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores")
    table = Table("vote to verdict, ms", "median", "worst", "offences", "asked for")
    for name, values in (
        ("from the vote that completes the quorum", [one.quorum_ms for one in offences]),
        ("from the first accusing vote", [one.first_ms for one in offences]),
    ):
        median = f"{statistics.median(values):.1f}" if values else "none"
        table.add_row(name, median, f"{max(values, default=0):.1f}", str(len(values)), f"< {ASKED_MS:g}")
    out.print(table)


if __name__ == "__main__":
    main()
