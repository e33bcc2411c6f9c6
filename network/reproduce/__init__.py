"""The paper's experiments (section 5.2) and figures 3 to 6, from simulated telemetry or from real containers."""
