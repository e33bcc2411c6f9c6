"""The charter: what people write becomes what is signed, and whatever makes no sense is said with place and mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mint.charter import rules
from mint.charter.model import Chain, Charter, Detection, Node, Pardon, Resume, Rung, replaced
from mint.charter.seal import OPERATOR, load_charter, open_charter, seal
from mint.charter.toml import MAX_FILE_BYTES, parse, read
from mint.envelope import Signer
from mint.errors import InputError, Reason, Rejected
from mint.keys import network_id
from mint.names import Role
from tests.builders import DETECTION, Net, key_of

NET = Net(miners=5, devices=2)
CHARTER = NET.charter
KEY = {name: key_of(name).public.hex() for name in ("manager", "det1", "det2", "det3", "det4", "enforcer")}

TEXT = (
    f"""
holds = ["m02"]

[network]
fog = "fog1"
title = "A greenhouse"
version = 3
issued = 2026-01-01T00:00:00Z
expires = 2030-01-01T01:00:00+01:00
period_s = 0.5
f_detectors = 1

[entitlement]
cpu = 0.1
gpu_percent = 12.5
memory_mib = 64
io_mib_per_s = 0.5

[detection]
d = 12
burst_ms = 150

[[nodes]]
name = "manager"
role = "manager"
key = "{KEY["manager"]}"
[[nodes]]
name = "enforcer"
role = "enforcer"
key = "{KEY["enforcer"]}"
devices = ["edge1"]
[[nodes]]
name = "edge1"
role = "agent"
key = "{key_of("edge1").public.hex()}"
"""
    + "".join(
        f'[[nodes]]\nname = "det{n}"\nrole = "detector"\nkey = "{KEY[f"det{n}"]}"\n' for n in range(1, 5)
    )
    + """
[[classes]]
name = "pi"
hashes_per_cpu_second = 1.5e6
[classes.entitlement]
cpu = 0.25

[[classes]]
name = "old"

[[devices]]
name = "edge1"
class = "pi"

[[miners]]
name = "m01"
device = "edge1"
law = "soft"
mode = "observe"
[[miners]]
name = "m02"
device = "edge1"
entitlement = { cpu = 0.5 }

[[ladder]]
quota_percent = 50
[[ladder]]
quota_percent = 12.5
frames = 600

