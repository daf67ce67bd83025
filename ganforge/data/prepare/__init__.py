"""Writes shards from a source of raw images, and captions as vectors."""
