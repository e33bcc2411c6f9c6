"""What must hold for a charter to make sense, beyond its types: checked when written and when received."""

from __future__ import annotations

from collections.abc import Iterable

from mint.charter.model import Charter, Detection
from mint.errors import InputError
from mint.names import Role


def check(charter: Charter, where: str) -> None:
    """Check the whole charter.

    Raises:
        InputError: the first rule that does not hold; `where` names the file or message it came from.
    """
    _check_names(charter, where)
    _check_references(charter, where)
    _check_enforcers(charter, where)
    _check_agreement(charter, where)
    _check_chain(charter, where)
    check_detection(charter.detection, f"{where}: [detection]")
    if charter.expires_ms <= charter.issued_ms:
        raise InputError(where, "`expires` is not after `issued`", "set a later `expires`")


def _check_names(charter: Charter, where: str) -> None:
    for what, names in (
        ("nodes", [node.name for node in charter.nodes]),
        ("classes", [kind.name for kind in charter.classes]),
        ("devices", [device.name for device in charter.devices]),
        ("miners", [miner.name for miner in charter.miners]),
    ):
        _unique(what, names, where)
    _unique("nodes (keys)", [node.key.hex() for node in charter.nodes], where)


def _unique(what: str, names: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(
                where, f"{name!r} stands twice in {what}", "give each one a name and key of its own"
            )
        seen.add(name)


def _check_references(charter: Charter, where: str) -> None:
    agents = {node.name for node in charter.nodes_of(Role.AGENT)}
    classes = {kind.name for kind in charter.classes}
    devices = {device.name for device in charter.devices}
    for device in charter.devices:
        if device.kind not in classes:
            raise InputError(
                where, f"device {device.name!r} is of class {device.kind!r}", "add that class to [[classes]]"
            )
        if device.name not in agents:
            raise InputError(
                where, f"device {device.name!r} has no agent", f"add a node {device.name!r} with role agent"
            )
    for agent in sorted(agents - devices):
        raise InputError(where, f"agent {agent!r} is no device", f"add {agent!r} to [[devices]]")
    for miner in charter.miners:
        if miner.device not in devices:
            raise InputError(
                where, f"miner {miner.name!r} lives on {miner.device!r}", "add that device to [[devices]]"
            )
    miners = {miner.name for miner in charter.miners}
    for name in [*charter.holds, *(pardon.miner for pardon in charter.pardons)]:
        if name not in miners:
            raise InputError(where, f"a hold or pardon names {name!r}, no miner", "correct or remove it")


def _check_enforcers(charter: Charter, where: str) -> None:
    devices = {device.name for device in charter.devices}
    enforced: dict[str, str] = {}
    for node in charter.nodes:
        if node.devices and node.role is not Role.ENFORCER:
            raise InputError(where, f"node {node.name!r} has devices", "only enforcers have devices")
        for name in node.devices:
            if name not in devices:
                raise InputError(
                    where, f"enforcer {node.name!r} has device {name!r}", "add that device to [[devices]]"
                )
            if name in enforced:
                raise InputError(
                    where,
                    f"device {name!r} has two enforcers, {enforced[name]!r} and {node.name!r}",
                    "leave it one",
                )
            enforced[name] = node.name


def _check_agreement(charter: Charter, where: str) -> None:
    managers = len(charter.nodes_of(Role.MANAGER))
    if managers != 1:
        raise InputError(
            where, f"{managers} managers in [[nodes]]", "a fog has exactly one node with role manager"
        )
    detectors, f_detectors = len(charter.nodes_of(Role.DETECTOR)), charter.f_detectors
    if detectors < 3 * f_detectors + 1:
        raise InputError(
            where,
            f"{detectors} detectors cannot bear f_detectors = {f_detectors} liars",
            f"have at least {3 * f_detectors + 1} detectors or lower f_detectors",
        )
    miners, f_miners = len(charter.miners), charter.f_miners
    if f_miners and miners < 2 * f_miners + 3:
        raise InputError(
            where,
            f"Krum over {miners} miners cannot bear f_miners = {f_miners} colluders",
            f"have at least {2 * f_miners + 3} miners or lower f_miners",
        )


def _check_chain(charter: Charter, where: str) -> None:
    """A share is worth what its device's class hashes: where miners mine a ledger, that has to be known."""
    if charter.chain is None:
        return
    measured = {kind.name for kind in charter.classes if kind.hashes_per_cpu_second}
    for device in charter.devices:
        if device.kind not in measured:
            raise InputError(
                where,
                f"there is a [chain], and class {device.kind!r} of device {device.name!r} is not measured",
                f"run mint calibrate --class {device.kind} on such a device, or leave out [chain]",
            )


def check_detection(detection: Detection, where: str) -> None:
    """Check parameters of detection against one another; InputError as in `check`."""
    for wrong, text, mend in (
        (not detection.L < detection.N, "L is not below N", "choose L about N / 2"),
        (not detection.p < detection.q, "p is not below q", "choose q above p"),
        (not detection.eigentriples < detection.L, "l is not below L", "choose a smaller l"),
        # Equation 9 takes a square root of 3LQ - Q^2 + 1, Q = q - p.
        (detection.q - detection.p > 3 * detection.L, "q - p is above 3 L", "choose a smaller q"),
    ):
        if wrong:
            raise InputError(where, text, mend)
