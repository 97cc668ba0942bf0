"""Heads that transformers does not have."""
