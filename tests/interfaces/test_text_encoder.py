import pytest
import torch
from torch.testing import assert_close

from ganforge.errors import DataError
from ganforge.interfaces.spec import TextEncoding
from ganforge.interfaces.text_encoder import describe_encoding, same_encoding, unit_scale

ENCODING = TextEncoding("word_vectors", {"path": "a.txt"}, "ab" * 32)


def test_unit_scale_gives_every_vector_root_mean_square_1():
    vectors = unit_scale(torch.tensor([[3.0, -3.0], [0.0, 0.1]]), ["a", "b"], "why")
    assert_close(vectors, torch.tensor([[1.0, -1.0], [0.0, 2**0.5]]))


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf")])
def test_unit_scale_of_an_unusable_vector_names_its_text(bad):
    with pytest.raises(DataError, match="The text 'b' cannot be embedded: no word"):
        unit_scale(torch.tensor([[1.0], [bad]]), ["a", "b"], "no word")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (TextEncoding("word_vectors", {"path": "b.txt"}, "ab" * 32), True),
        (TextEncoding("word_vectors", {"path": "a.txt"}, "ab" * 32), True),
        (TextEncoding("word_vectors", {"path": "a.txt"}, "cd" * 32), False),
        (TextEncoding("hashed_words", {"path": "a.txt"}, "ab" * 32), False),
    ],
)
def test_same_encoding_compares_encoder_and_revision(other, same):
    assert same_encoding(ENCODING, other) is same


def test_describe_encoding_gives_name_options_and_revision():
    assert describe_encoding(ENCODING) == "word_vectors (path: a.txt; revision abababababab)"
