"""The step and the loop, and what they are made of."""
