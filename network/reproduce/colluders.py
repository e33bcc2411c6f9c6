"""The run that figures 5 and 6 look at: two of sixteen miners gain, first as figure 5 has it, then more and more.

W has forgotten its beginning (W_1 = S_1) after some minutes: figure 6 rests on what comes after those.
"""

from __future__ import annotations

import numpy as np

from network.reproduce.script import MINERS, Change, Script

CHEATS = (0, 1)
BYZANTINE = np.isin(np.arange(MINERS), CHEATS)

# Figure 5: 20 minutes, with 10 % more in the ninth and the tenth.
FIRST_GAIN = 10
FROM_S, TO_S = 480, 600
FIRST_PART_S = 1200

# Figure 6: a minute of each gain. Of 10 % it is the first of figure 5's two, and of none one when all had been
# honest for five minutes; the others follow, each after a minute without: most of the 80 s in which S forgets.
GAIN_S = 60
GAINS = (0, FIRST_GAIN, 20, 30, 40, 50, 60, 70, 80)
STARTS = (
    900,
    FROM_S,
    *(FIRST_PART_S + 2 * GAIN_S * number for number in range(len(GAINS) - 2)),
)


def _gains() -> tuple[Change, ...]:
    spans = [(FROM_S, TO_S, FIRST_GAIN)]
    spans += [(start, start + GAIN_S, gain) for start, gain in zip(STARTS[2:], GAINS[2:], strict=True)]
    return tuple(
        Change(t_s, miner, percent)
        for begin, end, gain in spans
        for t_s, percent in ((begin, 100 + gain), (end, 100))
        for miner in CHEATS
    )


SCRIPT = Script("colluders", STARTS[-1] + GAIN_S, _gains())
