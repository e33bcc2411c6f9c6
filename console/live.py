"""The picture on a terminal: header, a line a miner, the newest events, footer.

Everything that colour says is said in words or signs as well. Lines are cut to the terminal's width, never
wrapped, and columns go one by one where there is little of it; where there are more miners than lines, those
that stand out come first. Rows are made of segments with their width known, not of rich's
Table, which measures every cell: this is drawn up to four times a second on machines with other things to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import wrap

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style

from console import views
from console.events import Event, EventKind, clock, cpus
from console.picture import HISTORY, Picture
from console.views import MinerView, NetworkView, Word
from mint.errors import Reason

# Events for which miners give way on a low terminal; on a high one events get what miners leave.
MIN_EVENTS = 2
# Names may have 32 characters; beyond this many the columns to the right are worth more.
MAX_NAME = 16
MIN_SPARK = 8
# The longest state of an ordinary penalty: CONVICTED offence 1, pays back.
STATE = 30
# Sparkline: eighths of a cell, 25 % of entitlement each, so that fair use is half a cell and twice that fills it.
BLOCKS, ASCII_BLOCKS = " ▁▂▃▄▅▆▇█", " ..:-=+*#"
STEP_PERCENT = 25.0
# One step above fair: honest use reaches it now and then, a cheat's stays.
OVER_PERCENT = 4.5 * STEP_PERCENT

PLAIN = Style()
DIM, BOLD = Style(dim=True), Style(bold=True)
GREEN, CYAN = Style(color="green"), Style(color="cyan")
YELLOW, RED = Style(color="yellow"), Style(color="red")
ALERT = Style(color="red", bold=True)
SPARK, SPARK_OVER = Style(color="cyan", dim=True), Style(color="red")
BANNER = Style(color="white", bgcolor="red", bold=True)

_WORDS: dict[Word, tuple[int, str, Style]] = {  # how grave, sign before the name, style
    "CONVICTED": (3, ">", ALERT),
    "accused": (2, "!", Style(color="yellow", bold=True)),
    "above": (1, "!", YELLOW),
    "drift": (1, "!", YELLOW),
    "dark": (1, "?", Style(color="magenta")),
    "stopped": (1, "?", Style(color="magenta")),
    "unknown": (0, " ", DIM),
    "restored": (0, " ", Style(color="green", bold=True)),
    "idle": (0, " ", DIM),
    "fair": (0, " ", GREEN),
}
_KINDS: dict[EventKind, Style] = {
    "alarm": YELLOW,
    "accusation": YELLOW,
    "verdict": ALERT,
    "receipt": GREEN,
    "fault": ALERT,
    "agent": Style(color="magenta"),
    "network": ALERT,
    "log": DIM,
}

Part = tuple[str, Style]
Line = list[Part]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: its heading, its width, whether numbers stand to the right in it, and what it says of a miner."""

    head: str
    width: int
    right: bool
    cell: Callable[[MinerView, NetworkView], Part | Line]


