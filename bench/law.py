"""The budget law and the first penalty as a charter has them that says nothing else, or only what a command sets."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence

from mint.budget import BudgetRule
from mint.charter.model import Detection, budget_rule
from mint.charter.toml import setting
from mint.errors import InputError

# The default ladder's first rung (mint/charter/toml.py): half of entitlement.
FIRST_RUNG_PPM = 500_000
# A tick of simulated time.
PERIOD_NS = 1_000_000_000
DEFAULT = setting({}, "default").detection


def rule_for(entitled_ppm: int, detection: Detection = DEFAULT) -> BudgetRule:
    """The rule for a miner that the kernel holds to this entitlement, sampled once a second."""
    return budget_rule(detection, entitled_ppm, "kernel", PERIOD_NS)


def add_settings(parser: ArgumentParser) -> None:
    """The option `--set KEY=VALUE`, as `mint replay` has it."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="a key of the charter's [detection] (docs/charter.md), such as burst_ms=200",
    )


def said(parser: ArgumentParser, settings: Sequence[str]) -> Detection:
    """What was set; a key or value that is wrong ends the program as argparse does."""
    try:
        return setting(dict(item.partition("=")[::2] for item in settings), "--set").detection
    except InputError as error:
        parser.error(str(error))
