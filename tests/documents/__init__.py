"""The commands that documents show, executed."""
