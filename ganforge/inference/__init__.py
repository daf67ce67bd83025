"""Inference with a published generator: images, interpolations, translations."""
