"""`mint verify --live`: a network on the real broker convicts somebody, and who looks on from outside is shown why."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from mint.messages.frame import Frame
from mint.messages.judgement import Verdict
from mint.node import OPERATOR_KEY
from network import commands
from network.layout import Layout
from network.mosquitto_program import Program
from network.verify import live
from tests.builders import DETECTION, Net
from tests.detectors.running import Running
from tests.ground import Ground, Listener
from tests.verify.beside import beside
from tests.verify.cases import whole

NET = Net(miners=4, devices=2, period_ms=200, detection=DETECTION)
TOPICS = NET.sealed.topics()
CHEAT = "m02"
Mint = Callable[..., tuple[int, str]]


@pytest.fixture
def ground(tmp_path: Path, mosquitto_program: Program, request: pytest.FixtureRequest) -> Ground:
    return Ground(tmp_path / "ground", getattr(request, "param", NET))


@pytest.fixture
def mint(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Mint:
    """Runs `mint verify` in the folder of somebody who has the console's keys; its exit code and what it said."""
    # Whoever is there answers at once, and the retained messages are there with the subscription.
    monkeypatch.setattr(live, "ANSWER_S", 1.0)
    monkeypatch.setattr(live, "RETAINED_S", 0.3)
    layout = Layout(tmp_path / "network")
    shutil.copytree(ground.folder / "console", layout.keys("console"))
    shutil.copy(ground.folder / "console" / OPERATOR_KEY, layout.operator_public)
    shutil.copy(ground.charter, layout.charter)

    def run(*arguments: str) -> tuple[int, str]:
        words = ["mint", "verify", *arguments, "--dir", str(layout.root), "--node", "console"]
        monkeypatch.setattr("sys.argv", words)
        code = commands.main()
        said = capfd.readouterr()
        return code, said.out + said.err

    return run


def there(ground: Ground) -> tuple[str, ...]:
    return "--live", "--broker", f"127.0.0.1:{ground.broker.port}"


@asynccontextmanager
async def convicting(ground: Ground) -> AsyncIterator[Running]:
    """The network from its first sample on, when a verdict is in its log; one detector says nothing."""
    async with ground, Running(ground) as running:
        async with Listener(ground, "enforcer") as enforcer:

            def frames() -> list[Frame]:
                return [NET.message(data, Frame) for data in enforcer.on(TOPICS.frame())]

            running.start("manager", "det1", "det2", "det3")
            await enforcer.until(lambda: len(frames()) >= 5)
            running.cheat(CHEAT, 2.0)
            await enforcer.until(lambda: any(frame.decisions for frame in frames()))
            running.cheat(CHEAT, 0.5)
        yield running


async def lie(ground: Ground) -> None:
    """The detector that was silent publishes a verdict for which nobody voted."""
    false = Verdict(NET.charter.fog, NET.sealed.hash, "m01", 1, 2, 1, "budget", 0, (), b"", b"")
    async with ground.bus("det4") as bus:
        await bus.publish(TOPICS.verdict("det4", "m01"), NET.signer("det4").object(false), retain=True)


def test_what_stands_decided_is_proven_with_the_manager_and_without_and_a_lie_is_named(
    ground: Ground, mint: Mint, tmp_path: Path
) -> None:
    case = str(tmp_path / "case.mint")
    with beside(convicting(ground)) as network:
        code, said = mint(*there(ground), "--recompute", "--save", case)
        assert code == 0, said
        for words in (
            f"{CHEAT} took ",
            "3 detectors accuse",
            "rest on its two samples",
            "recomputed: the frames accuse it",
            "PROVEN: 1 verdict",
        ):
            assert words in said, (words, said)
        assert "are not here" not in said, "every sample comes with its frame"
        network.do(network.it.kill("manager"))
        code, said = mint(*there(ground), "--json")
        assert code == 0, said
        assert "are not here" not in said, "detectors have them too"
        (verdict,) = json.loads(said)["verdicts"]
        assert (verdict["miner"], verdict["evidence"]) == (CHEAT, "budget")
        assert verdict["noted_in_frame"] > verdict["frame"]
        network.do(lie(ground))
        code, said = mint(*there(ground))
        assert code == 1, said
        assert "NOT PROVEN: 1 of the links break, the first at: verdict m01/1" in said
    # What was saved needs nobody any more.
    code, said = mint(case)
    assert (code, "PROVEN: 1 verdict" in said) == (0, True), said


@asynccontextmanager
async def silent(ground: Ground) -> AsyncIterator[None]:
    """A broker, and nobody at it."""
    async with ground:
        yield


# Each holder is waited for.
@pytest.mark.parametrize(
    "ground", [Net(miners=1, devices=1, detectors=1)], indirect=True, ids=["one detector"]
)
def test_where_nobody_answers_nothing_is_proven(ground: Ground, mint: Mint) -> None:
    with beside(silent(ground)):
        code, said = mint(*there(ground))
    assert (code, said) == (1, "mint: neither the manager nor a detector answers\n")


def test_where_no_broker_is_it_says_so(ground: Ground, mint: Mint) -> None:
    code, said = mint("--live", "--broker", "127.0.0.1:1")
    assert (code, said.splitlines()[-1]) == (1, "mint: the broker cannot be reached")
    code, said = mint("--live")
    assert (code, "no network runs in this folder" in said) == (2, True), said


def test_a_verdict_that_comes_with_its_frame_is_as_good_as_a_retained_one() -> None:
    case = whole()
    came = msgspec.structs.replace(case, samples=(*case.samples, *case.verdicts), verdicts=())
    assert live.sorted_out(came) == case
    assert live.sorted_out(msgspec.structs.replace(came, verdicts=case.verdicts)) == case
