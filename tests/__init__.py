"""Claims about the five packages, in folders that mirror them."""
