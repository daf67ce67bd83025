import pytest
import torch
from torch.testing import assert_close

from ganforge.encoders.hashed_words import HashedWords, HashedWordsConfig
from ganforge.errors import DataError


def test_hashed_words_do_not_depend_on_order_case_or_process():
    encoder = HashedWords(HashedWordsConfig(size=16))

    one, other, third = encoder.encode(["Red apple", "apple, RED", "green apple"])

    assert_close(one, other)
    assert not torch.equal(one, third)
    # Fixed for ever: models keep vectors of it.
    assert one.nonzero().flatten().tolist() == [9, 13]
    assert one.sign()[[9, 13]].tolist() == [-1.0, -1.0]


def test_hashed_words_have_unit_scale_and_the_configured_size():
    vectors = HashedWords(HashedWordsConfig(size=32)).encode(["a b c", "d"])

    assert vectors.shape == (2, 32)
    assert_close(vectors.square().mean(dim=1), torch.ones(2))


def test_hashed_words_of_no_words_are_refused():
    with pytest.raises(DataError, match="The text '!!' cannot be embedded: it has no words"):
        HashedWords(HashedWordsConfig()).encode(["fine", "!!"])


def test_hashed_words_revision_depends_on_the_size_alone():
    revisions = {HashedWords(HashedWordsConfig(size=size)).revision for size in (8, 8, 16)}
    assert len(revisions) == 2
