"""People cut out of clips once, kept as memory-mapped arrays, and read in batches by every recipe."""
