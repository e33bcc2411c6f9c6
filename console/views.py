"""What a picture amounts to: one line a miner and one for the network, for whatever shows it.

Scores are medians over the detectors, so that one that lies moves them no further than the honest ones differ.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from console.picture import Heard, Known, Picture
from mint.charter.model import Charter
from mint.messages.judgement import Score
from mint.messages.receipt import Receipt
from mint.verdict import Proven

# A detector's word on frames further back than this says nothing of now. It accuses in every vote while an
# accusation stands, and scores every frame.
CURRENT_FRAMES = 5
# How long a miner whose quota was just put back is called that.
RESTORED_FRAMES = 30
# A quota further above entitlement than this is drift: quota files hold whole microseconds of a period.
DRIFT = 1.01
PPM_PER_PERCENT = 1e4
NS_PER_MS = 1e6

Word = Literal[
    "unknown", "fair", "idle", "restored", "above", "drift", "stopped", "dark", "accused", "CONVICTED"
]


@dataclass(frozen=True, slots=True)
class MinerView:
    """One miner as it stands now.

    `word` is the gravest thing that holds of it, `detail` a few words more. `history`: use in % of
    entitlement, oldest first, None where not known; `use` the newest. Quota (-1: no limit, None: not known)
    and entitlement in ppm of one CPU. `W` (equation 8) and `excess_ms` (the budget law's level): nan while
    there is none. `apart`: how far its behaviour is from that of its nearest peers, from Krum's score
    (equation 10), in % of a period's entitlement; nan before the first round. `best`: it is B* (equation 11).
    `accusers`: detectors whose newest votes accuse it of what is not decided yet. `proven`: its newest
    verified verdict, `at_ms` when we heard of it, `standing` whether it still has to be paid for. `receipt`:
    what its enforcer said last.
    """

    name: str
    word: Word
    detail: str
    history: tuple[float | None, ...]
    use: float | None
    quota_ppm: int | None
    entitled_ppm: int
    W: float
    excess_ms: float
    apart: float
    best: bool
    accusers: tuple[str, ...]
    proven: Proven | None
    at_ms: int
    standing: bool
    receipt: Receipt | None


@dataclass(frozen=True, slots=True)
class NetworkView:
    """The network as it stands now.

    `frame`: number of the newest frame, 0 before the first; `age_s`: since it came (or since we began to
    wait). `trouble`: a sentence when the manager is done or frames do not come, else empty. `voting` of
    `detectors` vote. `h`: the threshold for W, nan when not known.
    """

    frame: int
    age_s: float
    trouble: str
    voting: int
    detectors: int
    agents_alive: int
    agents: int
    runtimes: tuple[str, ...]
    h: float


def network(picture: Picture, now_ms: int) -> NetworkView:
    """The network at `now_ms` (Unix)."""
    detectors = picture.detectors.values()
    # Who has nobody to accuse votes every d frames.
    lately = picture.number - picture.charter.detection.d - CURRENT_FRAMES
    return NetworkView(
        frame=picture.number,
        age_s=max(now_ms - picture.since_ms, 0) / 1000 if picture.since_ms else 0.0,
        trouble=picture.halted or picture.stopped(now_ms),
        voting=sum(heard.vote is not None and heard.vote.frame >= lately for heard in detectors),
        detectors=len(detectors),
        agents_alive=sum(state.alive for _, state in picture.agents.values()),
        agents=len(picture.charter.devices),
        runtimes=tuple(sorted({text for text in picture.runtimes.values() if text})),
        h=_median(heard.h for heard in detectors if heard.scores),
    )


def miners(picture: Picture) -> list[MinerView]:
    """Every miner of the charter, by name."""
    charter, accusers = picture.charter, _accusers(picture)
    last_round = max((heard.round_frame for heard in picture.detectors.values()), default=0)
    round_ = [h for h in picture.detectors.values() if h.benchmark and h.round_frame == last_round]
    best = Counter(heard.benchmark for heard in round_).most_common(1)[0][0] if round_ else ""
    apart = _apart(charter, round_)
    current = [h.scores for h in picture.detectors.values() if h.frame >= picture.number - CURRENT_FRAMES]

    def score(name: str, of: Callable[[Score], float]) -> float:
        return _median(of(scores[name]) for scores in current if name in scores)

    views = []
    for name, known in picture.known.items():
        excess_ms = score(name, lambda of: of.level_ns / 1e6)
        standing = _standing(known, picture)
        against = accusers.get(name, ())
        word: Word
        if standing and known.proven is not None:
            word, detail = "CONVICTED", f"offence {known.proven.offence}, {_penalty(known, charter)}"
        elif against:
            word, detail = "accused", f"by {len(against)} of {len(picture.detectors)} detectors"
        else:
            word, detail = _condition(known, charter, picture.number, excess_ms)
        views.append(
            MinerView(
                name=name,
                word=word,
                detail=detail,
                history=tuple(known.history),
                use=known.history[-1] if known.history else None,
                quota_ppm=known.twin.quota_ppm if known.twin else None,
                entitled_ppm=known.miner.entitlement.cpu_ppm,
                W=score(name, lambda of: of.W),
                excess_ms=excess_ms,
                apart=apart.get(name, math.nan),
                best=name == best,
                accusers=against,
                proven=known.proven,
                at_ms=known.at_ms,
                standing=standing,
                receipt=known.receipt,
            )
        )
    return views


def _accusers(picture: Picture) -> dict[str, tuple[str, ...]]:
    """Detectors by the miner that their newest votes accuse of what no verdict has decided yet."""
    found: dict[str, tuple[str, ...]] = {}
    for name, heard in picture.detectors.items():
        if heard.vote is None or heard.vote.frame < picture.number - CURRENT_FRAMES:
            continue
        for accusation in heard.vote.accusations:
            known = picture.known.get(accusation.miner)
            if known is not None and not known.decided(accusation.offence):
                found[accusation.miner] = (*found.get(accusation.miner, ()), name)
    return found


def _acted(known: Known) -> str:
    """What the enforcer did last about the newest verdict; empty: nothing yet."""
    acted, proven = known.acted, known.proven
    return acted.action if acted and proven and acted.offence >= proven.offence else ""


def _standing(known: Known, picture: Picture) -> bool:
    """Whether the newest verdict on a miner still has to be paid for.

    The enforcer's receipts say so; for who did not hear them all, the manager's twin does.
    """
    proven, acted = known.proven, _acted(known)
    if proven is None or acted == "restore":
        return False
    if acted not in ("", "withheld") or picture.number <= proven.until:
        return True
    fresh = known.at_frame > 0 and picture.number - known.at_frame <= picture.charter.detection.d
    return fresh or (known.twin is not None and known.twin.condition == "convicted")


def _penalty(known: Known, charter: Charter) -> str:
    match _acted(known):
        case "":
            return "enforcer to act" if charter.enforces(known.miner) else "observed"
        case "pause":
            return "paused"
        case "withheld":
            return "withheld"
        case _:
            return "pays back"


def _condition(known: Known, charter: Charter, number: int, excess_ms: float) -> tuple[Word, str]:
    """The word for a miner that nobody accuses, from its twin and its excess."""
    twin, miner = known.twin, known.miner
    entitled_ppm = miner.entitlement.cpu_ppm
    word: Word = "fair"
    detail = ""
    if twin is None:
        word, detail = "unknown", "no twin yet"
    elif twin.condition == "dark":
        word, detail = "dark", f"silent {charter.detection.dark_frames}+ frames"
    elif twin.condition == "stopped":
        word = "stopped"
    elif twin.quota_ppm > entitled_ppm * DRIFT:
        word, detail = "drift", f"quota {twin.quota_ppm / entitled_ppm:.3g} x its own"
    elif excess_ms * NS_PER_MS > charter.rule(miner).allowed_ns:
        word, detail = "above", "beyond its burst"
    elif known.restored_frame and number - known.restored_frame <= RESTORED_FRAMES:
        word, detail = "restored", "quota is back"
    elif twin.condition == "idle":
        word = "idle"
    return word, detail


def _median(values: Iterable[float]) -> float:
    """The median of those that are numbers; nan when none is."""
    numbers = [value for value in values if not math.isnan(value)]
    return median(numbers) if numbers else math.nan


def _apart(charter: Charter, round_: Sequence[Heard]) -> dict[str, float]:
    """How far each miner was from its nearest peers in a round, in % of a period's entitlement.

    Krum's score sums n - f - 2 squared distances over d components each, in ppm; the root of their mean is a
    distance that people can read. Miners that were not in the round have no score.
    """
    names = {name for heard in round_ for name in heard.krum}
    krum = {name: _median(heard.krum[name] for heard in round_ if name in heard.krum) for name in names}
    krum = {name: score for name, score in krum.items() if 0 < score < math.inf}
    terms = (len(krum) - charter.f_miners - 2) * charter.detection.d
    if terms <= 0:
        return {}
    return {name: math.sqrt(score / terms) / PPM_PER_PERCENT for name, score in krum.items()}
