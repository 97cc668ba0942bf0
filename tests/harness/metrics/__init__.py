"""Tests of the metrics, one file per family."""
