"""The proof-of-work miner, a microservice that solves the paper's equation 1, and the ways to run it."""