[[pardons]]
miner = "m01"
offence = 2
"""
)


def written(text: str = TEXT) -> Charter:
    return parse(text, "fog.toml", NET.network)


# --- TOML -> model -> sealed -> opened ----------------------------------------------------------------


def test_what_is_written_is_what_is_opened() -> None:
    charter = written()
    sealed = seal(charter, NET.operator)
    assert open_charter(sealed.data, NET.operator.public) == sealed
    assert sealed.charter == charter


def test_people_write_cpus_percent_and_seconds_and_integers_are_signed() -> None:
    charter = written()
    assert (charter.network, charter.fog, charter.title, charter.version) == (
        NET.network,
        "fog1",
        "A greenhouse",
        3,
    )
    assert (charter.issued_ms, charter.expires_ms) == (1_767_225_600_000, 1_893_456_000_000)
    assert (charter.period_ms, charter.clock_tolerance_ms) == (500, 120_000)
    one, two = charter.miners
    assert (one.entitlement.cpu_ppm, one.law, one.mode) == (250_000, "soft", "observe")  # of its class
    assert (two.entitlement.cpu_ppm, two.law, two.mode) == (500_000, "kernel", "enforce")  # its own
    assert charter.classes[0].hashes_per_cpu_second == 1_500_000
    assert charter.ladder == (Rung(500_000, 0), Rung(125_000, 600))
    assert charter.pardons == (Pardon("m01", 2),)
    assert (charter.detection.d, charter.detection.burst_ms, charter.detection.N) == (12, 150, 24)
    assert charter.holds == ("m02",)
    assert [node.name for node in charter.nodes_of(Role.ENFORCER)] == ["enforcer"]
    assert charter.nodes[1].devices == ("edge1",)


def test_a_resume_names_a_frame_by_its_number_and_hash_and_is_nowhere_else() -> None:
    assert written().resume is None
    resume = f'[resume]\nframe = 90\nhash = "{"0a" * 32}"\n'
    assert written(TEXT + resume).resume == Resume(90, b"\n" * 32)
    assert written(TEXT + resume + "again = 1\n").resume == Resume(90, b"\n" * 32, 1)
    for wrong, place in (("0a" * 31, "resume.hash"), ("zz" * 32, "resume.hash")):
        with pytest.raises(InputError, match="mint verify --live") as caught:
            written(TEXT + resume.replace("0a" * 32, wrong))
        assert caught.value.where == f"fog.toml: {place}"
    with pytest.raises(InputError, match=">= 0"):
        written(TEXT + resume.replace("90", "-1"))


def test_a_chain_is_written_in_seconds_and_is_nowhere_else() -> None:
    assert written().chain is None
    text = TEXT.replace("[detection]", "[chain]\nfirst_work = 3e9\n[detection]")
    assert written(text).chain == Chain(10_000, 334, 60, 3_000_000_000)
    text = text.replace(
        "first_work", "block_interval_s = 2.5\nshare_interval_ms = 250\nwindow_blocks = 7\nfirst_work"
    )
    assert written(text).chain == Chain(2_500, 250, 7, 3_000_000_000)


def test_the_entitlement_of_all_serves_where_no_class_or_miner_has_its_own() -> None:
    charter = written(TEXT.replace('class = "pi"', 'class = "old"'))
    granted = charter.miners_by_name()["m01"].entitlement
    assert (granted.cpu_ppm, granted.gpu_ppm, granted.memory_bytes, granted.io_bytes_per_s) == (
        100_000,
        125_000,
        64 << 20,
        1 << 19,
    )


def test_the_law_is_the_charters_in_nanoseconds_of_cpu() -> None:
    charter = written()
    soft, kernel = (charter.rule(miner) for miner in charter.miners)
    assert (kernel.entitled_ppm, kernel.burst_ns) == (500_000, 75_000_000)  # 150 ms at half a CPU
    assert soft.burst_ns == charter.detection.soft_burst_ms * 250_000
    assert kernel.period_ns == 500_000_000


def test_who_is_enforced_and_which_rung_serves() -> None:
    one, two = written().miners
    charter = replaced(written(), holds=())
    assert not charter.enforces(one)  # observed only
    assert charter.enforces(two)
    assert not written().enforces(two)  # on hold
    assert not replaced(charter, mode="observe").enforces(two)
    assert charter.quorum == 3
    assert [charter.rung(n).frames for n in (1, 2, 3, 99)] == [0, 600, 600, 600]


# --- bad TOML -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "place", "mend"),
    [
        ("[network]", "[network", "fog.toml: is not TOML", "line 4"),
        ('fog = "fog1"', "", "fog.toml: network: ", "missing required field `fog`"),
        ('fog = "fog1"', 'fog = "Fog 1"', "fog.toml: network.fog: ", "use 1 to 32 of a-z"),
        ('fog = "fog1"', 'fog = "fog1"\nfoq = 1', "fog.toml: network: ", "unknown field `foq`"),
        ("version = 3", "version = 0", "fog.toml: network.version: ", ">= 1"),
        ("version = 3", 'version = "3"', "fog.toml: network.version: ", "Expected `int`"),
        ("period_s = 0.5", "period_s = 0.05", "fog.toml: network.period_s: ", ">= 0.1"),
        ("period_s = 0.5", "period_s = nan", "fog.toml: network.period_s: ", ">= 0.1"),
        ("f_detectors = 1", "f_detectors = 41", "fog.toml: network.f_detectors: ", "<= 40"),
        (
            "expires = 2030-01-01T01:00:00+01:00",
            "expires = 2030-01-01T01:00:00",
            "network.expires",
            "time zone",
        ),
        ("expires = 2030-01-01T01:00:00+01:00", "expires = 2030-01-01", "network.expires", "datetime"),
        (
            "expires = 2030-01-01T01:00:00+01:00",
            "expires = 0001-01-01T00:00:00+14:00",
            "expires",
            "before 1970",
        ),
        (
            "expires = 2030-01-01T01:00:00+01:00",
            "expires = 2025-01-01T00:00:00Z",
            "fog.toml: ",
            "later `expires`",
        ),
        ("cpu = 0.25", "cpu = 0.0001", "fog.toml: classes[0].entitlement.cpu: ", ">= 0.001"),
        ("cpu = 0.25", "cpu = inf", "fog.toml: classes[0].entitlement.cpu: ", "<= 1024"),
        ("d = 12", "d = 1", "fog.toml: detection.d: ", ">= 2"),
        ("d = 12", "d = 12\nN = 12", "[detection]: L is not below N", "choose L about N / 2"),
        ('role = "manager"', 'role = "boss"', "fog.toml: nodes[0].role: ", "boss"),
        (KEY["manager"], "ab", "fog.toml: nodes[0].key: ", "64 hex digits"),
        (KEY["manager"], "xy" * 32, "fog.toml: nodes[0].key: ", "64 hex digits"),
        ("quota_percent = 50\n", "quota_percent = 0\n", "fog.toml: ladder[0].quota_percent: ", ">= 1"),
        ("frames = 600", "frames = -1", "fog.toml: ladder[1].frames: ", ">= 0"),
        ("offence = 2", "offence = 0", "fog.toml: pardons[0].offence: ", ">= 1"),
        ("[detection]", "[chain]\n[detection]", "fog.toml: chain: ", "missing required field `first_work`"),
        ("[detection]", "[chain]\nfirst_work = 0\n[detection]", "fog.toml: chain.first_work: ", ">= 1"),
        (
            "[detection]",
            "[chain]\nfirst_work = 1\nblock_interval_s = 0.5\n[detection]",
            "chain.block_interval_s: ",
            ">= 1",
        ),
        (
            "hashes_per_cpu_second = 1.5e6\n[classes.entitlement]\ncpu = 0.25\n",
            "[chain]\nfirst_work = 1\n",
            "class 'pi' of device",
            "--class pi",
        ),
        ('law = "soft"', 'law = "none"', "fog.toml: miners[0].law: ", "none"),
        ('device = "edge1"\nlaw', 'device = "edge9"\nlaw', "'m01' lives on 'edge9'", "add that device"),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_what_is_wanted(
    old: str, new: str, place: str, mend: str
) -> None:
    assert old in TEXT
    with pytest.raises(InputError) as caught:
        written(TEXT.replace(old, new, 1))
    said = str(caught.value)
    assert place in said
    assert mend in said
    assert "\n" not in said
    assert caught.value.exit_code == 2


def test_miners_without_any_entitlement_are_named() -> None:
    without = TEXT.replace("[entitlement]\ncpu = 0.1", "[entitlement_]\ncpu = 0.1")
    with pytest.raises(InputError, match="unknown field `entitlement_`"):
        written(without)
    start, end = TEXT.index("[entitlement]"), TEXT.index("[detection]")
    bare = (TEXT[:start] + TEXT[end:]).replace('class = "pi"', 'class = "old"')
    with pytest.raises(InputError, match=r"^fog.toml: miners\[0\]: has no entitlement; add \[entitlement\]"):
        written(bare)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "fog.toml"
    for content, said in ((None, "cannot be read"), (b"\xff\xfe", "is not UTF-8"), (b"", "missing required")):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=said) as caught:
            read(path, NET.network)
        assert str(caught.value).startswith(str(path))
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(InputError, match="is larger than 4 MiB"):
        read(path, NET.network)
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path, NET.network)
    path.write_text(TEXT)
    assert read(path, NET.network) == written()


# --- rules --------------------------------------------------------------------------------------------


def with_node(**changes: Any) -> tuple[Node, ...]:
    """The nodes with the first one changed."""
    return (msgspec.structs.replace(CHARTER.nodes[0], **changes), *CHARTER.nodes[1:])


def detection(**changes: int) -> Detection:
    return msgspec.structs.replace(DETECTION, **changes)


def renamed(of: str, index: int, **changes: Any) -> tuple[Any, ...]:
    """The charter's list `of` with one entry changed."""
    entries = list(getattr(CHARTER, of))
    entries[index] = msgspec.structs.replace(entries[index], **changes)
    return tuple(entries)


