"""The agent: samples the miners of one device and tells the twin manager, until it is told to stop.

A thin shell around core.py (what to send) and sampler.py (what is used): it owns the bus, the clocks and the
schedule. A broken broker, a full disk or a vanished container is said, and nothing stops for it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from pathlib import Path

from agents.core import Core, Now, Post
from agents.docker_watch import DockerWatch
from agents.sampler import Sampler
from agents.schedule import next_tick
from mint.bus import Bus, BusOptions, Quiet, Subscription, Will
from mint.containers.hierarchy import CGROUP_ROOT
from mint.errors import Rejected
from mint.names import scope
from mint.node import CA_CERTIFICATE, TLS_CERTIFICATE, TLS_KEY, Node, wall_ms

NS_PER_MS, NS_PER_S, MS_PER_S = 1_000_000, 1_000_000_000, 1_000
# New miners appear in the next sample but five; listing folders costs as much as a few samples.
DISCOVER_NS = 5 * NS_PER_S
# A broker's restart takes a second or two: only who is away for longer is told dead.
WILL_DELAY_S = 5
# Acknowledgements are cumulative and the charter is retained: nothing is worth queueing while we are away.
SESSION_EXPIRY_S = 60
# Each acknowledgement replaces the one before.
MAX_WAITING = 16


async def run(
    node: Node,
    stop: asyncio.Event,
    *,
    cgroup_root: Path = CGROUP_ROOT,
    duty_dir: Path | None = None,
    docker: bool = False,
) -> None:
    """Sample every miner of this network on this device once a period until `stop` is set.

    Args:
        node: who we are; its name is the device's.
        stop: ends the agent, with its death told.
        cgroup_root: where the cgroup trees are mounted.
        duty_dir: the folder of miners under a duty cycle, if there is one.
        docker: also ask Docker for containers that carry this network's labels.

    Raises:
        InputError: a certificate file is missing or wrong.
        MachineError: this is no Linux with /proc.
    """
    charter = node.charter.charter
    where = scope(charter.network)
    gpu_share = None
    watch = None
    if docker:
        watch = DockerWatch(where, cgroup_root, charter.period_ms / MS_PER_S, gpu_share, node.log)
    sampler = Sampler(
        where, log=node.log, cgroup_root=cgroup_root, duty_dir=duty_dir, gpu_share=gpu_share, docker=watch
    )
    try:
        sampler.discover()
        await _Agent(node, sampler, watch).run(stop)
    finally:
        sampler.close()


class _Agent:
    def __init__(self, node: Node, sampler: Sampler, watch: DockerWatch | None) -> None:
        self.node, self.sampler, self.watch = node, sampler, watch
        self.quiet = Quiet(node.log)
        self.core = Core(node.signer, node.charter, sampler.state())
        death = self.core.death(_now())
        self.bus = Bus(
            bus_options(node),
            will=Will(death.topic, death.payload, retain=True, delay_s=WILL_DELAY_S),
            subscriptions=(
                Subscription(node.topics.charter(), limit=MAX_WAITING),
                Subscription(self.core.ack_topic, limit=MAX_WAITING),
            ),
            rng=random.Random(),  # noqa: S311 - spreads reconnections, hides nothing
            log=node.log,
        )
        self.bus.on_connect(lambda _resumed: self._post(self.core.connected(_now())))

    async def run(self, stop: asyncio.Event) -> None:
        async with self.bus, asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(), name="agent listens")
            try:
                await self._sample_until(stop)
            finally:
                listening.cancel()
            if self.bus.connected.is_set():
                self._post([self.core.death(_now())])  # leaving the bus waits for it

    async def _sample_until(self, stop: asyncio.Event) -> None:
        start_ns = discovered_ns = time.monotonic_ns()
        while True:
            period_ns = self.node.charter.charter.period_ms * NS_PER_MS
            tick_ns = next_tick(start_ns, period_ns, time.monotonic_ns())
            if await _set_before(stop, tick_ns):
                return
            if time.monotonic_ns() - discovered_ns >= DISCOVER_NS:
                discovered_ns = time.monotonic_ns()
                self.sampler.discover()
            self._sample_once()

    def _sample_once(self) -> None:
        dropped = self.core.ring.dropped
        sample, state = self.sampler.sample(), self.sampler.state()
        self._post(self.core.sampled(sample, state, _now(), connected=self.bus.connected.is_set()))
        if self.core.ring.dropped > dropped:
            self.quiet.warning(
                "dropped",
                f"no acknowledgement for the last {len(self.core.ring)} samples; older ones are dropped",
            )

    async def _listen(self) -> None:
        async for message in self.bus.messages():
            if not message.payload:
                continue  # somebody cleared a retained topic
            try:
                if message.topic == self.core.ack_topic:
                    self.core.acknowledged(message.payload, message.topic, _now())
                else:
                    self._take_charter(message.payload)
            except Rejected as rejected:
                self.node.rejections.count(rejected, message.topic)

    def _take_charter(self, data: bytes) -> None:
        try:
            charter = self.node.take_charter(data)
        except OSError as error:
            self.quiet.warning(
                "charter", f"a new charter cannot be kept ({error}); going on with the old one"
            )
            return
        if charter is not None:
            self.core.take_charter(charter)
            if self.watch is not None:
                self.watch.period_s = charter.charter.period_ms / MS_PER_S

    def _post(self, posts: Iterable[Post]) -> None:
        for post in posts:
            self.bus.post(post.topic, post.payload, retain=post.retain, expiry_s=post.expiry_s)


def bus_options(node: Node) -> BusOptions:
    """How an agent reaches its broker."""
    options = node.options
    return BusOptions(
        options.host,
        options.port,
        node.name,
        options.keys / CA_CERTIFICATE,
        options.keys / TLS_CERTIFICATE,
        options.keys / TLS_KEY,
        session_expiry_s=SESSION_EXPIRY_S,
    )


def _now() -> Now:
    return Now(time.monotonic_ns(), wall_ms())


async def _set_before(event: asyncio.Event, until_ns: int) -> bool:
    """Wait until `until_ns` (monotonic); True as soon as `event` is set."""
    try:
        async with asyncio.timeout((until_ns - time.monotonic_ns()) / NS_PER_S):
            await event.wait()
    except TimeoutError:
        return False
    return True
