"""Claims about every method."""
