"""A file of word vectors, and the encoder that reads it."""

import pytest

WORDS = "red 1 0 0\napple 0 1 0\npear 0 0 3\n"


@pytest.fixture
def words(tmp_path):
    """Three words with vectors of three numbers."""
    path = tmp_path / "words.txt"
    path.write_text(WORDS)
    return path
