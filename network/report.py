"""What a demo run saw: one object, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

from network.demo_ledger import Paid

# Where the enforcer is gone, a cheat's shares that count, in fair ones: above that it would pay.
MOST_AFTER = 1.1


@dataclass(slots=True)
class Report:
    """Times are Unix seconds, None where it did not happen.

    `attacked`: the miners that cheated. `first_seen_at`: the first alarm or accusation on one of them.
    `verdict_at`, `restored_at`: when every one of them had a valid verdict, and when every one's real quota (read
    from the kernel, not from anyone's word) was at entitlement or below again. `periods_to_restore`: sampling
    periods from the attack to that. `innocents_accused`: other miners that any vote accused. `agent_*` and
    `fog_*`: CPU in percent of one core while everyone was honest and after, and memory; the fog is the twin
    manager, the detectors and the enforcer together. `paid`: what the miners' ledger paid, where they mine one.
    """

    runtime: str
    miners: int
    attack: str
    period_s: float
    disarmed: bool = False
    start_to_first_frame_s: float | None = None
    attacked: list[str] = field(default_factory=list)
    attack_at: float | None = None
    first_seen_at: float | None = None
    verdict_at: float | None = None
    restored_at: float | None = None
    periods_to_restore: float | None = None
    innocents_accused: list[str] = field(default_factory=list)
    verdicts: list[dict[str, object]] = field(default_factory=list)
    repaid_at: float | None = None
    frames: int = 0
    agent_cpu_percent: float | None = None
    agent_rss_mib: float | None = None
    fog_cpu_percent: float | None = None
    fog_rss_mib: float | None = None
    paid: Paid | None = None

    def well(self) -> bool:
        """Whether every cheat was put back, or where nobody was left to do that barred; and nobody else accused."""
        if self.innocents_accused:
            return False
        if not self.attacked or self.restored_at is not None:
            return True
        after = None if self.paid is None else self.paid.after
        return self.disarmed and after is not None and after <= MOST_AFTER

    def json(self) -> str:
        """The report for programs."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def show(self, out: Console) -> None:
        """The report for people."""
        table = Table(
            title=f"MinT demo: {self.attack}", show_header=False, title_justify="left", min_width=72
        )
        table.add_column(style="bold")
        table.add_column()
        for what, value in self._rows():
            table.add_row(what, value)
        out.print(table)

    def _rows(self) -> list[tuple[str, str]]:
        rows = [
            ("miners", f"{self.miners} ({self.runtime}), {self.frames} frames of {self.period_s:g} s"),
            ("start to first frame", _seconds(self.start_to_first_frame_s)),
        ]
        if self.attacked:
            rows += [
                ("attacked by", ", ".join(self.attacked)),
                ("first seen", self._after(self.first_seen_at)),
                ("verdict", self._after(self.verdict_at)),
                ("quota back", self._after(self.restored_at)),
                ("taken back, quota at entitlement again", self._after(self.repaid_at)),
            ]
        rows += [
            *self._ledger(),
            ("innocents accused", ", ".join(self.innocents_accused) or "none"),
            ("agent", _cost(self.agent_cpu_percent, self.agent_rss_mib)),
            ("twin manager, detectors, enforcer", _cost(self.fog_cpu_percent, self.fog_rss_mib)),
        ]
        return rows

    def _ledger(self) -> list[tuple[str, str]]:
        if self.paid is None:
            return []
        one = self.paid
        rows = [("ledger", f"{one.blocks} blocks; Jain's index of rewards {one.jain:.3f}")]
        if self.attacked:
            course = ", ".join(
                f"{part:.2f} {when}"
                for when, part in (("before", one.before), ("during", one.during), ("after", one.after))
                if part is not None
            )
            rows.append(("shares paid to each cheat, times fair", course))
        return rows

    def _after(self, moment: float | None) -> str:
        if moment is None or self.attack_at is None:
            return "not seen"
        seconds = moment - self.attack_at
        return f"{seconds:.2f} s after it began ({seconds / self.period_s:.1f} sampling periods)"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def _cost(cpu: float | None, rss: float | None) -> str:
    if cpu is None or rss is None:
        return "not measured"
    return f"{cpu:.1f} % of one core, {rss:.0f} MiB"
