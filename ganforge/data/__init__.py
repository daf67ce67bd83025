"""Data: sources are written as shards, which training and metrics read.

`prepare` writes, `loader.SlotLoader` reads for training, `loader.RealImages` for metrics;
`shards.verify` and `inspect` look for damage; `order` defines the order of samples.
"""
