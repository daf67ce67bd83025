"""The built-in text encoders."""

import builtins
import shutil

import pytest
import torch
from torch.testing import assert_close

from ganforge.config.models import ComponentConfig
from ganforge.data.prepare.embed_captions import build_encoder, encoder_of
from ganforge.encoders import HashedWords, HashedWordsConfig, WordVectors, WordVectorsConfig
from ganforge.encoders.words import words_of
from ganforge.errors import ConfigError, DataError
from ganforge.interfaces.spec import TextEncoding
from ganforge.interfaces.text_encoder import check_same_encoding

WORDS = "red 1 0 0\napple 0 1 0\npear 0 0 3\n"


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(WORDS)
    return path


def word_vectors(path, **options):
    return WordVectors(WordVectorsConfig(path=str(path), **options))


def rms(vectors):
    return vectors.square().mean(dim=1).sqrt()


def test_words_of_splits_at_signs_and_digits_in_lower_case():
    assert words_of("Clock-Face: NINE_o'clock, 10:30 Ünit") == [
        *("clock", "face", "nine", "o", "clock", "10", "30", "ünit")
    ]


def test_hashed_words_do_not_depend_on_order_case_or_process():
    encoder = HashedWords(HashedWordsConfig(size=16))

    one, other, third = encoder.encode(["Red apple", "apple, RED", "green apple"])

    assert_close(one, other)
    assert not torch.equal(one, third)
    # Fixed for ever: models keep vectors of it.
    assert one.nonzero().flatten().tolist() == [9, 13]
    assert one.sign()[[9, 13]].tolist() == [-1.0, -1.0]


def test_hashed_words_has_unit_scale_and_the_size_asked_for():
    vectors = HashedWords(HashedWordsConfig(size=32)).encode(["a b c", "d"])

    assert vectors.shape == (2, 32)
    assert_close(rms(vectors), torch.ones(2))


def test_hashed_words_of_no_words_are_refused():
    with pytest.raises(DataError, match="The text '!!' cannot be embedded: it has no words"):
        HashedWords(HashedWordsConfig()).encode(["fine", "!!"])


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


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    """A folder with a tiny BERT of random weights and its vocabulary."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "apple", "pear"]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=16, initializer_range=1.0,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def transformer(folder, **options):
    return build_encoder(ComponentConfig(name="transformers", model=str(folder), **options))


@pytest.mark.parametrize("pooling", ["mean", "first", "pooled"])
def test_transformer_vector_does_not_depend_on_padding(language_model, pooling):
    encoder = transformer(language_model, pooling=pooling)

    together = encoder.encode(["a red apple", "pear"])

    assert encoder.size == 8
    assert together.shape == (2, 8)
    assert_close(together[1:], encoder.encode(["pear"]))
    assert_close(rms(together), torch.ones(2))
    assert not torch.allclose(together[0], together[1], atol=1e-2)


def with_model(network, language_model, folder):
    """A folder with another network and the tiny BERT's tokenizer."""
    shutil.copytree(language_model, folder)
    (folder / "model.safetensors").unlink()
    network.save_pretrained(folder)
    return folder


def test_transformer_of_an_encoder_decoder_reads_with_the_encoder(language_model, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(
        vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2,
        decoder_start_token_id=0,
    )  # fmt: skip
    folder = with_model(transformers.T5Model(config), language_model, tmp_path / "t5")

    assert transformer(folder).encode(["red apple"]).shape == (1, 8)
    with pytest.raises(ConfigError, match="no pooled output. Set data.text_encoder.pooling to"):
        transformer(folder, pooling="pooled").encode(["red apple"])


def test_transformer_of_images_and_texts_reads_with_the_text_tower(language_model, tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**sizes, **heads, "vocab_size": 9, "eos_token_id": 3},
        vision_config={**sizes, **heads, "image_size": 8, "patch_size": 4},
        projection_dim=4,
    )
    folder = with_model(transformers.CLIPModel(config), language_model, tmp_path / "clip")

    assert transformer(folder, pooling="pooled").encode(["red apple"]).shape == (1, 8)


def test_transformer_poolings_differ_and_so_do_their_revisions(language_model):
    mean, first = transformer(language_model), transformer(language_model, pooling="first")

    assert not torch.allclose(mean.encode(["red apple"]), first.encode(["red apple"]), atol=1e-2)
    assert mean.revision != first.revision
    assert mean.revision == transformer(language_model).revision


def test_transformer_cuts_long_captions(language_model):
    encoder = transformer(language_model, max_tokens=4)

    # [CLS], two words, [SEP]
    assert_close(encoder.encode(["red apple pear"]), encoder.encode(["red apple a"]))


def test_transformer_of_no_texts_gives_no_rows(language_model):
    assert transformer(language_model).encode([]).shape == (0, 8)


def test_transformer_that_cannot_be_found_is_refused_with_the_way_offline(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="nothing cannot be loaded: .*save_pretrained"):
        _ = transformer(tmp_path / "nothing").size


def test_transformer_without_the_package_names_the_extra(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "transformers":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r"not installed: pip install 'ganforge\[text\]'"):
        _ = transformer("org/model").size


def encoding_of(path):
    return word_vectors(path).encoding


def test_encoder_of_a_model_is_found_where_the_caller_says(tmp_path, words):
    encoding = encoding_of(words)
    elsewhere = words.rename(tmp_path / "elsewhere.txt")

    with pytest.raises(ConfigError, match=r"cannot be loaded here: .*--text-encoder path=PATH"):
        encoder_of(encoding)

    assert encoder_of(encoding, {"path": str(elsewhere)}).size == 3


def test_encoder_of_a_model_with_other_content_is_refused(words):
    encoding = encoding_of(words)
    words.write_text(WORDS.replace("3", "4"))

    with pytest.raises(ConfigError, match="its vectors differ. Say where it is"):
        encoder_of(encoding)


def test_encoder_of_a_model_that_does_not_say_is_refused():
    with pytest.raises(ConfigError, match=r"does not say which encoder .* Give vectors: text="):
        encoder_of(None)


def test_other_encoding_is_refused_and_both_are_named(words):
    made = encoding_of(words)
    other = TextEncoding("hashed-words", {"size": 3}, "f" * 64)

    check_same_encoding(made, made, "here")
    check_same_encoding(None, made, "here")
    with pytest.raises(ConfigError, match=r"here: .*word-vectors .* by hashed-words .*data embed"):
        check_same_encoding(made, other, "here")
