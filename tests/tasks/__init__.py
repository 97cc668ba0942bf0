"""Claims about every task, protocol and metric."""
