"""From a source of raw images to shards."""
