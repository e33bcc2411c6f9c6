"""The language all components share; imports nothing else of ours (docs/architecture.md)."""
