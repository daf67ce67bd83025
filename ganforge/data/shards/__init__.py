"""WebDataset shards: index, reading, writing, checks."""
