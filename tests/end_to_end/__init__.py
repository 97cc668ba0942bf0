"""Claims about the whole way from a suite to its page."""
