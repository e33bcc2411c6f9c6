"""The detectors: budget law, singular spectrum analysis, Proof-of-Behavior; votes, and verdicts from votes."""
