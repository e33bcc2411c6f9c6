"""`mint doctor`: what this machine has, what it lacks, what that means, and how to mend it.

network/machine.py gathers every fact once; the checks here are functions of those facts, at most one finding each,
so that a test can put any machine before them. `run` prints them for people or programs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mint.containers import hierarchy as trees
from network.machine import Machine, look, text_of
from network.mosquitto_program import OLDEST

if TYPE_CHECKING:
    from rich.console import Console

# The local network's miners, which together may take half of the cores.
MINERS, MINERS_SHARE = 16, 0.5
# A container at less than this share of a core gets quotas that CFS's slices are too coarse for.
LEAST_SHARE = 0.01
# A day of frames, logs, the miner's image: what the local network needs, with room.
ENOUGH_DISK_BYTES = 1 << 30


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"  # works, but someone will want to know
    LACK = "lack"  # something of MinT does not work, or works less well, until it is mended


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about this machine; `consequence` and `mend` are empty where all is well."""

    level: Level
    what: str
    consequence: str = ""
    mend: str = ""


def findings(machine: Machine) -> list[Finding]:
    """Every check's finding, in the order in which one would mend them."""
    return [finding for check in CHECKS if (finding := check(machine)) is not None]


def run(out: Console, *, as_json: bool = False, machine: Machine | None = None) -> int:
    """Examine this machine (or `machine`), print what was found, return the exit code: 1 where something lacks."""
    found = findings(machine or look())
    if as_json:
        out.out(json.dumps([asdict(finding) for finding in found], indent=2), highlight=False)
    else:
        _print(out, found)
    return int(any(finding.level is Level.LACK for finding in found))


# --- the checks -------------------------------------------------------------------------------


def python(machine: Machine) -> Finding:
    """Python 3.11 or newer."""
    version = ".".join(map(str, machine.python))
    if machine.python >= (3, 11, 0):
        return Finding(Level.OK, f"Python {version}")
    return Finding(Level.LACK, f"Python {version}", "MinT needs 3.11 or newer", "use Debian 12 or newer")


def cgroups(machine: Machine) -> Finding:
    """A mounted hierarchy with the cpu controller."""
    here = machine.cgroups
    if not here.version:
        return Finding(
            Level.LACK,
            "no cgroup tree with the cpu controller is mounted",
            "no quota can be enforced: miners are held by a duty cycle",
            "on Debian systemd mounts it; in a container, start it with the host's /sys/fs/cgroup",
        )
    missing = [name for name in trees.lacks(here) if name != "memory"]
    if missing:
        names = ", ".join(missing)
        return Finding(
            Level.NOTE,
            f"cgroup v{here.version} without {names}",
            f"{names} of miners is not counted or limited",
        )
    return Finding(Level.OK, f"cgroup v{here.version}, cpu at {here.cpu}")


def memory_cgroup(machine: Machine) -> Finding | None:
    """The memory controller, which Raspberry Pi OS ships switched off."""
    if not machine.cgroups.version:
        return None  # `cgroups` has said all there is to say
    if "memory" not in trees.lacks(machine.cgroups):
        return Finding(Level.OK, "memory cgroup")
    # Debian 12's firmware folder first; older systems have the file one level up.
    places = [p for p in ("boot/firmware/cmdline.txt", "boot/cmdline.txt") if (machine.root / p).is_file()]
    words = "cgroup_enable=memory cgroup_memory=1"
    where = (
        f"append {words!r} to the one line of /{places[0]}" if places else f"boot the kernel with {words!r}"
    )
    return Finding(
        Level.LACK,
        "the memory cgroup is switched off",
        "miners' memory is neither counted nor limited",
        where + ", reboot",
    )


