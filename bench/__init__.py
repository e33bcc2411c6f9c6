"""Benchmarks: figures that a README or a decision rests on, each printed by a small program."""
