import pytest
import torch
from torch.testing import assert_close

from ganforge.encoders.word_vectors import WordVectors, WordVectorsConfig
from ganforge.errors import DataError

WORDS = "red 1 0 0\napple 0 1 0\npear 0 0 3\n"


def word_vectors(path, **options):
    return WordVectors(WordVectorsConfig(path=str(path), **options))


def rms(vectors):
    return vectors.square().mean(dim=1).sqrt()


def test_word_vectors_are_the_mean_without_what_all_words_share(words):
    found = word_vectors(words).encode(["Red apple"])[0]

    expected = torch.tensor([0.5, 0.5, 0.0]) - torch.tensor([1 / 3, 1 / 3, 1.0])
    assert_close(found, expected / expected.square().mean().sqrt())


def test_word_vectors_leave_unknown_words_out(words):
    encoder = word_vectors(words)

    assert_close(encoder.encode(["red zyzzyva"]), encoder.encode(["red"]))


def test_word_vectors_of_unknown_words_alone_are_refused_with_the_file(words):
    with pytest.raises(DataError, match="'zyzzyva' cannot be embedded: none of its words is in"):
        word_vectors(words).encode(["red", "zyzzyva"])


def test_word_vectors_hash_gives_each_unknown_word_its_own_vector(words):
    encoder = word_vectors(words, unknown_words="hash")

    one, two, again = encoder.encode(["zyzzyva", "zyzzyvas", "Zyzzyva"])

    assert_close(one, again)
    assert (one - two).abs().max() > 0.1
    assert_close(rms(encoder.encode(["zyzzyva red"])), torch.ones(1))


def test_word_vectors_header_of_word2vec_is_no_word(tmp_path, words):
    path = tmp_path / "headed.txt"
    path.write_text(f"3 3\n{WORDS}")

    encoder = word_vectors(path)

    assert encoder.size == 3
    assert_close(encoder.encode(["pear"]), word_vectors(words).encode(["pear"]))


def test_word_vectors_revision_follows_content_and_options_not_the_path(tmp_path, words):
    moved = tmp_path / "moved.txt"
    moved.write_text(WORDS)
    changed = tmp_path / "changed.txt"
    changed.write_text(WORDS.replace("3", "4"))

    revision = word_vectors(words).revision

    assert word_vectors(moved).revision == revision
    assert word_vectors(changed).revision != revision
    assert word_vectors(words, unknown_words="hash").revision != revision


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "The word vectors .*words.txt cannot be read .*get_words.sh"),
        ("", "cannot be read"),
        ("red\napple\n", "holds no word vectors: a line is a word and its numbers"),
        ("red 1 0 0\napple 1 x 0\n", "the line of 'apple' is damaged"),
        ("red 1 0 0\napple 1 0\n", "'apple' has 2 numbers, the first has 3"),
    ],
)
def test_word_vectors_of_a_bad_file_are_refused(tmp_path, content, message):
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_text(content)

    with pytest.raises(DataError, match=message):
        word_vectors(path).encode(["apple"])
