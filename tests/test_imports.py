"""Arrows go one way: what passes between two components is a message, never an import."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED: dict[str, set[str]] = {
    "mint": set(),
    "agents": {"mint"},
    "twin_broker": {"mint"},
    "detectors": {"mint"},
    "enforcer": {"mint"},
    "console": {"mint"},
    "mosquitto": {"mint"},
    "network": {"mint", "agents", "twin_broker", "detectors", "enforcer", "console", "mosquitto"},
}
OURS = {*ALLOWED, "tests", "bench"}
# What a small device must not load, whatever happens to be installed on it.
FOG_ONLY = ("numpy", "scipy", "rich", "typer", "pydantic", "matplotlib", "pyarrow")
# What a command waits for only when it draws or reads with it: half a second of start-up.
RESEARCH = ("matplotlib", "pyarrow")


def imported(source: str) -> set[str]:
    """Top-level packages that a module imports anywhere, also inside functions and under TYPE_CHECKING."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def modules(package: str) -> list[str]:
    """Dotted names of every module in `package` that is meant to be imported."""
    files = sorted((ROOT / package).rglob("*.py"))
    parts = [file.relative_to(ROOT).with_suffix("").parts for file in files if file.name != "__main__.py"]
    return [".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts]


def loaded_by(program: str) -> set[str]:
    """The top-level packages in sys.modules after a fresh interpreter has run `program`."""
    tail = "\nimport sys, json; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", program + tail],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {', '.join(sorted(bad))}"
        for file in sorted((ROOT / package).rglob("*.py"))
        if (bad := (imported(file.read_text()) & OURS) - ALLOWED[package] - {package})
    ]
    assert not wrong


def test_the_reader_of_imports_sees_them_all() -> None:
    source = "import a.b, c\nfrom d.e import f\nfrom . import g\ndef h():\n    import i\n"
    assert imported(source) == {"a", "c", "d", "i"}


@pytest.mark.parametrize("package", ["agents", "enforcer"])
def test_the_edge_stays_small(package: str) -> None:
    names = modules(package)
    assert package in names
    assert not loaded_by("\n".join(f"import {name}" for name in names)) & set(FOG_ONLY)


def loaded_by_command(*arguments: str) -> set[str]:
    """The top-level packages loaded by `mint` with these arguments, whatever its exit code but a bad usage."""
    program = f"""
import sys
from network.main import main
sys.argv = ["mint", *{arguments}]
try:
    main()
except SystemExit as end:
    assert end.code in (0, 1, None), end.code
"""
    return loaded_by(program)


@pytest.mark.parametrize("command", ["agent", "enforcer", "twin"])
def test_a_component_command_loads_nothing_of_the_command_line(command: str) -> None:
    assert not loaded_by_command(command, "--help") & set(FOG_ONLY)


@pytest.mark.parametrize("arguments", [("--help",), ("doctor",)], ids=" ".join)
def test_a_command_for_people_starts_without_what_draws(arguments: tuple[str, ...]) -> None:
    loaded = loaded_by_command(*arguments)
    assert "typer" in loaded
    assert not loaded & set(RESEARCH)