@dataclass(frozen=True, slots=True)
class View:
    """A rich renderable of a picture at `now_ms`.

    `rejected`: messages not accepted, by reason. `link`: what is wrong with the connection, else empty.
    """

    picture: Picture
    now_ms: int
    rejected: Mapping[Reason, int]
    link: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.size.height
        blocks = ASCII_BLOCKS if options.ascii_only else BLOCKS
        network, miners = views.network(self.picture, self.now_ms), views.miners(self.picture)
        head = self._header(network, width)
        room = height - len(head) - 3  # heading of the table, of the log, footer
        rows = _rows(miners, max(room - MIN_EVENTS, 1))
        columns = _columns(width, rows, blocks)
        lines = [*head, [(_fit("  " + _headings(columns), width), DIM)]]
        lines += [_row(miner, network, columns) for miner in rows]
        left_out = len(miners) - len(rows)
        more = f" ({left_out} more miners do not fit)" if left_out else ""
        rule = "-" if options.ascii_only else "─"
        lines.append([(f"{rule * 2} events{more} ".ljust(width, rule), DIM)])
        lines += self._log(height - len(lines) - 1)
        lines.append([(_footer(network, width), DIM)])
        for number, line in enumerate(lines[:height]):
            if number:
                yield Segment.line()
            yield from _cut(line, width)

    def _header(self, network: NetworkView, width: int) -> list[Line]:
        charter = self.picture.charter
        runtime = ", ".join(network.runtimes) or "not known"
        scope = f"{charter.fog}, network {charter.network.hex()[:12]}, mode {charter.mode}, runtime {runtime}"
        size = f"{len(charter.miners)} miners, {charter.period_ms / 1000:g} s frames"
        first: Line = [(" MinT  ", BOLD), (f"{scope}, {size}", PLAIN)]
        if self.link or network.trouble:
            lines = wrap(self.link or network.trouble, width - 2)
            return [first, *([(f" {line} ".ljust(width), BANNER)] for line in lines)]
        if not network.frame:
            return [first, [(f" waiting for the first frame, {network.age_s:.0f} s", YELLOW)]]
        quorum = charter.quorum
        agents = f"agents {network.agents_alive} of {network.agents}"
        detectors = f"detectors {network.voting} of {network.detectors} vote"
        refused = sum(self.rejected.values())
        second: Line = [
            (f" frame {network.frame}", BOLD),
            (f", {network.age_s:.0f} s old   ", PLAIN),
            (agents, PLAIN if network.agents_alive == network.agents else YELLOW),
            ("   ", PLAIN),
            (
                detectors,
                PLAIN if network.voting == network.detectors else RED if network.voting < quorum else YELLOW,
            ),
            (f" ({quorum} make a verdict)   ", PLAIN),
        ]
        if refused:
            reason = max(self.rejected, key=lambda reason: self.rejected[reason])
            second.append((f"{refused} messages rejected (most: {reason})", YELLOW))
        return [first, second]

    def _log(self, room: int) -> list[Line]:
        """The newest events that fit, newest last; empty lines where there are fewer."""
        if room <= 0:
            return []
        found = [_event(event) for event in list(self.picture.events)[-room:]]
        return found + [[("", PLAIN)] for _ in range(room - len(found))]


@contextmanager
def screen(console: Console) -> Iterator[Callable[[View], None]]:
    """The whole terminal for a while; call what this gives with each new view. What was there before comes back."""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield lambda view: live.update(view, refresh=True)


def _rows(miners: list[MinerView], room: int) -> list[MinerView]:
    """As many miners as there is room for, those that stand out first; all by name when all fit."""
    if len(miners) <= room:
        return miners
    return sorted(miners, key=lambda miner: (-_WORDS[miner.word][0], miner.name))[:room]


def _columns(width: int, rows: list[MinerView], blocks: str) -> list[_Column]:
    """The columns that fit; name, use and state always do, and the sparkline takes what is left, a minute at most."""
    longest = max((len(miner.name) for miner in rows), default=0)
    name = min(max(longest, len("miner")), MAX_NAME)
    columns = [
        _Column("miner", name, False, lambda m, _: (m.name, BOLD if _WORDS[m.word][0] > 1 else PLAIN)),
        _Column("use %", 5, True, _use_cell),
        _Column("quota/own", 11, True, _quota_cell),
        _Column("over ms", 7, True, _excess_cell),
        _Column("W", 5, True, _w_cell),
        _Column("PoB %", 7, True, _apart_cell),
        _Column("state", STATE, False, _state_cell),
    ]
    for optional in ("PoB %", "W", "over ms", "quota/own"):
        if _width(columns) + 1 + MIN_SPARK <= width:
            break
        columns = [column for column in columns if column.head != optional]
    spark = min(width - _width(columns) - 1, HISTORY)
    if spark >= MIN_SPARK:
        head = f"last {spark} frames"
        head = head if len(head) <= spark else "use"
        columns.insert(1, _Column(head, spark, False, lambda m, _: _spark(m, spark, blocks)))
    return columns


def _width(columns: list[_Column]) -> int:
    """Of a row: the sign and a space, the columns, a space between two."""
    return 2 + sum(column.width for column in columns) + len(columns) - 1


def _headings(columns: list[_Column]) -> str:
    return " ".join(
        column.head.rjust(column.width) if column.right else column.head.ljust(column.width)
        for column in columns
    )


