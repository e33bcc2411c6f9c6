"""The fog's twins: verifies samples, keeps a twin of every miner, closes a frame a tick."""
