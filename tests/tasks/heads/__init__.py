"""Tests of tasks/heads."""
