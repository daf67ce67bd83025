"""The training step and the loop, and their parts."""
