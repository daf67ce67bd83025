"""Using a trained generator: images, interpolations, translations."""
