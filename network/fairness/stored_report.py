"""What `mint fairness --chain` says of an agent's ledger: a table for people, one object for programs."""

from __future__ import annotations

import json
from typing import Any

from mint.wire import MOST
from network.fairness.measures import CONFIDENCE, gini, jain
from network.fairness.report import ends, interval, number, tested
from network.fairness.stored import Convicted, Record

MS_PER_HOUR = 3_600_000


def text(record: Record) -> str:
    """For people."""
    hours = (int(record.time_ms.max()) - int(record.time_ms.min())) / MS_PER_HOUR
    lines = [
        f"{len(record.time_ms)} blocks in {hours:.2f} hours, {len(record.names)} miners",
        "",
        f"{'miner, fair share':20}{'rewards':>10}{'shares paid (95 %)':>28}{'blocks found (95 %)':>28}   times fair",
    ]
    fair, rewards = record.fair.mean(axis=0), record.times_fair
    for row, name in enumerate(record.names):
        shares, blocks = record.shares_times_fair(row), record.blocks_times_fair(row)
        label = f"{name}, {fair[row]:.2%}"
        lines.append(f"{label:20}{rewards[row]:10.3f}{interval(shares):>28}{interval(blocks):>28}")
    paid = record.rewards.sum(axis=0)
    lines += ["", *_verdicts(record)]
    lines += [
        f"Jain's index {jain(paid):.4f}, Gini's coefficient {gini(paid):.4f}, of rewards",
        f"chi-square against entitled hashing: p of blocks {tested(record.p_blocks())}, of shares "
        f"{tested(record.p_shares())}",
    ]
    return "\n".join(lines) + "\n"


def _verdicts(record: Record) -> list[str]:
    """The course of everyone who was convicted, by its first verdict."""
    lines = []
    for one in _first(record):
        parts = ", ".join(f"{name} {interval(part)}" for name, part in _phases(record, one).items())
        number = sum(other.miner == one.miner for other in record.verdicts)
        lines.append(
            f"{one.miner} was convicted {number} times, first at block {one.height} ({one.evidence}); its shares paid, "
            f"times fair: {parts}"
        )
    return [*lines, ""] if lines else []


def _first(record: Record) -> list[Convicted]:
    found: dict[str, Convicted] = {}
    for one in record.verdicts:
        found.setdefault(one.miner, one)
    return list(found.values())


def _phases(record: Record, one: Convicted) -> dict[str, Any]:
    return {
        "before": record.part(one.miner, 0, one.began_ms),
        "during": record.part(one.miner, one.began_ms, one.at_ms),
        "after": record.part(one.miner, one.at_ms, MOST),
    }


def data(record: Record) -> str:
    """For programs: one JSON object, on one line."""
    paid, rewards, blocks = record.rewards.sum(axis=0), record.times_fair, record.blocks()
    said = {
        "type": "fairness",
        "blocks": len(record.time_ms),
        "confidence": CONFIDENCE,
        "fair": dict(zip(record.names, record.fair.mean(axis=0).tolist(), strict=True)),
        "miners": {
            name: {
                "rewards": int(paid[row]),
                "rewards_times_fair": float(rewards[row]),
                "shares": int(record.shares[:, row].sum()),
                "shares_times_fair": ends(record.shares_times_fair(row)),
                "blocks": int(blocks[row]),
                "blocks_times_fair": ends(record.blocks_times_fair(row)),
            }
            for row, name in enumerate(record.names)
        },
        "convicted": [
            {
                "miner": one.miner,
                "offence": one.offence,
                "evidence": one.evidence,
                "height": one.height,
                "time_ms": one.at_ms,
                "began_ms": one.began_ms,
                "shares_times_fair": {name: ends(part) for name, part in _phases(record, one).items()},
            }
            for one in _first(record)
        ],
        "jain": jain(paid),
        "gini": gini(paid),
        "chi_square": {"blocks": number(record.p_blocks()), "shares": number(record.p_shares())},
    }
    return json.dumps(said) + "\n"
