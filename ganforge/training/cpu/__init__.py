"""Faster CPU replacements for torch operations, equal up to rounding."""
