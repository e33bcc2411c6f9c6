"""The commands for people: `mint demo`, `up`, `init`, `charter`, `watch`, `doctor`."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from typer.exceptions import TyperException

from agents.pow.choose import IN_ORDER
from mint.charter.model import Charter
from mint.charter.seal import load_charter
from mint.errors import InputError, MintError, cause_of
from mint.keys import SigningKey, load_public
from mint.names import Role
from mint.node import Node, NodeOptions, wall_ms
from network import demo, doctor, research_commands, services, up
from network.attacks import ATTACKS, attack_named
from network.calibrate import command as calibrate
from network.deployment import PORT, write_broker
from network.fairness import command as fairness
from network.founding import Plan, enrol, found, new_operator, sign, written
from network.layout import EDITING, Layout
from network.local import default_dir
from network.outputs import writable
from network.reproduce import command as reproduce
from network.simulate import command as simulate
from network.verify import command as verify

T = TypeVar("T")

# What the charter bears (mint/charter/model.py), said before anything is founded.
MAX_TITLE = 120
# What else a node that is enrolled may be: who edits the charter chooses.
OTHER_ROLES = 'detector, console, manager, or enforcer with devices = ["..."]'

app = typer.Typer(
    name="mint",
    help="MinT (Miner Twins) keeps a permissioned proof-of-work network fair.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
charter_app = typer.Typer(help="Check, sign, show and publish charters.", no_args_is_help=True)
app.add_typer(charter_app, name="charter")
app.command("reproduce", epilog=reproduce.EXAMPLE)(reproduce.reproduce)
app.command("calibrate", epilog=calibrate.EXAMPLE)(calibrate.calibrate)
app.command("replay", epilog=research_commands.REPLAY_EXAMPLE)(research_commands.replay)
app.command("verify", epilog=verify.EXAMPLE)(verify.verify)
app.command("simulate", epilog=simulate.EXAMPLE)(simulate.simulate)
app.command("fairness", epilog=fairness.EXAMPLE)(fairness.fairness)
app.command("export", epilog=research_commands.EXPORT_EXAMPLE)(research_commands.export)

Dir = Annotated[Path | None, typer.Option("--dir", help="The network's folder.", show_default=".mint/...")]
Miners = Annotated[int, typer.Option(min=1, max=256, help="How many miners.")]
Runtime = Annotated[
    str | None, typer.Option(help="docker, cgroup or duty; without it the best that works here.")
]


def main() -> int:
    """Run a command; its exit code (mint/errors.py). Whatever is wrong is said in one line."""
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "mint"
        what = error.format_message() if hasattr(error, "format_message") else str(error)
        sys.stderr.write(f"{command}: {' '.join(what.split()).rstrip('.')}; see {command} --help\n")
        return 2
    except Exception as error:
        cause = cause_of(error)
        if not isinstance(cause, (MintError, OSError)):
            raise  # a mistake of ours: with its traceback
        sys.stderr.write(f"mint: {cause}\n")
        return cause.exit_code if isinstance(cause, MintError) else 1
    return code if isinstance(code, int) else 0


def _until_interrupted(work: Callable[[asyncio.Event], Coroutine[None, None, T]]) -> T:
    """Run `work` with an event that Ctrl-C or SIGTERM sets; what it started it ends before it returns."""

    async def run() -> T:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        return await work(stop)

    return asyncio.run(run())


# --- a network on this machine ----------------------------------------------------------------------


@app.command("demo", epilog="example: mint demo --once --attack collude --seconds 60 --report report.json")
def demo_(
    attack: Annotated[str, typer.Option(help=f"How they cheat: {', '.join(ATTACKS)}.")] = "double",
    seconds: Annotated[
        float | None,
        typer.Option(
            min=5,
            max=86_400,
            help="How long it runs, from the first frame.",
            show_default="60, or what the attack needs",
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Unattended: lines instead of the live view.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON to this file.")] = None,
    runtime: Runtime = None,
    miners: Miners = 16,
    folder: Dir = None,
) -> None:
    """Run a whole network here, let a miner cheat, and show how it is caught; ends with a report.

    The folder's earlier demo is cleared first. Ctrl-C ends everything; nothing is left behind.

    Exit code 1 when an innocent was accused, or a cheat was not put back.
    """
    out = Console(highlight=False)
    how = attack_named(attack)
    options = demo.DemoOptions(
        folder=folder or default_dir("demo"),
        attack=how,
        miners=miners,
        seconds=how.seconds if seconds is None else seconds,
        runtime=_known(runtime),
        live=not once and out.is_terminal,
        report=writable(report, "--report"),
    )
    result = _until_interrupted(lambda stop: demo.run(options, out, stop))
    result.show(out)
    if not result.well():
        raise typer.Exit(1)


@app.command("up", epilog="example: mint up --miners 16 --port 8883")
def up_(
    runtime: Runtime = None,
    miners: Miners = 16,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="The broker's port; without it a free one.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Lines instead of the live view.")] = False,
    folder: Dir = None,
) -> None:
    """Run the network here, without an attack, until told to stop (Ctrl-C); it continues where it was."""
    out = Console(highlight=False)
    options = up.UpOptions(
        folder or default_dir("up"), miners, _known(runtime), port, live=not quiet and out.is_terminal
    )
    _until_interrupted(lambda stop: up.run(options, out, stop))


@app.command("watch", epilog="example: mint watch --dir .mint/up")
def watch_(
    broker: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The broker; without it the network here.")
    ] = None,
    node: Annotated[str, typer.Option(help="The console node of the charter to be.")] = "watcher",
    json: Annotated[bool, typer.Option("--json", help="Events as JSON, one a line.")] = False,
    folder: Dir = None,
) -> None:
    """Look on at a running network: use, scores, alarms, votes, verdicts, quotas."""
    layout = Layout(folder or default_dir("up"))
    host, port = services.address(broker) if broker else up.running_broker(layout)
    options = NodeOptions(layout.charter, node, layout.keys(node), host, port, layout.state(node))
    here = Node(options, Role.CONSOLE)
    _until_interrupted(lambda stop: up.look_on(here, stop, as_json=json))


@app.command("doctor", epilog="example: mint doctor --json")
def doctor_(json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Say what this machine has and lacks for MinT, and how to mend it (exit code 1 where something lacks)."""
    raise typer.Exit(doctor.run(Console(highlight=False), as_json=json))


