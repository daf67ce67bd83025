"""Predicts what a run needs: memory, time, data and money."""
