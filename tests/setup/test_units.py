"""The systemd units: systemd accepts them, they start in order, and they run what `mint` understands."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agents.pow.work_folder import exchange_folder
from tests.setup.machine import missing
from tests.setup.units import FOLDER, services

UNITS = services()
COMPONENTS = {
    "mint-miners": "miners",
    "mint-agent": "agent",
    "mint-enforcer": "enforcer",
    "mint-twin": "twin",
    "mint-detector@": "detector",
}
# systemd's own measure, 0 to 10: "OK" is below 5, an unhardened service has 9.6.
MOST_EXPOSED = 3.0


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder with the units where docs/operations.md says, and stand-ins for the programs that they name."""
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze")
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(FOLDER, root / "etc/systemd/system")
    own = root / "usr/lib/systemd/system"
    own.mkdir(parents=True)
    for kind in ("*.target", "*.slice"):
        for unit in Path("/usr/lib/systemd/system").glob(kind):
            shutil.copy(unit, own / unit.name, follow_symlinks=True)
    for program in ("opt/mint/bin/mint", "usr/sbin/mosquitto", "bin/kill"):
        path = root / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    return root


def analyze(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", words[0], f"--root={root}", *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def instance(name: str) -> str:
    """The name of a unit that could be started: a template's gets an instance."""
    return f"{name}detector1.service" if name.endswith("@") else f"{name}.service"


@pytest.mark.parametrize("name", [*UNITS, "mint-fog.target", "mint-edge.target"])
def test_systemd_accepts(installed: Path, name: str) -> None:
    unit = name if name.endswith(".target") else instance(name)
    done = analyze(installed, "verify", "--man=no", unit)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_would_complain(installed: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(installed, root)
    drop_in = root / "etc/systemd/system/mint-.service.d/10-common.conf"
    drop_in.write_text(drop_in.read_text() + "Retsart=always\n")
    assert "Retsart" in analyze(root, "verify", "--man=no", "mint-agent.service").stderr


@pytest.mark.parametrize("name", UNITS)
def test_a_service_may_do_little_but_its_work(installed: Path, name: str) -> None:
    limit = str(int(10 * MOST_EXPOSED))  # the option wants tenths
    done = analyze(
        installed, "security", "--offline=yes", f"--threshold={limit}", "--no-pager", instance(name)
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("mint-broker", "mint-twin"),
        ("mint-twin", "mint-detector@"),
        ("mint-broker", "mint-detector@"),
        ("mint-enforcer", "mint-agent"),
        *(("docker", name) for name in ("mint-agent", "mint-enforcer", "mint-miners")),
    ],
)
def test_start_order(first: str, then: str) -> None:
    before = UNITS[first].words("Unit", "Before") if first in UNITS else []
    assert f"{first}.service" in UNITS[then].words("Unit", "After") or f"{then}.service" in before


def test_the_order_has_no_circle() -> None:
    after: dict[str, set[str]] = {
        f"{name}.service": set(unit.words("Unit", "After")) for name, unit in UNITS.items()
    }
    for name, unit in UNITS.items():
        for later in unit.words("Unit", "Before"):
            after[later].add(f"{name}.service")
    started: set[str] = set()
    while len(started) < len(after):
        ready = {
            name for name, needs in after.items() if name not in started and needs & after.keys() <= started
        }
        assert ready, f"these wait for one another: {sorted(after.keys() - started)}"
        started |= ready


@pytest.mark.parametrize("name", UNITS)
def test_every_service_comes_back_and_waits_for_the_network(name: str) -> None:
    unit = UNITS[name]
    assert unit.last("Service", "Restart") == "always"
    assert 1 <= int(unit.last("Service", "RestartSec")) <= 30  # a tick is a second, 30 make a miner dark
    assert unit.last("Unit", "StartLimitIntervalSec") == "0"
    assert "network-online.target" in unit.words("Unit", "After")
    assert "network-online.target" in unit.words("Unit", "Wants")
    assert unit.last("Service", "MemoryMax")


@pytest.mark.parametrize("name", UNITS)
def test_every_service_starts_with_its_host(name: str) -> None:
    (target,) = UNITS[name].words("Install", "WantedBy")
    assert target in UNITS[name].words("Unit", "PartOf")
    assert "WantedBy=multi-user.target" in (FOLDER / target).read_text()


@pytest.mark.parametrize(("name", "component"), COMPONENTS.items())
def test_commands(name: str, component: str) -> None:
    unit = UNITS[name]
    program, command, *options = [
        word for word in unit.command if word not in ("$MINT_OPTIONS", "$MINT_RUNTIME")
    ]
    assert (program, command) == ("/opt/mint/bin/mint", component)
    given = dict(zip(options[::2], options[1::2], strict=True))
    broker = given.pop("--broker", None)
    assert broker == (None if component == "miners" else "${MINT_BROKER}")  # miners speak to nobody
    assert set(given) == {"--charter", "--node", "--keys", "--state"}
    assert given["--charter"].startswith("/etc/mint/")
    assert given["--keys"] == f"/etc/mint/keys/{given['--node']}"
    assert given["--state"] == f"/var/lib/{unit.last('Service', 'StateDirectory')}"


@pytest.mark.parametrize("name", ["mint-agent", "mint-miners"])
def test_agent_and_miners_meet_in_a_folder_that_both_may_write(name: str) -> None:
    state = Path("/var/lib", UNITS[name].last("Service", "StateDirectory"))
    folder = exchange_folder(state, "scope")
    assert folder.parent == Path("/var/lib/mint/exchange")
    assert "mint/exchange" in UNITS[name].words("Service", "StateDirectory")


def test_the_environment_file_names_what_the_units_use() -> None:
    example = {
        line.split("=")[0]
        for line in (FOLDER / "mint.env.example").read_text().splitlines()
        if line[:1] != "#"
    }
    starts = [unit.last("Service", "ExecStart") for unit in UNITS.values()]
    used = {name for start in starts for name in re.findall(r"\$\{?(MINT_\w+)", start)}
    assert used == example


@pytest.mark.parametrize(
    ("name", "user"), [("mint-twin", "mint"), ("mint-detector@", "mint"), ("mint-broker", "mosquitto")]
)
def test_the_fog_runs_without_root(name: str, user: str) -> None:
    assert UNITS[name].last("Service", "User") == user


def test_only_who_makes_and_who_corrects_quotas_writes_cgroups() -> None:
    writes = {name for name, unit in UNITS.items() if unit.last("Service", "ProtectControlGroups") != "yes"}
    assert writes == {"mint-enforcer", "mint-miners"}
    assert all(unit.last("Service", "CapabilityBoundingSet") == "" for unit in UNITS.values())
