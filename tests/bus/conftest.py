"""The fog of tests/broker."""

from __future__ import annotations

from tests.broker.conftest import fog

__all__ = ["fog"]
