"""Fairness, measured where it counts: in rewards and blocks (`mint fairness`, docs/fair-mining.md)."""