# --- founding a network, and its charter ------------------------------------------------------------


@app.command("init", epilog="example: mint init --dir fleet --miners 16 --cpu 1.0")
def init_(
    folder: Annotated[Path, typer.Option("--dir", help="An empty folder for the operator's files.")],
    miners: Miners = 16,
    cpu: Annotated[float, typer.Option(min=0.01, max=1024, help="Each miner's entitlement in CPUs.")] = 1.0,
    title: Annotated[str, typer.Option(help="For people.")] = "",
) -> None:
    """Found a network: the operator's key, every node's keys and certificate, and a charter to edit.

    It makes one device; make the keys of more with `mint enroll`, add them in charter.toml, then run `mint charter
    sign`. The folder nodes/NAME is what to copy to the machine of that node.
    """
    if len(title) > MAX_TITLE or not title.isprintable():
        raise InputError("--title", f"is longer than {MAX_TITLE} characters, or not text", "shorten it")
    layout = Layout(folder)
    with layout.locked():
        if layout.charter_toml.exists():
            raise InputError(str(folder), "holds a network already", "choose an empty --dir")
        operator = new_operator(layout)
        sealed = found(layout, Plan(title, miners, cpu), operator)
    _said(
        f"founded {sealed.charter.network.hex()[:12]}: {layout.charter_toml}, keys in {layout.root / 'nodes'}"
    )


@app.command("enroll", epilog="example: mint enroll pi07 --dir fleet")
def enroll_(
    names: Annotated[list[str], typer.Argument(help="Nodes to make keys and a certificate for.")],
    folder: Annotated[Path, typer.Option("--dir", help="The operator's folder.")],
) -> None:
    """Make the keys of further nodes and print the lines that charter.toml needs; existing keys stay."""
    layout = _fleet(folder)
    with layout.locked(EDITING):
        for name, public in enrol(layout, names).items():
            _said(f'[[nodes]]\nname = "{name}"\nrole = "agent"  # or {OTHER_ROLES}\nkey = "{public}"\n')