def _row(miner: MinerView, network: NetworkView, columns: list[_Column]) -> Line:
    _, sign, style = _WORDS[miner.word]
    line: Line = [(f"{sign} ", style)]
    for column in columns:
        cell = column.cell(miner, network)
        if isinstance(cell, list):
            line += cell
        else:
            text, style = cell
            line.append((_fit(text.rjust(column.width) if column.right else text, column.width), style))
        line.append((" ", PLAIN))
    return line


def _use_cell(miner: MinerView, _: NetworkView) -> Part:
    if miner.use is None:
        return "-", DIM
    return _number(miner.use), RED if miner.use > OVER_PERCENT and _WORDS[miner.word][0] else PLAIN


def _quota_cell(miner: MinerView, _: NetworkView) -> Part:
    own = cpus(miner.entitled_ppm)
    if miner.quota_ppm is None:
        return f"-/{own}", DIM
    text = f"{'none' if miner.quota_ppm < 0 else cpus(miner.quota_ppm)}/{own}"
    if miner.quota_ppm == miner.entitled_ppm:
        return text, DIM
    return text, RED if miner.quota_ppm > miner.entitled_ppm else CYAN


def _excess_cell(miner: MinerView, _: NetworkView) -> Part:
    if math.isnan(miner.excess_ms):
        return "-", DIM
    return _number(miner.excess_ms), YELLOW if _WORDS[miner.word][0] else PLAIN


def _w_cell(miner: MinerView, network: NetworkView) -> Part:
    if math.isnan(miner.W):
        return "-", DIM
    return _number(miner.W), YELLOW if network.h < miner.W else PLAIN


def _apart_cell(miner: MinerView, _: NetworkView) -> Part:
    if math.isnan(miner.apart):
        return ("B*", GREEN) if miner.best else ("-", DIM)
    return (f"B* {_number(miner.apart)}", GREEN) if miner.best else (_number(miner.apart), PLAIN)


def _state_cell(miner: MinerView, _: NetworkView) -> Part:
    return (f"{miner.word} {miner.detail}" if miner.detail else miner.word), _WORDS[miner.word][2]


def _spark(miner: MinerView, width: int, blocks: str) -> Line:
    """The newest `width` values, the newest to the right; a gap where one is not known; red where it is too much."""
    newest, top = miner.history[-width:], len(blocks) - 1
    line: Line = [(" " * (width - len(newest)), PLAIN)]
    for use in newest:
        # One step at least, so that no use and no news do not look alike.
        char = " " if use is None else blocks[max(1, min(top, round(use / STEP_PERCENT)))]
        style = SPARK if use is None or use < OVER_PERCENT else SPARK_OVER
        if line[-1][1] is style:
            line[-1] = (line[-1][0] + char, style)
        else:
            line.append((char, style))
    return line


def _number(value: float) -> str:
    """At most five characters."""
    if value == math.inf:
        return "inf"
    if value >= 99_999.5:
        return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    return f"{value:.1f}" if value < 999.95 else f"{value:.0f}"


def _event(event: Event) -> Line:
    return [
        (f" {clock(event.time_ms)} ", DIM),
        (f"{event.kind:<11}", _KINDS[event.kind]),
        (event.text, PLAIN),
    ]


def _footer(network: NetworkView, width: int) -> str:
    """What to do, and as much of a legend as fits."""
    text = " Ctrl-C ends   > convicted  ! suspect  ? silent  B* benchmark"
    threshold = "" if math.isnan(network.h) else f"  W alarms above {network.h:.3g}"
    for more in (threshold, "  half a cell: fair use", "  PoB: distance from the nearest peers"):
        if len(text) + len(more) <= width:
            text += more
    return text


def _fit(text: str, width: int) -> str:
    """`text` in exactly `width` cells."""
    if cell_len(text) <= width:
        return text.ljust(width) if text.isascii() else set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "~"


def _cut(line: Line, width: int) -> Iterator[Segment]:
    """The segments of `line`, at most `width` cells of them; a cut is marked."""
    for text, style in line:
        if width <= 0:
            return
        cells = cell_len(text)
        yield Segment(text if cells <= width else _fit(text, width), style)
        width -= cells