EXTRA = Node("more", Role.MANAGER, key_of("more").public)


@pytest.mark.parametrize(
    ("changes", "wrong", "mend"),
    [
        ({"nodes": with_node(name="det1")}, "'det1' stands twice in nodes", "name and key of its own"),
        ({"nodes": with_node(key=key_of("det1").public)}, "stands twice in nodes (keys)", "of its own"),
        ({"classes": (*CHARTER.classes, *CHARTER.classes)}, "'pi' stands twice in classes", "of its own"),
        ({"devices": renamed("devices", 0, name="edge2")}, "'edge2' stands twice in devices", "of its own"),
        ({"miners": renamed("miners", 0, name="m02")}, "'m02' stands twice in miners", "of its own"),
        ({"devices": renamed("devices", 0, kind="pi9")}, "'edge1' is of class 'pi9'", "[[classes]]"),
        ({"devices": renamed("devices", 0, name="edge9")}, "'edge9' has no agent", "with role agent"),
        (
            {"devices": CHARTER.devices[:1], "miners": CHARTER.miners[:1]},
            "agent 'edge2' is no device",
            "add 'edge2'",
        ),
        ({"miners": renamed("miners", 0, device="det1")}, "'m01' lives on 'det1'", "[[devices]]"),
        ({"holds": ("m99",)}, "names 'm99', no miner", "correct or remove"),
        ({"pardons": (Pardon("m98", 1),)}, "names 'm98', no miner", "correct or remove"),
        ({"nodes": with_node(devices=("edge1",))}, "'manager' has devices", "only enforcers"),
        (
            {"nodes": (*CHARTER.nodes, Node("enf2", Role.ENFORCER, key_of("enf2").public, ("edge1",)))},
            "'edge1' has two enforcers, 'enforcer' and 'enf2'",
            "leave it one",
        ),
        (
            {"nodes": (*CHARTER.nodes, Node("enf2", Role.ENFORCER, key_of("enf2").public, ("edge7",)))},
            "enforcer 'enf2' has device 'edge7'",
            "add that device",
        ),
        ({"nodes": CHARTER.nodes[1:]}, "0 managers", "exactly one"),
        ({"nodes": (*CHARTER.nodes, EXTRA)}, "2 managers", "exactly one"),
        ({"f_detectors": 2}, "4 detectors cannot bear f_detectors = 2", "at least 7 detectors"),
        ({"f_miners": 2}, "5 miners cannot bear f_miners = 2", "at least 7 miners"),
        ({"detection": detection(L=24)}, "L is not below N", "N / 2"),
        ({"detection": detection(p=24)}, "p is not below q", "above p"),
        ({"detection": detection(eigentriples=12)}, "l is not below L", "smaller l"),
        ({"detection": detection(q=12 + 37)}, "q - p is above 3 L", "smaller q"),
        (
            {"chain": Chain(10_000, 400, 60, 1), "classes": renamed("classes", 0, hashes_per_cpu_second=0)},
            "there is a [chain], and class 'pi' of device 'edge1' is not measured",
            "mint calibrate --class pi",
        ),
        ({"expires_ms": 0}, "`expires` is not after `issued`", "later `expires`"),
    ],
)
def test_every_rule_is_checked_when_written_and_when_received(
    changes: dict[str, Any], wrong: str, mend: str
) -> None:
    charter = replaced(CHARTER, **changes)
    with pytest.raises(InputError) as caught:
        rules.check(charter, "fog.toml")
    assert str(caught.value).startswith("fog.toml")
    assert wrong in caught.value.wrong
    assert mend in caught.value.mend
    data = Signer(OPERATOR, NET.operator, NET.network).object(charter)
    with pytest.raises(Rejected, match="charter") as rejected:
        open_charter(data, NET.operator.public)
    assert rejected.value.reason is Reason.IMPOSSIBLE


