"""A whole network on this machine: broker, miners, agent, twin manager, detectors, enforcer, each a process."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from agents.pow.build import native
from agents.pow.choose import choose, start_all
from agents.pow.rate import rates
from agents.pow.runtime import Runtime
from agents.pow.work_folder import exchange_folder
from mint.certificates import Authority
from mint.charter.model import Charter
from mint.charter.seal import SealedCharter, load_charter
from mint.containers.model import Quota
from mint.errors import InputError, MachineError, MintError
from mint.keys import load_public, network_id
from mint.names import Role, scope
from mint.node import Node, NodeOptions, wall_ms
from network.acl import acl
from network.broker import Broker
from network.founding import DEVICE, Plan, found, new_operator
from network.layout import EDITING, MARK, RUNNING, Layout
from network.processes import Child, component, environment_is_quiet, lying
from network.swap import swap

# Miners together take at most half of the cores: the other half is the machine's, and MinT's.
SHARE_OF_CORES = 0.5
# Below this the kernel's 5 ms slices are coarser than the quota (mint/containers/model.py: 1 ms in 100 ms).
MIN_CPU = 0.01

# A local network is founded within seconds, and machines that others share are faster at one time than at another:
# what so few runs show is not the most that an honest miner hashes. A fleet's classes are measured by `mint calibrate`.
RUNS, MARGIN = 2, 1.1

COMMANDS = {Role.MANAGER: "twin", Role.AGENT: "agent", Role.DETECTOR: "detector", Role.ENFORCER: "enforcer"}

Say = Callable[[str], None]


def fair_cpu(miners: int, cores: int | None = None) -> float:
    """CPUs for each of `miners`, in thousandths, so that together they take at most half of the cores.

    Raises:
        MachineError: there are too many for this machine.
    """
    cores = cores or psutil.cpu_count() or 1
    cpu = int(cores * SHARE_OF_CORES / miners * 1000) / 1000
    if cpu < MIN_CPU:
        most = int(cores * SHARE_OF_CORES / MIN_CPU)
        raise MachineError(f"{miners} miners are too many for {cores} cores", f"use --miners {most} or fewer")
    return cpu


class LocalNetwork:
    """The network in one folder: `async with` starts all of it but the miners, and ends all of it.

    `start_miners` comes after, so that whoever wants to see everything from the first frame on can connect first.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        miners: int,
        runtime: str | None,
        say: Say,
        port: int | None = None,
        block_interval_s: float = 10.0,
        program: Sequence[str] = (),
        liar: str | None = None,
    ) -> None:
        """What is there already in the folder goes on; what is not is founded.

        Args:
            layout: the folder.
            miners: how many.
            runtime: which one, if not the best that works here.
            say: called with what is being done.
            port: the broker's, if not a free one.
            block_interval_s: of the ledger that a new network's miners mine.
            program: options of every miner's program.
            liar: the miner of which the device's agent tells too little, if any.
        """
        self.layout, self.say = layout, say
        self._miners, self._wanted, self._port = miners, runtime, port
        self._block_interval_s, self._program, self._liar = block_interval_s, tuple(program), liar
        self.children: dict[str, Child] = {}
        self.runtime: Runtime
        self.charter: SealedCharter
        self.broker: Broker
        self._broker_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    # --- what others use ---

    async def start_miners(self, factors: Mapping[str, float] | None = None) -> None:
        """Start every miner at its entitlement, or that times its factor (an attack from the first second).

        Raises:
            MachineError: one could not be started.
        """
        factors = factors or {}
        quotas = {
            miner.name: Quota.of_ppm(round(miner.entitlement.cpu_ppm * factors.get(miner.name, 1.0)))
            for miner in self.charter.charter.miners
        }
        self.say(f"starting {len(quotas)} miners ({self.runtime.name})")
        await asyncio.to_thread(start_all, self.runtime, quotas)

    async def disarm(self) -> None:
        """The host ends its enforcer, for good."""
        for node in self.charter.charter.nodes_of(Role.ENFORCER):
            await self.children.pop(node.name).stop()

    def swap(self, miner: str) -> None:
        """The host puts another program in the place of a miner's (swap.py).

        Raises:
            MachineError: that cannot be done here.
        """
        exchange = exchange_folder(self.layout.state(DEVICE), self._scope)
        swap(self.runtime, self._scope, miner, self.layout.miners / "program", exchange)

    def console(self) -> Node:
        """A node to look on with.

        Raises:
            InputError: the network has none.
        """
        return Node(self._options("console"), Role.CONSOLE)

    def component_processes(self) -> dict[str, psutil.Process]:
        """Our components that run now, by name (for what they cost)."""
        found = {}
        for name, child in self.children.items():
            if child.pid is not None:
                with suppress(psutil.Error):
                    found[name] = psutil.Process(child.pid)
        return found

    # --- starting ---

    async def _start(self) -> None:
        environment_is_quiet()
        founded = self.layout.charter.exists()
        if founded:
            self._load()
            charter = self.charter.charter
            self._choose(charter.network, mines=charter.chain is not None)
            self._check_law()
        else:
            self._found()
        self.say(f"{'continuing' if founded else 'founded'} network {self._scope} in {self.layout.root}")
        charter = self.charter.charter
        await self._start_broker(charter)
        for name in self._order(charter):
            self._start_component(name)

    @property
    def _scope(self) -> str:
        return scope(self.charter.charter.network)

    def _load(self) -> None:
        operator = load_public(self.layout.operator_public)
        self.charter = load_charter(self.layout.charter, operator, wall_ms())
        if len(self.charter.charter.miners) != self._miners:
            count = len(self.charter.charter.miners)
            raise InputError(
                str(self.layout.root),
                f"is a network of {count} miners",
                f"use --miners {count} or another --dir",
            )

    def _check_law(self) -> None:
        """A duty cycle misses by more than the kernel's law forgives: honest miners would be convicted."""
        laws = {miner.law for miner in self.charter.charter.miners}
        if self.runtime.name == "duty" and "kernel" in laws:
            raise InputError(
                str(self.layout.root),
                "was founded where the kernel limits the miners, and here only a duty cycle does",
                "use the --runtime it was founded with, or another --dir",
            )

    def _found(self) -> None:
        """A new network: what limits the miners here decides the law that its charter names."""
        # A founding that was cut short left nodes that trust another operator.
        shutil.rmtree(self.layout.root / "nodes", ignore_errors=True)
        operator = new_operator(self.layout)
        rate = self._rate()
        self._choose(network_id(operator.public), mines=rate > 0)
        soft = self.runtime.name == "duty"
        plan = Plan(
            title=f"local network ({self.runtime.name})",
            miners=self._miners,
            cpu=fair_cpu(self._miners),
            law="soft" if soft else "kernel",
            image=self.runtime.digest,
            hashes_per_cpu_second=rate,
            block_interval_s=self._block_interval_s,
        )
        self.charter = found(self.layout, plan, operator)

    def _rate(self) -> int:
        """What the miner's program hashes here; 0 where it is the slow one that no ledger is mined with."""
        try:
            program = native(self.layout.miners / "program")
            self.say("measuring how fast a miner hashes here")
            best = max(rates(program, self._program, runs=RUNS))
        except MachineError as error:
            self.say(f"no ledger is mined: {error}")
            return 0
        return round(best * MARGIN)

    def _choose(self, network: bytes, *, mines: bool) -> None:
        where = scope(network)
        exchange = exchange_folder(self.layout.state(DEVICE), where) if mines else None
        self.runtime = choose(
            where, self.layout.miners, self._wanted, self.say, exchange, program=self._program
        )
        self.runtime.sweep()

    async def _start_broker(self, charter: Charter) -> None:
        nodes = [(node.name, node.role) for node in charter.nodes]
        self.broker = Broker(
            self.layout.broker,
            Authority.load(self.layout.authority),
            acl(nodes, self.charter.topics()),
            port=self._port,
        )
        await self.broker.start()
        self.say(f"broker on {self.broker.address}:{self.broker.port}")
        self._broker_task = asyncio.create_task(self._keep_broker(), name="broker")

    async def _keep_broker(self) -> None:
        """Start the broker again when it dies: it keeps what it had, and everyone comes back by themselves."""
        while True:
            code = await self.broker.wait()
            with suppress(OSError):  # nobody listens any more (a closed pipe)
                self.say(f"the broker ended ({code}), starting it again")
            with suppress(MintError):  # a full disk, say: it may be mended while we run
                await self.broker.start()
                continue
            await asyncio.sleep(1)

    def _order(self, charter: Charter) -> Iterable[str]:
        """Listeners before speakers, so that the first frame finds everyone there."""
        for role in (Role.DETECTOR, Role.ENFORCER, Role.MANAGER, Role.AGENT):
            for node in charter.nodes_of(role):
                yield node.name

    def _start_component(self, name: str) -> None:
        role = self.charter.trust().members[name].role
        options = self._options(name)
        arguments = [
            *("--charter", str(options.charter), "--node", name, "--keys", str(options.keys)),
            *("--broker", f"{options.host}:{options.port}", "--state", str(options.state)),
        ]
        if role in (Role.AGENT, Role.ENFORCER) and self.runtime.name == "duty":
            arguments += ["--duty-dir", str(self.layout.miners / "duty" / self._scope)]
        command = component(COMMANDS[role], *arguments)
        if role is Role.AGENT and self._liar is not None:
            command = lying(self._liar, *arguments)
        child = Child(name, command, self.layout.logs / f"{name}.log", self.say)
        self.children[name] = child
        child.start()

    def _options(self, name: str) -> NodeOptions:
        layout = self.layout
        return NodeOptions(
            layout.charter, name, layout.keys(name), self.broker.address, self.broker.port, layout.state(name)
        )

    # --- ending ---

    async def _stop(self) -> None:
        """End everything that was started, in whatever state it is; every step is tried."""
        if self._broker_task is not None:
            self._broker_task.cancel()
        try:
            await asyncio.gather(*(child.stop() for child in self.children.values()), return_exceptions=True)
            if hasattr(self, "broker"):
                await self.broker.stop()
        finally:
            if hasattr(self, "runtime"):
                await asyncio.to_thread(self.runtime.close)


def discard(layout: Layout) -> None:
    """Remove what is in a network's folder (held by us), and first whatever a killed run of it left running.

    Raises:
        InputError: its charter or key cannot be read.
    """
    if layout.charter.exists():
        sealed = load_charter(layout.charter, load_public(layout.operator_public), 0)  # expired or not
        runtime = choose(scope(sealed.charter.network), layout.miners, None, lambda _: None)
        runtime.sweep()
        runtime.close()
    for path in layout.root.iterdir():
        if path.name in (RUNNING, EDITING, MARK):  # cut short, it is still ours to clear
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def default_dir(what: str) -> Path:
    """Where `mint up` and `mint demo` keep their network unless told otherwise."""
    return Path(".mint") / what
