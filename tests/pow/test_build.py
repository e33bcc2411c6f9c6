from pathlib import Path

import docker
import pytest

from agents.pow import build
from agents.pow.build import Program
from agents.pow.image import build_image
from mint.errors import MachineError


def test_compiled_once(miner_program: Program, program_cache: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in program_cache.iterdir()}
    assert build.native(program_cache) == miner_program
    assert {path: path.stat().st_mtime_ns for path in program_cache.iterdir()} == before
    assert len(before) == 1


def test_without_a_compiler_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(MachineError, match="apt-get install gcc"):
        build.build(tmp_path)
    said: list[str] = []
    program = build.native_or_reference(tmp_path, said.append)
    assert program.argv[1:] == ("-m", "agents.pow.reference")
    assert program.digest.startswith("sha256:")
    assert "slow Python reference" in said[0]


def test_a_compiler_that_fails_is_a_machine_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    with pytest.raises(MachineError, match=r"false could not compile miner\.c"):
        build.build(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.docker
def test_the_image_holds_one_program_and_no_root(
    docker_engine: docker.DockerClient, miner_program: Program
) -> None:
    image_id = build_image(docker_engine, Path(miner_program.argv[0]))
    assert build_image(docker_engine, Path(miner_program.argv[0])) == image_id
    config = docker_engine.images.get(image_id).attrs["Config"]
    assert (config["User"], config["Entrypoint"]) == ("65534:65534", ["/miner"])
    out = docker_engine.containers.run(image_id, ["--selftest"], remove=True, network_mode="none")
    assert out.count(b'"right":true') == out.count(b'"supported":true') > 0
