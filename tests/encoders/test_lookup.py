import pytest

from ganforge.config.choices import ComponentChoice
from ganforge.encoders.hashed_words import HashedWords, HashedWordsConfig
from ganforge.encoders.lookup import build_encoder, check_embeddings, encoder_of_model
from ganforge.encoders.word_vectors import WordVectors, WordVectorsConfig
from ganforge.errors import ConfigError
from ganforge.interfaces.spec import ImageSpec, TextEncoding

HASHED = HashedWords(HashedWordsConfig(size=16)).encoding


@pytest.fixture
def encoding(words):
    """What is stored of an encoder that reads a file of words."""
    return WordVectors(WordVectorsConfig(path=str(words))).encoding


def spec(size, encoding):
    return ImageSpec(8, 8, text_dim=size, text_encoding=encoding)


def test_build_encoder_loads_no_file():
    encoder = build_encoder(ComponentChoice(name="word_vectors", path="gone.txt"))
    assert encoder.config.path == "gone.txt"


def test_build_encoder_with_an_unknown_option_names_its_place():
    with pytest.raises(ConfigError, match=r"data\.text_encoder.*siz.*Did you mean 'size'"):
        build_encoder(ComponentChoice(name="hashed_words", siz=3))


def test_encoder_of_a_model_is_found_where_the_caller_says(tmp_path, words, encoding):
    elsewhere = words.rename(tmp_path / "elsewhere.txt")

    with pytest.raises(ConfigError, match=r"cannot be loaded here: .*--text-encoder path=PATH"):
        encoder_of_model(encoding)

    assert encoder_of_model(encoding, {"path": str(elsewhere)}).size == 3


def test_encoder_of_a_model_with_other_content_is_refused(words, encoding):
    words.write_text(words.read_text().replace("3", "4"))

    with pytest.raises(ConfigError, match="its vectors differ. Say where it is"):
        encoder_of_model(encoding)


def test_encoder_without_files_that_gives_other_vectors_is_refused():
    changed = TextEncoding("hashed_words", {"size": 16}, "0" * 64)

    with pytest.raises(ConfigError, match="its vectors differ. Install the version of the encoder"):
        encoder_of_model(changed)


def test_encoder_of_a_model_that_does_not_say_is_refused():
    with pytest.raises(ConfigError, match=r"does not say which encoder .* Give vectors: text="):
        encoder_of_model(None)


def test_encoder_of_a_model_that_was_stored_with_a_hyphen_is_found():
    stored = TextEncoding("hashed_words", {"size": 16}, HASHED.revision)

    assert encoder_of_model(stored).size == 16


def test_embeddings_of_the_same_encoder_or_of_none_that_is_known_are_accepted():
    hyphen = TextEncoding("hashed_words", {"size": 16}, HASHED.revision)

    check_embeddings(spec(16, HASHED), spec(16, HASHED), "here")
    check_embeddings(spec(16, hyphen), spec(16, HASHED), "here")
    check_embeddings(spec(16, None), spec(16, HASHED), "here")
    check_embeddings(spec(16, HASHED), spec(0, None), "here")
    check_embeddings(spec(0, None), spec(16, HASHED), "here")


def test_embeddings_of_another_encoder_are_refused_and_both_are_named(encoding):
    message = r"shards at here were embedded by hashed_words .* by word_vectors .*data embed"
    with pytest.raises(ConfigError, match=message):
        check_embeddings(spec(16, HASHED), spec(16, encoding), "here")


def test_embeddings_of_another_size_are_refused():
    message = "at here .*size 16, the model reads size 8. .*data embed"
    with pytest.raises(ConfigError, match=message):
        check_embeddings(spec(16, HASHED), spec(8, None), "here")
