"""Data: raw sources are prepared into shards; shards are indexed, verified, inspected and read.

`prepare.prepare` writes, `loader.SlotLoader` reads for training, `loader.RealImages` for metrics,
`shards.verify` and `prepare.inspect` look for damage; `order` fixes what comes when.
"""
