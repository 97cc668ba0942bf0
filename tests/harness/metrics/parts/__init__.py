"""Tests of harness.metrics.parts."""
