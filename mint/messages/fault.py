"""What a node says of another's misconduct, with the proof in it (mint/fault.py checks it)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mint.messages.judgement import MAX_VOTES
from mint.wire import Name, Nat, Wire

# Proven by what the accused has signed:
#   two_frames    two frames of one number
#   bad_frame     a frame that the charter, or an earlier frame, rules out
#   false_frame   a frame that says something else than a sample it rests on
#   false_note    a frame that takes note of a verdict that is none
#   two_votes     two votes of a detector on one frame
#   two_samples   two samples of a device at one place in its stream
#   two_totals    a batch of shares, and a later sample that counts fewer (mint/totals.py)
# A claim of one detector, which 2 f_detectors + 1 make a proof:
#   unheard       a sample that was heard, and that no frame rests on
#   unseen        a frame that rests on a sample which nobody can show
# The proof that such claims make, which holds them:
#   omission
FaultKind = Literal[
    "two_frames",
    "bad_frame",
    "false_frame",
    "false_note",
    "two_votes",
    "two_samples",
    "two_totals",
    "unheard",
    "unseen",
    "omission",
]


class Fault(Wire, frozen=True):
    """`accused` did wrong at frame `frame` (0: at none in particular).

    `about` is the device or the miner concerned, or empty. `proof` holds the envelopes that show it, in the order that
    mint/fault.py gives for the kind.
    """

    fog: Name
    kind: FaultKind
    accused: Name
    frame: Nat
    about: Annotated[str, Meta(max_length=32)]
    proof: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=MAX_VOTES)]
