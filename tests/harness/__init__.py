"""Claims about specs, records, data, backbones and randomness."""
