"""A device's node of the miners' ledger: which blocks there are, what its miners work on, and what they found."""
