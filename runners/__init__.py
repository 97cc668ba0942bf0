"""Where names become objects and runs happen: fitting, scoring, workers and sweeps."""
