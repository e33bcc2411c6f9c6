"""`mint init`, `enroll`, `charter` as an operator types them: what they make, and one line where something is wrong."""

from __future__ import annotations

import shutil
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from network import commands

Mint = Callable[..., tuple[int, str]]


@pytest.fixture
def mint(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Mint:
    """Runs the command line; its exit code and all that it said."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["mint", *arguments])
        code = commands.main()
        said = capfd.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `mint init` makes."""
    folder = tmp_path_factory.mktemp("founded") / "fleet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["mint", "init", "--dir", str(folder), "--miners", "2", "--cpu", "0.25"])
        assert commands.main() == 0
    return folder


@pytest.fixture
def fleet(founded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(founded, tmp_path / "fleet"))


def test_a_second_device(mint: Mint, fleet: Path) -> None:
    code, lines = mint("enroll", "pi07", "--dir", str(fleet))
    assert code == 0
    toml = fleet / "charter.toml"
    device = '[[devices]]\nname = "pi07"\nclass = "local"\n\n[[miners]]\nname = "m03"\ndevice = "pi07"\n'
    toml.write_text(toml.read_text().replace("version = 1", "version = 2") + lines + device)
    code, said = mint("charter", "check", "--dir", str(fleet))
    assert (code, "3 miners on 2 devices" in said) == (0, True), said
    code, said = mint("charter", "sign", "--dir", str(fleet))
    assert (code, "version 2 signed" in said) == (0, True), said
    code, said = mint(
        "charter", "show", str(fleet / "charter.signed"), "--operator", str(fleet / "operator.pub")
    )
    assert (code, '"pi07"' in said) == (0, True), said
    code, said = mint("broker", "--dir", str(fleet), "--host", "fog.example", "--to", str(fleet.parent / "b"))
    assert code == 0, said
    assert "user pi07\n" in (fleet.parent / "b" / "acl").read_text()


def test_keys_are_their_owners_alone(fleet: Path) -> None:
    folders = [fleet, fleet / "ca", *(fleet / "nodes").iterdir()]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    assert {stat.S_IMODE(key.stat().st_mode) for key in fleet.rglob("*.key")} == {0o600}


@pytest.mark.parametrize("title", ['the "fog"', "back\\slash", "größer 🌫"])
def test_any_title(mint: Mint, tmp_path: Path, title: str) -> None:
    folder = tmp_path / "fleet"
    assert mint("init", "--dir", str(folder), "--miners", "1", "--title", title)[0] == 0
    assert tomllib.loads((folder / "charter.toml").read_text())["network"]["title"] == title


@pytest.mark.parametrize("title", ["x" * 121, "two\nlines", "\udcff"])
def test_no_title(mint: Mint, tmp_path: Path, title: str) -> None:
    code, said = mint("init", "--dir", str(tmp_path / "fleet"), "--title", title)
    assert (code, said.count("\n")) == (2, 1)
    assert "--title" in said
    assert not (tmp_path / "fleet").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("enroll", "pi07"),
        ("charter", "check"),
        ("charter", "sign"),
        ("charter", "publish"),
        ("broker", "--host", "fog.example", "--to", "b"),
    ],
    ids=" ".join,
)
def test_a_mistyped_folder(mint: Mint, tmp_path: Path, command: tuple[str, ...]) -> None:
    folder = tmp_path / "fleeet"
    code, said = mint(*command, "--dir", str(folder))
    assert (code, said) == (
        2,
        f"mint: {folder}: holds no MinT network; name the folder that `mint init` made\n",
    )
    assert not folder.exists()


@pytest.mark.parametrize("command", ["check", "sign"])
def test_an_expired_charter_is_not_signed(mint: Mint, fleet: Path, command: str) -> None:
    toml = fleet / "charter.toml"
    lines = [line for line in toml.read_text().splitlines() if not line.startswith(("issued", "expires"))]
    lines.insert(lines.index("[network]") + 1, "expires = 2020-01-01T00:00:00Z")
    toml.write_text("\n".join(lines).replace("version = 1", "version = 2"))
    code, said = mint("charter", command, "--dir", str(fleet))
    assert (code, said.count("\n")) == (2, 1)
    assert "network.expires: lies in the past" in said


def test_a_resume_is_not_taken_out_again(mint: Mint, fleet: Path) -> None:
    toml = fleet / "charter.toml"
    founded = toml.read_text()
    resume = f'\n[resume]\nframe = 90\nhash = "{"0a" * 32}"\n'
    toml.write_text(founded.replace("version = 1", "version = 2") + resume)
    assert mint("charter", "sign", "--dir", str(fleet))[0] == 0
    toml.write_text(founded.replace("version = 1", "version = 3"))
    code, said = mint("charter", "sign", "--dir", str(fleet))
    assert (code, said.count("\n")) == (2, 1)
    assert "keep [resume] with frame = 90" in said


def test_a_broken_signed_charter_is_not_signed_over(mint: Mint, fleet: Path) -> None:
    (fleet / "charter.signed").write_bytes(b"junk")
    code, said = mint("charter", "sign", "--dir", str(fleet))
    assert (code, said.count("\n")) == (2, 1)
    assert "restore it from a copy" in said
    assert (fleet / "charter.signed").read_bytes() == b"junk"
