"""The simulated network's charter: what a real one of that size would say, signed by keyed hash.

It is made from the text that an operator would write, so that everything not said here is what a charter says by
itself (mint/charter/toml.py).
"""

from __future__ import annotations

from mint.charter.model import Charter
from mint.charter.seal import OPERATOR, SealedCharter, seal
from mint.charter.toml import parse
from mint.keys import network_id
from mint.names import Role
from network.simulate.faults import Size
from network.simulate.signing import HashKey, verifies

FOG = "fog1"
CPU = 0.1
# What a device hashes in a second of CPU time.
HASHES = 2_000_000
OPERATOR_KEY = HashKey(OPERATOR)
NETWORK = network_id(OPERATOR_KEY.public)


def roles(size: Size) -> dict[str, Role]:
    """Every node that runs a component, and its role."""
    return {
        "manager": Role.MANAGER,
        **dict.fromkeys(size.detector_names, Role.DETECTOR),
        **dict.fromkeys(size.enforcer_names, Role.ENFORCER),
        **dict.fromkeys(size.device_names, Role.AGENT),
    }


def found(size: Size) -> SealedCharter:
    """The first charter of a network of this size."""
    return sealed(parse(_text(size), "charter", NETWORK))


def sealed(charter: Charter) -> SealedCharter:
    """A charter signed by the operator."""
    return seal(charter, OPERATOR_KEY, verifies)


def _text(size: Size) -> str:
    lines = [
        "[network]",
        f'fog = "{FOG}"',
        "issued = 2020-01-01T00:00:00Z",
        "expires = 2100-01-01T00:00:00Z",
        f"f_detectors = {size.f_detectors}",
        f"f_miners = {size.f_miners}",
        "[entitlement]",
        f"cpu = {CPU}",
        "[chain]",
        f"first_work = {size.miners * HASHES}",
        "[[classes]]",
        'name = "edge"',
        f"hashes_per_cpu_second = {HASHES}",
    ]
    for name in size.device_names:
        lines += ["[[devices]]", f'name = "{name}"', 'class = "edge"']
    enforced = dict(zip(size.enforcer_names, size.device_names, strict=True))
    for name, role in roles(size).items():
        lines += [
            "[[nodes]]",
            f'name = "{name}"',
            f'role = "{role}"',
            f'key = "{HashKey(name).public.hex()}"',
        ]
        if name in enforced:
            lines.append(f'devices = ["{enforced[name]}"]')
    for name in size.miner_names:
        lines += ["[[miners]]", f'name = "{name}"', f'device = "{size.device_of(name)}"', 'law = "kernel"']
    return "\n".join(lines)
