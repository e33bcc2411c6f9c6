"""The scenarios: what goes wrong in each, drawn from a seed, and what must hold nonetheless.

A scenario draws a list of faults. Beside them miners cheat in every one, for catching them is what the network is
for: one during the faults, one after they have stopped. What a scenario `assumes` says which checks apply:

- "log"        the manager is honest: one frame a number, resting on the samples that came.
- "telemetry"  agents tell what they read.
- "quorum"     at most f detectors lie.
- "majority"   at most f miners collude, so that Krum's benchmark is an honest one.
- "memory"     no state folder is put back.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mint.errors import InputError
from network.simulate.faults import Fault, Kind, Plan, Size
from network.simulate.streams import stream

S_MS = 1_000
# Nothing goes wrong before everyone had the time to connect once; faults at a start come by crashes.
FIRST_MS = 3 * S_MS
# The share of a run in which things go wrong; the rest is for getting well.
TROUBLED = 0.55
# The shortest run: after the faults a cheat of a minute, and the time in which it has to be convicted (liveness.py).
LEAST_MINUTES = 8.0
ALL = frozenset({"log", "telemetry", "quorum", "majority", "memory"})

Draw = Callable[["Deck"], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of trouble: how it is drawn, and what it leaves true."""

    name: str
    draw: Draw
    assumes: frozenset[str]


class Deck:
    """A plan while it is drawn. `faults` are added one by one, each from a random source of its own."""

    def __init__(self, seed: int, name: str, size: Size, stop_ms: int, end_ms: int) -> None:
        self.size, self.stop_ms, self.end_ms = size, stop_ms, end_ms
        self.rng = stream(seed, name, "plan")
        self.faults: list[Fault] = []

    def add(
        self,
        kind: Kind,
        who: Iterable[str] = (),
        amount: int = 0,
        *,
        at_ms: int | None = None,
        for_ms: int = 0,
    ) -> None:
        """One more fault, at any time where none is given; it is over at `stop_ms`."""
        most = self.stop_ms - 1
        at = self.rng.randrange(FIRST_MS, most) if at_ms is None else at_ms
        lasts = min(for_ms, max(0, self.stop_ms - at)) if at < self.stop_ms else for_ms
        self.faults.append(Fault(kind, at, lasts, tuple(who), amount, self.rng.getrandbits(32)))

    def some(self, names: Sequence[str], most: int | None = None) -> tuple[str, ...]:
        """One of the names or more, at most `most`."""
        count = self.rng.randint(1, min(len(names), most or len(names)))
        return tuple(sorted(self.rng.sample(list(names), count)))

    def span(self, least_s: float, most_s: float) -> int:
        """A length of time in ms, short ones as likely as long ones."""
        return int(S_MS * least_s * (most_s / least_s) ** self.rng.random())


def _links(kind: Kind, least: int, most: int) -> Draw:
    def draw(deck: Deck) -> None:
        for _ in range(deck.rng.randint(2, 8)):
            deck.add(
                kind, deck.some(deck.size.nodes), deck.rng.randint(least, most), for_ms=deck.span(1, 120)
            )

    return draw


def _delay(deck: Deck) -> None:
    _links("delay", 5, 3_000)(deck)
    for _ in range(deck.rng.randint(0, 3)):
        deck.add("stall", deck.some(deck.size.nodes, 2), for_ms=deck.span(0.1, 20))


def _partition(deck: Deck) -> None:
    for _ in range(deck.rng.randint(1, 6)):
        deck.add("partition", deck.some(deck.size.nodes), for_ms=deck.span(0.2, 150))


def _broker(deck: Deck) -> None:
    for _ in range(deck.rng.randint(0, 2)):
        deck.add("broker-save")
    for _ in range(deck.rng.randint(1, 5)):
        deck.add("broker-restart", amount=deck.rng.randint(0, 1), for_ms=deck.span(0.1, 40))