@app.command("broker", epilog="example: mint broker --dir fleet --host fog.example --to fog/broker")
def broker_(
    folder: Annotated[Path, typer.Option("--dir", help="The operator's folder.")],
    hosts: Annotated[
        list[str], typer.Option("--host", help="A name or address by which devices reach the broker.")
    ],
    to: Annotated[Path, typer.Option("--to", help="The folder to write, to be copied to the broker's host.")],
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port it listens on.")] = PORT,
) -> None:
    """Write what a fleet's broker is started from: configuration, access list from the charter, certificate."""
    layout = _fleet(folder)
    sealed = load_charter(layout.charter, load_public(layout.operator_public), wall_ms())
    write_broker(layout, sealed, to, hosts, port)
    _said(f"{to}: copy it to the broker's host (docs/operations.md)")


@charter_app.command("check", epilog="example: mint charter check --dir fleet")
def check_(folder: Annotated[Path, typer.Option("--dir", help="The operator's folder.")]) -> None:
    """Check charter.toml without signing it."""
    layout = _fleet(folder)
    charter = written(layout, load_public(layout.operator_public))
    _said(f"{layout.charter_toml}: well formed. {_summary(charter)}")


@charter_app.command("sign", epilog="example: mint charter sign --dir fleet")
def sign_(folder: Annotated[Path, typer.Option("--dir", help="The operator's folder.")]) -> None:
    """Check charter.toml and sign it; give the signed file to the components, or publish it on the bus."""
    layout = _fleet(folder)
    with layout.locked(EDITING):
        operator = SigningKey.load(layout.operator_key)
        if layout.charter.exists():
            sealed = sign(layout, operator, above=_signed_before(layout, operator))
        else:
            sealed = sign(layout, operator)
    _said(f"{layout.charter}: version {sealed.charter.version} signed. {_summary(sealed.charter)}")


@charter_app.command("show", epilog="example: mint charter show charter.signed --operator operator.pub")
def show_(
    file: Annotated[Path, typer.Argument(help="A signed charter.")],
    operator: Annotated[Path, typer.Option(help="The operator's public key (operator.pub).")],
) -> None:
    """Verify a signed charter and print it as JSON."""
    sealed = load_charter(file, load_public(operator), wall_ms())
    _said(up.charter_json(sealed))


@charter_app.command("publish", epilog="example: mint charter publish --dir .mint/up")
def publish_(
    folder: Annotated[Path, typer.Option("--dir", help="The operator's folder.")],
    broker: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The broker; without it the network here.")
    ] = None,
) -> None:
    """Publish the signed charter on the bus: every component goes by it from the frame that names it on."""
    layout = _fleet(folder)
    host, port = services.address(broker) if broker else up.running_broker(layout)
    _until_interrupted(lambda _: up.publish_charter(layout, host, port))
    _said("published")


def _component(command: str) -> None:
    """List a component in `mint --help`; `main` runs it before typer sees it."""

    @app.command(command, help=services.ABOUT[command], rich_help_panel="Components", add_help_option=False)
    def listed() -> None:
        services.parser(command).print_help()


for _name in services.ROLES:
    _component(_name)


def _fleet(folder: Path) -> Layout:
    """The operator's folder, when it is one: a mistyped --dir is said, and nothing made there."""
    layout = Layout(folder)
    if not layout.mark.is_file():
        raise InputError(str(folder), "holds no MinT network", "name the folder that `mint init` made")
    return layout


def _signed_before(layout: Layout, operator: SigningKey) -> Charter:
    """The charter that is signed already; whatever is wrong with it, signing over it is no mend."""
    try:
        return load_charter(layout.charter, operator.public, 0).charter
    except InputError as error:
        mend = "restore it from a copy; without one remove it, and sign a version above all before"
        raise InputError(error.where, error.wrong, mend) from None


def _summary(charter: Charter) -> str:
    detectors = len(charter.nodes_of(Role.DETECTOR))
    return (
        f"Version {charter.version}: {len(charter.miners)} miners on {len(charter.devices)} devices, {detectors} "
        f"detectors of which {charter.f_detectors} may lie, mode {charter.mode}."
    )


def _known(runtime: str | None) -> str | None:
    """`runtime`, when there is such a one: said before anything is cleared or founded."""
    if runtime is not None and runtime not in IN_ORDER:
        raise InputError("--runtime", f"{runtime!r} is not a runtime", f"use one of {', '.join(IN_ORDER)}")
    return runtime


def _said(text: str) -> None:
    sys.stdout.write(text + "\n")