def test_the_smallest_numbers_that_the_rules_allow() -> None:
    rules.check(replaced(CHARTER, f_miners=1), "fog.toml")
    rules.check(replaced(CHARTER, f_detectors=0), "fog.toml")
    rules.check(replaced(CHARTER, detection=detection(q=12 + 36)), "fog.toml")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"period_ms": 99},
        {"miners": ()},
        {"ladder": ()},
        {"ladder": (Rung(9_999, 0),)},
        {"ladder": (Rung(1_000_001, 0),)},
        {"f_detectors": 41},
        {"mode": "guess"},
        {"fog": "Fog"},
        {"detection": detection(d=1)},
        {"nodes": with_node(key=bytes(31))},
        {"network": bytes(31)},
        {"title": "t" * 121},
    ],
)
def test_numbers_out_of_range_do_not_open(changes: dict[str, Any]) -> None:
    data = Signer(OPERATOR, NET.operator, NET.network).object(replaced(CHARTER, **changes))
    with pytest.raises(Rejected) as rejected:
        open_charter(data, NET.operator.public)
    assert rejected.value.reason is Reason.MALFORMED


# --- the operator -------------------------------------------------------------------------------------


def test_only_the_operator_signs_charters() -> None:
    mallory = key_of("mallory")
    with pytest.raises(InputError, match="another operator's network"):
        seal(CHARTER, mallory)
    forged = Signer(OPERATOR, mallory, NET.network).object(CHARTER)
    for data, reason in (
        (forged, Reason.BAD_SIGNATURE),
        (NET.signer("manager").object(CHARTER), Reason.UNKNOWN_SENDER),
        (NET.signer("det1").object(CHARTER), Reason.UNKNOWN_SENDER),
    ):
        with pytest.raises(Rejected) as rejected:
            open_charter(data, NET.operator.public)
        assert rejected.value.reason is reason
    with pytest.raises(Rejected):
        open_charter(NET.sealed.data, mallory.public)


