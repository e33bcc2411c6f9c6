"""When telemetry itself changes its nature: frozen, looped, copied, shifted in time, fabricated."""
