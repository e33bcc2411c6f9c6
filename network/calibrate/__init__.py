"""`mint calibrate`: the threshold of W for a false-alarm rate that the operator names, from clean telemetry."""
