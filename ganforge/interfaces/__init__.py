"""What a plugin implements."""
