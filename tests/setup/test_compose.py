"""The fog's compose file: docker-compose accepts it, and what it starts is bounded, checked and shut in."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.setup.machine import missing

FILE = Path(__file__).parents[2] / "deploy" / "fog" / "compose.yaml"
ENVIRONMENT = {"MINT_ETC": "/etc/mint", "MINT_UID": "998", "MINT_GID": "998", "MINT_MANAGER": "manager"}
# The plugin's `config --format json` is not in the older program, whose YAML is read here by its own Python.
TO_JSON = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"


def compose() -> list[str]:
    plugin = ["docker", "compose"]
    has_plugin = (
        shutil.which("docker")
        and not subprocess.run([*plugin, "version"], capture_output=True, check=False, timeout=30).returncode
    )
    if has_plugin:
        return plugin
    if shutil.which("docker-compose") is None:
        missing("docker-compose")
    return ["docker-compose"]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The file as docker-compose understands it, variables and anchors resolved."""
    program = compose()
    asked = [*program, "-f", str(FILE), "config"] + (["--format", "json"] if len(program) > 1 else [])
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    text = done.stdout
    if len(program) == 1:  # Debian's docker-compose brings PyYAML to Debian's Python
        text = subprocess.run(
            ["/usr/bin/python3", "-I", "-c", TO_JSON], input=text, capture_output=True, text=True, check=True
        ).stdout
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def test_the_services(project: dict[str, Any]) -> None:
    assert set(project["services"]) == {"broker", "twin", "detector1", "detector2", "detector3", "detector4"}


def test_every_service_is_bounded_checked_and_shut_in(project: dict[str, Any]) -> None:
    for name, service in project["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["user"] == "998:998", name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["restart"] == "unless-stopped", name
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}, name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["healthcheck"]["test"], name


def test_only_the_broker_is_reached_from_outside(project: dict[str, Any]) -> None:
    assert project["networks"]["fog"]["internal"] is True
    for name, service in project["services"].items():
        assert bool(service.get("ports")) is (name == "broker")
        assert set(service["networks"]) == ({"fog", "edge"} if name == "broker" else {"fog"})


def test_the_broker_comes_first(project: dict[str, Any]) -> None:
    for name, service in project["services"].items():
        if name != "broker":
            assert service["depends_on"]["broker"]["condition"] == "service_healthy"


def test_commands_and_what_they_may_read(project: dict[str, Any]) -> None:
    for name, service in project["services"].items():
        if name == "broker":
            continue
        words = service["command"] if isinstance(service["command"], list) else service["command"].split()
        node = "manager" if name == "twin" else name
        assert words[:2] == ["mint", name.rstrip("1234")]
        assert dict(zip(words[2::2], words[3::2], strict=True)) == {
            "--charter": "/etc/mint/charter.signed",
            "--node": node,
            "--keys": f"/etc/mint/keys/{node}",
            "--broker": "broker:8883",
            "--state": "/var/lib/mint",
        }
        keys = [str(volume) for volume in service["volumes"] if "/keys/" in str(volume)]
        assert len(keys) == 1, "its own keys and nobody else's"
        assert f"/keys/{node}" in keys[0]


def test_the_health_check_knows_the_port() -> None:
    text = FILE.read_text()
    published = re.search(r":(\d+)\"\]", text)
    assert published is not None
    assert f":{int(published[1]):04X} " in text


def test_the_image_opens_every_folder_of_state(project: dict[str, Any]) -> None:
    """A new volume takes its mode from the image; without this Mosquitto could not store what it acknowledged."""
    opened = re.search(r"chmod 1777 (.+)", (FILE.parent / "Dockerfile").read_text())
    assert opened is not None
    mounted = {v.rsplit(":", 2)[1] if isinstance(v, str) else v["target"]
               for s in project["services"].values() for v in s["volumes"]
               if not (v.startswith("/") if isinstance(v, str) else v["type"] == "bind")}  # fmt: skip
    assert mounted == set(opened[1].split())
