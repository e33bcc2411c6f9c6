"""The charter as people write it: TOML with CPUs, percent and seconds, turned into integers to sign."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from mint.charter import model, rules
from mint.errors import InputError
from mint.keys import PUBLIC_KEY_SIZE
from mint.messages.frame import MAX_DEVICES, MAX_MINERS
from mint.names import NAME_RULE, Role
from mint.wire import Name

MIB = 1 << 20
# A charter of 1,024 devices is about 400 KiB; what is larger is not a charter.
MAX_FILE_BYTES = 4 * MIB

Cpus = Annotated[float, Meta(ge=0.001, le=1024)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Period = Annotated[float, Meta(ge=0.1, le=3600)]
Colluders = Annotated[int, Meta(ge=0, le=4096)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _Network(_Table, frozen=True):
    fog: Name
    expires: datetime
    title: Annotated[str, Meta(max_length=120)] = ""
    version: Annotated[int, Meta(ge=1, le=2**63 - 1)] = 1
    issued: datetime | None = None
    mode: model.Mode = "enforce"
    period_s: Period = 1.0
    clock_tolerance_s: Annotated[float, Meta(ge=1, le=86_400)] = 120.0
    key_parameter: Literal["cpu", "gpu"] = "cpu"
    f_detectors: Annotated[int, Meta(ge=0, le=40)] = 1
    f_miners: Colluders = 0
    always_reconcile: bool = False


class _Entitlement(_Table, frozen=True):
    cpu: Cpus
    gpu_percent: Percent = 0.0
    memory_mib: Annotated[float, Meta(ge=0, le=2**40)] = 64.0
    io_mib_per_s: Annotated[float, Meta(ge=0, le=2**40)] = 1.0


class _Node(_Table, frozen=True):
    name: Name
    role: Role
    key: str
    devices: tuple[Name, ...] = ()


class _Device(_Table, frozen=True):
    name: Name
    class_: Name = msgspec.field(name="class")


class _Class(_Table, frozen=True):
    name: Name
    hashes_per_cpu_second: Annotated[float, Meta(ge=0, le=1e15)] = 0.0
    entitlement: _Entitlement | None = None


class _Miner(_Table, frozen=True):
    name: Name
    device: Name
    entitlement: _Entitlement | None = None
    law: Literal["kernel", "soft"] = "kernel"
    mode: model.Mode = "enforce"
    image: Annotated[str, Meta(max_length=128)] = ""


class _Detection(_Table, frozen=True):
    preset: Literal["paper", "calibrated"] = "calibrated"
    N: int = 24
    L: int = 12
    p: int = 12
    q: int = 24
    l: int = 4  # noqa: E741 (the paper's name of it)
    t_alpha: Annotated[float, Meta(ge=0, le=10)] = 1.2815
    d: int = 10
    ssa_threshold: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    burst_ms: int = 100
    soft_burst_ms: int = 600
    overrun_ms: int = 20
    dark_frames: int = 30


class _Pace(_Table, frozen=True):
    period_s: Period = 1.0
    f_miners: Colluders = 0


class _Rung(_Table, frozen=True):
    quota_percent: Annotated[float, Meta(ge=1, le=100)]
    frames: Annotated[int, Meta(ge=0, le=10_000_000)] = 0


class _Pardon(_Table, frozen=True):
    miner: Name
    offence: Annotated[int, Meta(ge=1, le=2**63 - 1)]


class _Resume(_Table, frozen=True):
    frame: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    hash: str
    again: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class _Chain(_Table, frozen=True):
    first_work: Annotated[float, Meta(ge=1, le=2**62)]
    block_interval_s: Annotated[float, Meta(ge=1, le=3600)] = 10.0
    share_interval_ms: Annotated[int, Meta(ge=50, le=60_000)] = 334
    window_blocks: Annotated[int, Meta(ge=1, le=10_000)] = 60


class _File(_Table, frozen=True):
    network: _Network
    nodes: Annotated[tuple[_Node, ...], Meta(max_length=2 * MAX_DEVICES)]
    classes: Annotated[tuple[_Class, ...], Meta(max_length=256)]
    devices: Annotated[tuple[_Device, ...], Meta(max_length=MAX_DEVICES)]
    miners: Annotated[tuple[_Miner, ...], Meta(min_length=1, max_length=MAX_MINERS)]
    entitlement: _Entitlement | None = None
    detection: _Detection = _Detection()
    ladder: Annotated[tuple[_Rung, ...], Meta(min_length=1, max_length=16)] = (
        _Rung(50),
        _Rung(50, 300),
        _Rung(25, 3600),
    )
    holds: Annotated[tuple[Name, ...], Meta(max_length=MAX_MINERS)] = ()
    pardons: Annotated[tuple[_Pardon, ...], Meta(max_length=1024)] = ()
    resume: _Resume | None = None
    chain: _Chain | None = None


# The keys that `setting` knows.
SETTING_KEYS = (*_Detection.__struct_fields__, *_Pace.__struct_fields__)


class Setting(NamedTuple):
    """What detection goes by of a charter, without the charter: for recorded traces."""

    detection: model.Detection
    period_ms: int
    f_miners: int


def setting(written: Mapping[str, str], where: str) -> Setting:
    """What a command line sets of [detection], and of `period_s` and `f_miners` in [network]; the rest is as there.

    Raises:
        InputError: a key or value is wrong; `where` names the option.
    """
    for key, text in written.items():
        try:
            _setting({key: text}, where)
        except (msgspec.ValidationError, InputError) as error:
            what = error.wrong if isinstance(error, InputError) else str(error).partition(" - at ")[0]
            keys = ", ".join(SETTING_KEYS)
            raise InputError(
                f"{where} {key}={text}",
                what if key in SETTING_KEYS else "no such key",
                f"the keys are {keys} (docs/charter.md)",
            ) from None
    made = _setting(written, where)
    rules.check_detection(made.detection, where)
    return made


def _setting(written: Mapping[str, str], where: str) -> Setting:
    pace_keys = _Pace.__struct_fields__
    pace = {key: text for key, text in written.items() if key in pace_keys}
    rest = {key: text for key, text in written.items() if key not in pace_keys}
    rate = msgspec.convert(pace, _Pace, strict=False)
    detection = _detection(msgspec.convert(rest, _Detection, strict=False), where)
    return Setting(detection, round(rate.period_s * 1000), rate.f_miners)


def read(path: Path, network: bytes) -> model.Charter:
    """The charter in a TOML file, checked.

    Args:
        path: the file.
        network: the network's id, from the operator's key.

    Raises:
        InputError: one line that names the file, the place in it and the mend.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(
                str(path), f"is larger than {MAX_FILE_BYTES // MIB} MiB", "split the fleet over more fogs"
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            str(path), f"cannot be read ({error.strerror})", "name a charter, or make one: mint init"
        ) from None
    except UnicodeDecodeError:
        raise InputError(str(path), "is not UTF-8 text", "save it as UTF-8") from None
    return parse(text, str(path), network)


