"""What the protocol ``classify`` reads: texts, texts with marked spans, and candidates; each with its own head."""
