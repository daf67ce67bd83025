"""The pipeline file: typed sections, loading, merging, and error messages with file and line."""