def _crash(deck: Deck) -> None:
    for _ in range(deck.rng.randint(3, 20)):
        # Small numbers are what happens within one step of a component.
        deck.add(
            "crash",
            deck.some(deck.size.nodes, 3),
            int(deck.rng.expovariate(1 / 6)),
            for_ms=deck.span(0.05, 40),
        )
    if deck.rng.random() < 0.5:
        deck.add("reboot", deck.some(deck.size.device_names, 2), for_ms=deck.span(5, 60))


def _backup(deck: Deck) -> None:
    for _ in range(deck.rng.randint(1, 2)):
        deck.add("backup", deck.some(deck.size.nodes, 2), for_ms=deck.span(5, 120))


def _skew(deck: Deck) -> None:
    clocks = ("manager", *deck.size.detector_names, *deck.size.device_names)
    for _ in range(deck.rng.randint(1, 5)):
        deck.add("skew", deck.some(clocks, 3), deck.rng.randint(-300, 300) * S_MS, for_ms=deck.span(5, 120))
    for _ in range(deck.rng.randint(1, 4)):
        # A quartz is off by 0.01 %; a clock that gains more than 0.1 % is not believed.
        deck.add("dilate", deck.some(clocks, 3), deck.rng.randint(-20_000, 20_000), for_ms=deck.span(5, 200))


def _lying_detector(deck: Deck) -> None:
    liars = deck.rng.sample(deck.size.detector_names, deck.size.f_detectors)
    lies: tuple[Kind, ...] = ("vote-random", "vote-silent", "vote-twice", "vote-innocent")
    for _ in range(deck.rng.randint(1, 3)):
        deck.add(deck.rng.choice(lies), sorted(liars), for_ms=deck.end_ms)


def _manager(kind: Kind) -> Draw:
    def draw(deck: Deck) -> None:
        for _ in range(deck.rng.randint(1, 3)):
            most = deck.size.devices if kind == "omit" else deck.size.miners
            deck.add(kind, ("manager",), deck.rng.randrange(most), for_ms=deck.span(1, 120))

    return draw


def _league(deck: Deck) -> None:
    """The manager, in league with as many detectors as may lie."""
    lies: tuple[Kind, ...] = ("fork", "omit", "invent")
    _manager(deck.rng.choice(lies))(deck)
    _lying_detector(deck)


def _lying_agent(deck: Deck) -> None:
    lies: tuple[Kind, ...] = ("fabricate", "withhold", "sample-twice")
    for _ in range(deck.rng.randint(1, 4)):
        kind = deck.rng.choice(lies)
        amount = deck.rng.randint(100_000, 1_000_000) if kind == "withhold" else 0
        deck.add(kind, deck.some(deck.size.device_names, 2), amount, for_ms=deck.span(5, 200))
    deck.add("dilate", deck.some(deck.size.device_names, 1), deck.rng.randint(20_000, 500_000), for_ms=60_000)


def _liar(deck: Deck) -> None:
    """A miner that takes double on a device whose agent tells no more than entitlement, to the end."""
    miner = deck.rng.choice(deck.size.miner_names)
    for at_ms, until_ms in ((FIRST_MS, deck.stop_ms), (deck.stop_ms, deck.end_ms)):
        deck.add("fabricate", (deck.size.device_of(miner),), at_ms=at_ms, for_ms=until_ms - at_ms)
    for at_ms in (deck.rng.randrange(30 * S_MS, deck.stop_ms), deck.stop_ms + 1):
        deck.add("cheat", (miner,), 2_000_000, at_ms=at_ms, for_ms=120 * S_MS)


def _collude(deck: Deck) -> None:
    _colluders(deck, deck.rng.randint(min(2, deck.size.f_miners), max(1, deck.size.f_miners)))


def _collude_past_f(deck: Deck) -> None:
    _colluders(deck, deck.rng.randint(deck.size.f_miners + 1, deck.size.miners))


def _colluders(deck: Deck, count: int) -> None:
    who = sorted(deck.rng.sample(deck.size.miner_names, max(1, count)))
    deck.add("cheat", who, deck.rng.choice((1_100_000, 1_300_000, 2_000_000)), for_ms=deck.span(30, 200))


