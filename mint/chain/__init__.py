"""The ledger that the miners mine: its rules, pure functions of the chain."""