def parse(text: str, where: str, network: bytes) -> model.Charter:
    """The charter in TOML text; see `read`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(where, f"is not TOML: {error}", "correct that line") from None
    try:
        file = msgspec.convert(raw, _File)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        place = f"{where}: {path.rstrip('`')}" if path else where
        mend = NAME_RULE if "regex" in what else "correct it (docs/charter.md lists every key)"
        raise InputError(place, what, mend) from None
    charter = _convert(file, where, network)
    rules.check(charter, where)
    return charter


def _convert(file: _File, where: str, network: bytes) -> model.Charter:
    net = file.network
    by_class = {kind.name: kind.entitlement or file.entitlement for kind in file.classes}
    class_of = {device.name: device.class_ for device in file.devices}
    miners = []
    for index, miner in enumerate(file.miners):
        granted = miner.entitlement or by_class.get(class_of.get(miner.device, ""), file.entitlement)
        if granted is None:
            raise InputError(
                f"{where}: miners[{index}]", "has no entitlement", "add [entitlement] with cpu = 0.1, say"
            )
        miners.append(
            model.Miner(miner.name, miner.device, _entitlement(granted), miner.law, miner.mode, miner.image)
        )
    return model.Charter(
        network=network,
        title=net.title,
        fog=net.fog,
        version=net.version,
        issued_ms=0 if net.issued is None else _ms(net.issued, f"{where}: network.issued"),
        expires_ms=_ms(net.expires, f"{where}: network.expires"),
        period_ms=round(net.period_s * 1000),
        clock_tolerance_ms=round(net.clock_tolerance_s * 1000),
        key_parameter=net.key_parameter,
        f_detectors=net.f_detectors,
        f_miners=net.f_miners,
        always_reconcile=net.always_reconcile,
        mode=net.mode,
        nodes=tuple(
            model.Node(node.name, node.role, _key(node.key, f"{where}: nodes[{index}].key"), node.devices)
            for index, node in enumerate(file.nodes)
        ),
        classes=tuple(model.DeviceClass(k.name, round(k.hashes_per_cpu_second)) for k in file.classes),
        devices=tuple(model.Device(device.name, device.class_) for device in file.devices),
        miners=tuple(miners),
        detection=_detection(file.detection, f"{where}: detection"),
        ladder=tuple(model.Rung(round(rung.quota_percent * 10_000), rung.frames) for rung in file.ladder),
        holds=file.holds,
        pardons=tuple(model.Pardon(pardon.miner, pardon.offence) for pardon in file.pardons),
        resume=None if file.resume is None else _resume(file.resume, f"{where}: resume.hash"),
        chain=None if file.chain is None else _chain(file.chain),
    )


def _entitlement(granted: _Entitlement) -> model.Entitlement:
    return model.Entitlement(
        cpu_ppm=round(granted.cpu * model.PPM),
        gpu_ppm=round(granted.gpu_percent * 10_000),
        memory_bytes=round(granted.memory_mib * MIB),
        io_bytes_per_s=round(granted.io_mib_per_s * MIB),
    )


def _detection(written: _Detection, where: str) -> model.Detection:
    plain = model.Detection(
        preset=written.preset,
        N=written.N,
        L=written.L,
        p=written.p,
        q=written.q,
        eigentriples=written.l,
        t_alpha_micro=round(written.t_alpha * 1_000_000),
        d=written.d,
        ssa_threshold_milli=round((written.ssa_threshold or 0) * 1000),
        burst_ms=written.burst_ms,
        soft_burst_ms=written.soft_burst_ms,
        overrun_ms=written.overrun_ms,
        dark_frames=written.dark_frames,
    )
    try:  # constructing a struct does not check its ranges, converting does
        return msgspec.convert(msgspec.to_builtins(plain), model.Detection)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$[")
        field = plain.__struct_fields__[int(place.rstrip("]`"))] if place else ""
        raise InputError(f"{where}.{field}", what, "correct it (docs/charter.md lists every key)") from None


def _key(text: str, where: str) -> bytes:
    return _hex(text, where, "a public key", "copy what `mint enroll NODE` prints")


def _resume(written: _Resume, where: str) -> model.Resume:
    mend = "copy the frame's number and hash from `mint verify --live`"
    return model.Resume(written.frame, _hex(written.hash, where, "a frame's hash", mend), written.again)


def _chain(written: _Chain) -> model.Chain:
    return model.Chain(
        block_interval_ms=round(written.block_interval_s * 1000),
        share_interval_ms=written.share_interval_ms,
        window_blocks=written.window_blocks,
        first_work=round(written.first_work),
    )


def _hex(text: str, where: str, what: str, mend: str) -> bytes:
    """32 bytes: a key or a hash."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != PUBLIC_KEY_SIZE:
        raise InputError(where, f"is not {what} of 64 hex digits", mend)
    return data


def _ms(moment: datetime, where: str) -> int:
    if moment.tzinfo is None:
        raise InputError(where, "names no time zone", "write it as 2030-01-01T00:00:00Z")
    if moment.timestamp() < 0:
        raise InputError(where, "lies before 1970", "write it as 2030-01-01T00:00:00Z")
    return int(moment.timestamp() * 1000)
