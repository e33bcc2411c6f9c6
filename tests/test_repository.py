"""What holds for the repository as a whole: what is tracked, locked, linked and how long files get."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
# Written in pieces, so that this file does not find itself.
ADDRESSES = re.compile(
    r"pypi\.(?:org|python)|python" + r"hosted\.org|piwheels\.org|deb\.debian\.org|snapshot\.debian|"
    r"(?:^|\s)--(?:extra-)?index" + r"-url|(?:^|\s)--find" + r"-links",
    re.MULTILINE,
)
MACHINE_PATHS = re.compile(r"(?:^|[\s\"'`(=:])/(?:work|root|home/\w+)/")
LINES = 400  # what one sitting reads; more is mostly two ideas
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def tracked() -> list[Path]:
    """Every file of the repository, those not yet committed included."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [path for name in sorted(set(listed.split("\0")) - {""}) if (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def pins(lock: str) -> dict[str, str]:
    """Name -> version, after checking that every pin carries a hash."""
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text_of(ROOT / "locks" / lock))
    found = {}
    for block in blocks:
        if match := PIN.match(block):
            assert "--hash=sha256:" in block, f"{lock}: {match[1]} has no hash"
            found[canonicalize_name(match[1])] = match[2]
    return {str(name): version for name, version in found.items()}


def asked_for(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for with these extras, its references to itself resolved."""
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    wanted: list[Requirement] = [Requirement(line) for line in project["dependencies"]]
    for extra in extras:
        for line in project["optional-dependencies"][extra]:
            requirement = Requirement(line)
            own = requirement.name == project["name"]
            wanted += asked_for(*sorted(requirement.extras)) if own else [requirement]
    return wanted


@pytest.mark.parametrize("pattern", [ADDRESSES, MACHINE_PATHS], ids=["package index", "machine path"])
def test_no_file_names(pattern: re.Pattern[str]) -> None:
    named = [f"{p.relative_to(ROOT)}: {m[0]!r}" for p in tracked() if (m := pattern.search(text_of(p)))]
    assert not named


def test_the_patterns_find_what_they_should() -> None:
    assert ADDRESSES.search("pip install --index" + "-url x")
    assert ADDRESSES.search("https://py" + "pi.org/simple")
    assert not ADDRESSES.search("--no-emit-index" + "-url")
    assert MACHINE_PATHS.search("'/" + "work/x'")
    assert not MACHINE_PATHS.search("bench/root/x")


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("edge.txt", ["build"]),
        ("run.txt", ["all", "build"]),
        ("dev.txt", ["dev"]),
        ("compare.txt", ["compare"]),
    ],
    ids=["edge", "run", "dev", "compare"],
)
def test_a_lock_gives_what_the_project_asks_for(lock: str, extras: list[str]) -> None:
    locked = pins(lock)
    wrong = [
        str(r)
        for r in asked_for(*extras)
        if not r.specifier.contains(locked.get(canonicalize_name(r.name), "0"))
    ]
    assert not wrong


def test_the_locks_agree_and_the_edge_is_small() -> None:
    edge, run, dev = pins("edge.txt"), pins("run.txt"), pins("dev.txt")
    assert edge.items() <= run.items() <= dev.items()
    assert not edge.keys() & {"numpy", "scipy", "rich", "typer", "matplotlib", "pyarrow"}


def test_what_detection_is_compared_with_changes_nothing_else() -> None:
    dev, compare = pins("dev.txt"), pins("compare.txt")
    peers = {canonicalize_name(r.name) for r in asked_for("compare")} - {
        canonicalize_name(r.name) for r in asked_for()
    }
    assert peers
    assert not peers & dev.keys()
    assert {name: compare[name] for name in dev.keys() & compare.keys()}.items() <= dev.items()


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for page in (p for p in tracked() if p.suffix == ".md"):
        prose = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
        for target in LINK.findall(prose):
            if re.match(r"[a-z]+:|#", target):
                continue
            if not (page.parent / target.split("#")[0]).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken


def test_files_are_short() -> None:
    lengths = {p.relative_to(ROOT): len(text_of(p).splitlines()) for p in tracked() if p.suffix == ".py"}
    long = {str(path): length for path, length in lengths.items() if length > LINES}
    assert len(long) <= len(lengths) // 10, f"more than a tenth is longer than {LINES} lines: {long}"
    assert not [path for path, length in long.items() if length > 2 * LINES]
