"""The regression gate: what must stay equal, and what must still learn; compared with committed values."""
