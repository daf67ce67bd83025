"""Captions as they are stored: one per line."""


def caption_lines(text: str) -> list[str]:
    """The captions of a sample: the lines that are not blank."""
    return [line.strip() for line in text.splitlines() if line.strip()]
