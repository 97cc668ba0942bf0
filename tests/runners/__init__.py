"""Claims about fitting, scoring, workers and sweeps."""
