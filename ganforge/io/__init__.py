"""Files and folders: atomic writes, hashes, caches."""