def _mixed(deck: Deck) -> None:
    draws = (
        _links("loss", 10_000, 300_000),
        _links("duplicate", 10_000, 500_000),
        _links("reorder", 5, 2_000),
        _delay,
        _partition,
        _broker,
        _crash,
        _lying_detector,
    )
    for draw in deck.rng.sample(draws, deck.rng.randint(2, 5)):
        draw(deck)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("calm", lambda _: None, ALL),
        Scenario("loss", _links("loss", 10_000, 500_000), ALL),
        Scenario("delay", _delay, ALL),
        Scenario("duplicate", _links("duplicate", 10_000, 1_000_000), ALL),
        Scenario("reorder", _links("reorder", 5, 3_000), ALL),
        Scenario("partition", _partition, ALL),
        Scenario("broker-restart", _broker, ALL),
        Scenario("crash", _crash, ALL),
        Scenario("backup", _backup, ALL - {"memory"}),
        Scenario("skew", _skew, ALL),
        Scenario("lying-detector", _lying_detector, ALL),
        Scenario("equivocating-manager", _manager("fork"), ALL - {"log"}),
        Scenario("omitting-manager", _manager("omit"), ALL - {"log"}),
        Scenario("inventing-manager", _manager("invent"), ALL - {"log"}),
        Scenario("league", _league, ALL - {"log"}),
        Scenario("lying-agent", _lying_agent, ALL - {"telemetry"}),
        Scenario("liar", _liar, ALL - {"telemetry"}),
        Scenario("collude", _collude, ALL),
        Scenario("collude-past-f", _collude_past_f, ALL - {"majority"}),
        Scenario("mixed", _mixed, ALL),
    )
}


def scenario_of(name: str) -> Scenario:
    """A scenario by name.

    Raises:
        InputError: there is none of that name.
    """
    try:
        return SCENARIOS[name]
    except KeyError:
        raise InputError("--scenario", f"there is no {name!r}", f"choose of {', '.join(SCENARIOS)}") from None


def turn(seed: int) -> str:
    """The scenario that a seed runs where none is named: all of them in turn."""
    names = tuple(SCENARIOS)
    return names[seed % len(names)]


def draw_plan(name: str, seed: int, minutes: float, size: Size | None = None) -> Plan:
    """The plan that follows from a scenario and a seed.

    Raises:
        InputError: no such scenario, or too little time to get well in.
    """
    scenario = scenario_of(name)
    if not minutes >= LEAST_MINUTES:
        raise InputError(
            "--minutes", f"{minutes:g} is too short to get well in", f"take {LEAST_MINUTES:g} or more"
        )
    end_ms = round(minutes * 60 * S_MS)
    stop_ms = int(end_ms * TROUBLED)
    if size is None:
        size = _size(stream(seed, name, "size"))
    deck = Deck(seed, name, size, stop_ms, end_ms)
    scenario.draw(deck)
    _cheats(deck, stream(seed, name, "cheats"))
    faults = tuple(sorted(deck.faults, key=lambda fault: fault.at_ms))
    return Plan(name, seed, end_ms, stop_ms, size, faults)


def _size(rng: random.Random) -> Size:
    """Mostly the size that all figures are of; smaller ones, and one with f = 2, are other networks too."""
    if rng.random() < 0.5:
        return Size(16, 4, 4)
    return Size(rng.randint(5, 16), rng.randint(1, 4), rng.choice((4, 4, 7)))


def _cheats(deck: Deck, rng: random.Random) -> None:
    """One miner that cheats amid the faults, one that begins when they have stopped."""
    deck.rng = rng
    kinds: tuple[tuple[Kind, int], ...] = (
        ("cheat", rng.choice((1_050_000, 1_100_000, 1_500_000, 2_000_000, 3_000_000))),
        ("ramp", rng.choice((1_500_000, 3_000_000))),
        ("refill", rng.choice((5, 10, 50))),
    )
    first, second = rng.sample(deck.size.miner_names, 2)
    kind, amount = rng.choice(kinds)
    deck.add(kind, (first,), amount, for_ms=deck.span(10, 120))
    kind, amount = rng.choice(kinds)
    deck.add(kind, (second,), amount, at_ms=deck.stop_ms + 1, for_ms=deck.span(30, 60))
