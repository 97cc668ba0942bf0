"""Measurements by hand: scripts that print tables, which no test waits for."""