def test_a_charter_that_names_another_network_than_its_signers() -> None:
    other = replaced(CHARTER, network=network_id(key_of("mallory").public))
    data = Signer(OPERATOR, NET.operator, NET.network).object(other)
    with pytest.raises(Rejected) as rejected:
        open_charter(data, NET.operator.public)
    assert rejected.value.reason is Reason.WRONG_NETWORK


def test_a_node_that_calls_itself_operator_is_none() -> None:
    nodes = (*CHARTER.nodes, Node(OPERATOR, Role.OPERATOR, key_of("mallory").public))
    sealed = seal(replaced(CHARTER, nodes=nodes), NET.operator)
    forged = Signer(OPERATOR, key_of("mallory"), NET.network).object(replaced(sealed.charter, version=2))
    with pytest.raises(Rejected) as rejected:
        open_charter(forged, NET.operator.public)
    assert rejected.value.reason is Reason.BAD_SIGNATURE


def test_a_file_that_is_no_charter_says_what_to_do(tmp_path: Path) -> None:
    path, public = tmp_path / "charter.signed", NET.operator.public
    with pytest.raises(
        InputError, match=r"cannot be read \(No such file.*; make it with `mint charter sign`"
    ):
        load_charter(path, public, 0)
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"is not a valid charter \(malformed.*sign it again"):
        load_charter(path, public, 0)
    path.write_bytes(NET.sealed.data)
    assert load_charter(path, public, CHARTER.expires_ms - 1) == NET.sealed
    with pytest.raises(InputError, match="has expired; sign a new version"):
        load_charter(path, public, CHARTER.expires_ms)
