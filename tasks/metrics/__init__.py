"""Metric modules for the evaluate library, thin wrappers over harness.metric."""
