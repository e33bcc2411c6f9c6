"""Whether a topic fits a filter, by the client library's own rule; the same few are asked for again and again."""

from __future__ import annotations

from functools import lru_cache

from paho.mqtt.client import topic_matches_sub

# More than a network of tests has; liars invent topics without end.
matches = lru_cache(1 << 16)(topic_matches_sub)
