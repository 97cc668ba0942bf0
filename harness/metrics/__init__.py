"""Metrics by family, one file each; ``harness.metric.find`` looks here for dotted names."""
