"""The pipeline file: its models, how it is loaded, and what is said of its errors."""
