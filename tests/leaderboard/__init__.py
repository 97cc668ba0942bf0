"""Claims about statistics and pages."""