def cgroup_rights(machine: Machine) -> Finding | None:
    """Whether this process may write quotas."""
    if not machine.cgroups.version:
        return None  # `cgroups` has said all there is to say
    if machine.may_write_cgroups:
        return Finding(Level.OK, "quotas may be written")
    return Finding(
        Level.LACK,
        "this user may not write cgroups",
        "the enforcer can set quotas only through Docker, if at all; else miners are held by a duty cycle",
        "run as root (sudo), as the unit files in deploy/ do",
    )


def bandwidth(machine: Machine) -> Finding | None:
    """CFS bandwidth control, the kernel's law on CPU use."""
    if not machine.cgroups.version:
        return None  # `cgroups` has said all there is to say
    here = machine.cgroups
    # Version 2's root has no cpu.max, its children have.
    pattern = "cpu.cfs_quota_us" if here.version == 1 else "*/cpu.max"
    if here.cpu is not None and next(here.cpu.glob(pattern), None) is not None:
        return Finding(Level.OK, "CFS bandwidth control")
    if here.version == 2 and here.cpu is not None and not any(p.is_dir() for p in here.cpu.iterdir()):
        return Finding(
            Level.NOTE, "CFS bandwidth control cannot be seen", "no cgroup exists yet to see it in"
        )
    return Finding(
        Level.LACK,
        "no CFS bandwidth control",
        "the kernel enforces no quota: miners are held by a duty cycle, and use is judged by statistics alone",
        "use a kernel with CONFIG_CFS_BANDWIDTH (Debian's and Raspberry Pi OS's have it)",
    )


def docker(machine: Machine) -> Finding:
    """An engine that answers and enforces quotas."""
    seen = machine.docker
    without = "miners run as processes in cgroups of their own, or held by a duty cycle"
    if seen.info is None and not seen.installed:
        return Finding(
            Level.LACK, "Docker is not installed", without, "apt-get install docker.io (or `make setup`)"
        )
    if seen.info is None:
        mend = "systemctl start docker (or `make setup`); where it refuses this user, run as root (sudo)"
        return Finding(Level.LACK, f"Docker does not answer ({seen.failure})", without, mend)
    driver, version = seen.info.get("CgroupDriver", "?"), seen.info.get("CgroupVersion", "?")
    what = f"Docker {seen.info.get('ServerVersion', '?')}, cgroup v{version}, driver {driver}"
    if not seen.info.get("CpuCfsQuota", False):
        return Finding(
            Level.LACK, what, "this engine enforces no CPU quota; " + without, "see `docker info`'s warnings"
        )
    return Finding(Level.OK, what)


def mosquitto(machine: Machine) -> Finding:
    """A Mosquitto that is new enough and speaks TLS."""
    oldest = ".".join(map(str, OLDEST))
    mend = "apt-get install mosquitto (or `make setup`)"
    if not machine.mosquitto:
        return Finding(Level.LACK, machine.mosquitto_failure, "no broker can be started here", mend)
    if tuple(int(part) for part in machine.mosquitto.split(".")) < OLDEST:
        consequence = f"it lacks what MinT's configuration says; {oldest} is the oldest that works"
        return Finding(
            Level.LACK, f"Mosquitto {machine.mosquitto}", consequence, mend + " on Debian 12 or newer"
        )
    if not machine.mosquitto_tls:
        return Finding(Level.LACK, f"Mosquitto {machine.mosquitto} without TLS", "no node can connect", mend)
    return Finding(Level.OK, f"Mosquitto {machine.mosquitto} with TLS")


def compiler(machine: Machine) -> Finding:
    """A C compiler, for the miner's inner loop and SSA's."""
    if machine.compiler:
        return Finding(Level.OK, "C compiler")
    return Finding(
        Level.LACK,
        "no C compiler with its headers",
        "the miner runs in Python and SSA in numpy, some ten times slower",
        "apt-get install gcc libc6-dev (or `make setup`)",
    )


