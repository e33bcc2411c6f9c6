"""Founding a network: the operator's key, a key and certificate for every node, the charter, signed."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mint.certificates import CA_CERT, Authority
from mint.charter.model import Charter
from mint.charter.seal import OPERATOR, SealedCharter, seal
from mint.charter.toml import read
from mint.errors import InputError
from mint.files import write_atomic
from mint.keys import SigningKey, load_public, network_id, new_key
from mint.names import Role, checked_name
from mint.node import OPERATOR_KEY, SIGNING_KEY, wall_ms
from network.layout import Layout

# The one device of a network that is founded.
DEVICE = "edge1"
# A charter is signed anew long before this; an expired one stops everything.
CHARTER_DAYS = 730


@dataclass(frozen=True, slots=True)
class Plan:
    """A network to found: one fog, one machine, every part of it there.

    `cpu`: each miner's entitlement in CPUs; `law`: "kernel" or "soft" (mint/charter/model.py); `image`: what the
    miners run, as the runtime names it. `hashes_per_cpu_second`: what the devices hash, as measured; where it is (not
    0) the miners mine a ledger of `block_interval_s`, whose blocks pay for the shares of `window_blocks`.
    """

    title: str
    miners: int
    cpu: float
    law: str = "kernel"
    image: str = ""
    f_detectors: int = 1
    f_miners: int = 3
    fog: str = "fog1"
    device: str = DEVICE
    period_s: float = 1.0
    hashes_per_cpu_second: int = 0
    block_interval_s: float = 10.0
    window_blocks: int = 60

    @property
    def miner_names(self) -> tuple[str, ...]:
        """The miners: m01, m02, ..."""
        return miner_names(self.miners)

    @property
    def nodes(self) -> tuple[tuple[str, Role], ...]:
        """Every node and its role."""
        detectors = [(f"detector{number}", Role.DETECTOR) for number in range(1, 3 * self.f_detectors + 2)]
        return (
            ("manager", Role.MANAGER),
            (self.device, Role.AGENT),
            *detectors,
            ("enforcer1", Role.ENFORCER),
            # One for the view of `mint up`, one for `mint watch`: a name is one process.
            ("console", Role.CONSOLE),
            ("watcher", Role.CONSOLE),
        )


def miner_names(count: int) -> tuple[str, ...]:
    """The names of so many miners: m01, m02, ..."""
    width = max(2, len(str(count)))
    return tuple(f"m{number:0{width}}" for number in range(1, count + 1))


def new_operator(layout: Layout) -> SigningKey:
    """Make the operator's key in an empty folder: from here on the folder is a network's.

    Raises:
        OSError: as the system says it.
    """
    write_atomic(layout.mark, b"1\n")
    operator = new_key()
    operator.save(layout.operator_key)
    write_atomic(layout.operator_public, operator.public.hex().encode() + b"\n")
    return operator


def found(layout: Layout, plan: Plan, operator: SigningKey) -> SealedCharter:
    """Make everything else that a network needs: certificates, a key for every node, the signed charter.

    Raises:
        InputError: the plan makes no sense.
        OSError: as the system says it.
    """
    authority = Authority.new(operator.public.hex()[:12])
    authority.save(layout.authority)
    enrol(layout, [name for name, _ in plan.nodes])
    # The operator's own certificate, to publish charters with; its key stays where it is.
    _certify(layout, authority, OPERATOR)
    keys = {name: SigningKey.load(layout.keys(name) / SIGNING_KEY) for name, _ in plan.nodes}
    write_atomic(layout.charter_toml, charter_text(plan, operator, keys).encode())
    return sign(layout, operator)


def enrol(layout: Layout, names: Sequence[str]) -> dict[str, str]:
    """Make the `--keys` folder of each node that has none: its keys, its certificate, and whom it trusts.

    Returns the public key of each in hex.

    Raises:
        InputError: a name is none, or the operator's folder lacks something.
    """
    for name in names:
        checked_name(name, "node")
    authority, operator = Authority.load(layout.authority), load_public(layout.operator_public)
    public = {}
    for name in names:
        folder = layout.keys(name)
        if not (folder / SIGNING_KEY).exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new_key().save(folder / SIGNING_KEY)
            write_atomic(folder / OPERATOR_KEY, operator.hex().encode() + b"\n")
            _certify(layout, authority, name)
        public[name] = SigningKey.load(folder / SIGNING_KEY).public.hex()
    return public


def _certify(layout: Layout, authority: Authority, name: str) -> None:
    authority.issue_client(name).save(layout.keys(name), "tls")
    write_atomic(layout.keys(name) / CA_CERT, authority.cert)


def written(layout: Layout, operator: bytes) -> Charter:
    """The charter.toml of a network whose operator's public key is `operator`, fit to be signed now.

    Raises:
        InputError: the file is wrong, or has expired.
    """
    charter = read(layout.charter_toml, network_id(operator))
    if charter.expires_ms <= wall_ms():
        raise InputError(
            f"{layout.charter_toml}: network.expires",
            "lies in the past: nobody would take it",
            "set a later date",
        )
    return charter


def sign(layout: Layout, operator: SigningKey, above: Charter | None = None) -> SealedCharter:
    """Sign the charter.toml of a network as its operator, beside it; `above` is the one signed before.

    Raises:
        InputError: the file is wrong or has expired, its version is not above the one signed before, or it lacks
            where the log was resumed.
    """
    charter = written(layout, operator.public)
    if above is not None and charter != above and charter.version <= above.version:
        raise InputError(
            f"{layout.charter_toml}: network.version",
            f"{charter.version} is not above {above.version}, which is signed already",
            f"set version = {above.version + 1}",
        )
    if above is not None and above.resume is not None and charter.resume is None:
        raise InputError(
            f"{layout.charter_toml}: resume",
            "is not there any more, so what was shown of the manager before it would halt the log again",
            f"keep [resume] with frame = {above.resume.frame}",
        )
    sealed = seal(charter, operator)
    write_atomic(layout.charter, sealed.data)
    return sealed


def charter_text(plan: Plan, operator: SigningKey, keys: dict[str, SigningKey]) -> str:
    """A charter.toml for `plan`, as a person would write it."""
    now = datetime.fromtimestamp(int(time.time()), UTC)
    lines = [
        "# The charter of this network: the root of trust of all its parts. After editing it, raise `version` and",
        "# run `mint charter sign`. docs/charter.md lists every key.",
        "",
        "[network]",
        # A JSON string is a TOML string: quotes and backslashes are escaped alike.
        f"title = {json.dumps(plan.title, ensure_ascii=False)}",
        f'fog = "{plan.fog}"',
        "version = 1",
        f"issued = {now.isoformat()}",
        f"expires = {(now + timedelta(days=CHARTER_DAYS)).isoformat()}",
        f"period_s = {plan.period_s}",
        f"f_detectors = {plan.f_detectors}  # detectors that may lie; there are at least 3 f + 1",
        f"f_miners = {plan.f_miners if plan.miners >= 2 * plan.f_miners + 3 else 0}  # miners that may collude (Krum)",
        "",
        "[entitlement]  # of every miner",
        f"cpu = {plan.cpu:g}",
        "memory_mib = 32",
        "",
        "[[classes]]",
        'name = "local"',
        f"hashes_per_cpu_second = {plan.hashes_per_cpu_second}",
        "",
        *_chain(plan),
        "[[devices]]",
        f'name = "{plan.device}"',
        'class = "local"',
        "",
    ]
    public = {OPERATOR: operator.public.hex(), **{name: key.public.hex() for name, key in keys.items()}}
    for name, role in ((OPERATOR, Role.OPERATOR), *plan.nodes):
        lines += ["[[nodes]]", f'name = "{name}"', f'role = "{role}"', f'key = "{public[name]}"']
        if role is Role.ENFORCER:
            lines.append(f'devices = ["{plan.device}"]')
        lines.append("")
    for name in plan.miner_names:
        lines += ["[[miners]]", f'name = "{name}"', f'device = "{plan.device}"', f'law = "{plan.law}"']
        if plan.image:
            lines.append(f'image = "{plan.image}"')
        lines.append("")
    return "\n".join(lines)


def _chain(plan: Plan) -> list[str]:
    """The ledger, where the miners mine one: its first block takes all of them together one interval."""
    if not plan.hashes_per_cpu_second:
        return []
    together = plan.hashes_per_cpu_second * plan.cpu * plan.miners
    return [
        "[chain]  # the ledger that the miners mine; whoever changes a number here begins another",
        f"first_work = {max(1, round(together * plan.block_interval_s))}",
        f"block_interval_s = {plan.block_interval_s:g}",
        f"window_blocks = {plan.window_blocks}",
        "",
    ]
