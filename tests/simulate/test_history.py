"""Histories: cheap to keep, bounded, comparable by one number, readable."""

from __future__ import annotations

from mint.messages.frame import FrameRequest
from mint.messages.judgement import Accusation, SampleRef, Vote
from mint.messages.receipt import Receipt
from mint.messages.sample import Ack, Sample
from network.simulate.history import KEPT, RECENT, History
from network.simulate.schedule import S
from network.simulate.words import lines
from tests.builders import Net, World


def test_any_difference_is_a_difference_of_the_digest() -> None:
    def digest(*sent: tuple[int, bytes]) -> int:
        history = History()
        for at, payload in sent:
            history.message(at, "det1", "topic", payload)
        return history.digest

    base = digest((1, b"a"), (2, b"b"))
    assert digest((1, b"a"), (2, b"b")) == base
    others = [
        digest((1, b"a"), (3, b"b")),
        digest((2, b"b"), (1, b"a")),
        digest((1, b"a"), (2, b"c")),
        digest((1, b"a")),
    ]
    assert base not in others
    one, two = History(), History()
    one.note(1, "m01", "quota", 5)
    two.note(1, "m01", "quota", 6)
    assert one.digest != two.digest


def test_it_is_bounded_and_what_is_kept_outlives_what_was_recent() -> None:
    history = History()
    history.note(1, "m01", "quota", 5)
    for number in range(10 * RECENT):
        history.message(number, "det1", "topic", b"x")
    notes = list(history.notes())
    assert len(notes) == RECENT + 1
    assert notes[0].what == "quota"
    assert history.length == 10 * RECENT + 1
    for number in range(2 * KEPT):
        history.note(number, "m01", "quota", number)
    assert len(list(history.notes())) == RECENT + KEPT


def test_notes_are_in_order() -> None:
    history = History()
    for number in range(100):
        history.note(number // 2, "m01", "quota", number, keep=number % 3 == 0)
    assert [note.values[0] for note in history.notes()] == list(range(100))


def test_every_message_is_a_line_that_says_what_it_says() -> None:
    world = World(Net())
    world.miner("m01").factor = 3.0
    world.run(12)
    signer = world.net.signer("det1")
    history = History()
    ref = SampleRef("edge1", 1, 1, bytes(32))
    accusation = Accusation("m03", 1, 9, "budget", 5, ref, ref)
    history.message(S, "manager", "frame", world.log[-1].data)
    history.message(S, "det1", "vote", signer.object(Vote("fog1", 12, bytes(32), bytes(32), (accusation,))))
    history.message(S, "det1", "vote", signer.object(Vote("fog1", 20, bytes(32), bytes(32), ())))
    history.message(2 * S, "det1", "verdict", signer.object(world.verdicts[0]))
    receipt = Receipt(4, 0, "m03", "correct", bytes(32), 9, 100_000, 50_000, 0, 0, "rung 1")
    history.message(2 * S, "enf1", "receipt", signer.object(receipt))
    history.message(2 * S, "edge1", "sample", signer.stream(Sample(bytes(16), 4, 0, ()), "t", 0))
    history.message(2 * S, "manager", "ack", signer.stream(Ack("edge1", 1, 7), "t", 0))
    history.message(
        2 * S, "det1", "request", signer.stream(FrameRequest("det1", "manager", 3, 2, True), "t", 0)
    )
    history.message(2 * S, "liar", "topic", b"\x93nonsense")
    history.message(2 * S, "liar", "topic", b"")
    text = "\n".join(lines(history, 100))
    for part in (
        "1.000 s  manager    frame: 12 after",
        "vote: frame 12 00000000: m03 of offence 1 since 9 (budget)",
        "nobody",
        "verdict: offence 1 of m01 since",
        "3 votes",
        "receipt: 4 correct m03, 100000 -> 50000 ppm: rung 1",
        "sample 1/1: 0 miners",
        "request 1/3: of manager, 2 from 3 with proofs",
        "9 bytes that are no message, on topic",
        "clears topic",
    ):
        assert part in text


def test_faults_are_lines_too() -> None:
    history = History()
    history.note(S, "det1", "loss", 10, 2_000)
    history.note(S, "broker", "broker-restart", 0, 500)
    history.note(S, "det1", "crash", 3, 500)
    history.note(S, "det1", "crashed", 500_000_000)
    history.note(S, "det1", "restored", 9_000)
    history.note(S, "m01", "quota", 5, "cheat")
    assert [
        line.split("  ", 1)[1].split(maxsplit=1)[1] for line in (text.strip() for text in lines(history, 100))
    ] == [
        "FAULT loss, amount 10, for 2000 ms",
        "FAULT is killed, losing what it had not saved, down for 500 ms",
        "FAULT will crash before effect 3",
        "CRASHES, down for 500000000 ns",
        "a state folder 9000 ms old is put back",
        "quota 5 by cheat",
    ]


def test_the_last_events_are_told_after_what_was_worth_keeping_before_them() -> None:
    history = History()
    history.note(S, "det1", "loss", 10, 2_000)
    for number in range(20):
        history.message((2 + number) * S, "det1", "topic", bytes([number]))
    history.note(22 * S, "m01", "quota", 5, "cheat")
    told = [line.split()[0] for line in lines(history, 3)]
    assert told == ["1.000", "20.000", "21.000", "22.000"]