def sha_instructions(machine: Machine) -> Finding:
    """SHA-256 in the processor."""
    words = set(text_of(machine.root / "proc/cpuinfo").split())
    if found := words & {"sha_ni", "sha2"}:
        return Finding(Level.OK, f"SHA-256 instructions ({found.pop()})")
    return Finding(
        Level.NOTE,
        "no SHA-256 instructions",
        "this device hashes several times slower than one that has them: give it a device class of its own",
    )


def clock(machine: Machine) -> Finding:
    """A clock that something keeps right."""
    if machine.synchronised:
        return Finding(Level.OK, "clock synchronised")
    return Finding(
        Level.NOTE,
        "the clock is not synchronised",
        "a device whose clock is far off has its messages rejected",
        "timedatectl set-ntp true",
    )


def steal(machine: Machine) -> Finding:
    """Processor time that a hypervisor has taken, which looks like use from inside."""
    fields = next(
        (line.split()[1:] for line in text_of(machine.root / "proc/stat").splitlines() if line[:4] == "cpu "),
        [],
    )
    # proc(5): user nice system idle iowait irq softirq steal; guest time, after it, is in user already.
    ticks = [int(field) for field in fields[:8]]
    if len(ticks) < 8:
        return Finding(
            Level.NOTE, "steal time cannot be seen", "use on a contended virtual host looks unfair"
        )
    percent = 100 * ticks[7] / max(1, sum(ticks))
    if percent < 1:
        return Finding(Level.OK, f"steal time {percent:.1f} % since boot")
    return Finding(
        Level.NOTE,
        f"steal time {percent:.1f} % since boot",
        "the virtual host is contended: single samples will stand out, cumulative use will not",
    )


def cores(machine: Machine) -> Finding:
    """What an equal entitlement amounts to here."""
    share = machine.cores * MINERS_SHARE / MINERS
    what = f"{machine.cores} cores: {MINERS} miners get {share:.3g} of a core each"
    if share >= LEAST_SHARE:
        return Finding(Level.OK, what)
    return Finding(Level.NOTE, what, "quotas this small are kept coarsely", "run fewer miners")


def gpu(machine: Machine) -> Finding:
    """NVIDIA GPUs; none is the rule."""
    return Finding(
        Level.OK, f"GPU: {', '.join(machine.gpus)}" if machine.gpus else "no NVIDIA GPU (none is needed)"
    )


def disk(machine: Machine) -> Finding:
    """Room for the image, the frames and the logs."""
    what = f"{machine.free_bytes / 2**30:.1f} GiB of disk free"
    if machine.free_bytes >= ENOUGH_DISK_BYTES:
        return Finding(Level.OK, what)
    return Finding(Level.LACK, what, "frames cannot be stored for long, and then no twin runs", "free 1 GiB")


CHECKS: tuple[Callable[[Machine], Finding | None], ...] = (
    python,
    cgroups,
    cgroup_rights,
    bandwidth,
    memory_cgroup,
    docker,
    mosquitto,
    compiler,
    sha_instructions,
    clock,
    steal,
    cores,
    gpu,
    disk,
)


def _print(out: Console, found: list[Finding]) -> None:
    from rich.markup import escape  # noqa: PLC0415 - the checks themselves need no console
    from rich.table import Table  # noqa: PLC0415 - likewise

    colours = {Level.OK: "green", Level.NOTE: "yellow", Level.LACK: "red"}
    table = Table(box=None, padding=(0, 1), show_header=False)
    for finding in found:
        lines = [escape(finding.what)]
        lines += [f"[dim]{escape(finding.consequence)}[/dim]"] if finding.consequence else []
        lines += [f"mend: {escape(finding.mend)}"] if finding.mend else []
        table.add_row(f"[{colours[finding.level]}]{finding.level}[/]", "\n".join(lines))
    out.print(table)
    lacking = sum(finding.level is Level.LACK for finding in found)
    out.print(f"{lacking} thing{'s' * (lacking != 1)} lacking" if lacking else "nothing lacks")
