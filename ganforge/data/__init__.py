"""Data: raw sources are prepared into shards; shards are indexed, verified, inspected and read.

`prepare.prepare` writes, `loader.SlotLoader` reads for training, `loader.RealImages` for metrics,
`verify.verify_shards` and `inspect.inspect` look for damage; `order` fixes what comes when.
"""
