import builtins
import shutil

import pytest
import torch
from torch.testing import assert_close

from ganforge.encoders.transformer import Transformer, TransformerConfig
from ganforge.errors import ConfigError


def rms(vectors):
    return vectors.square().mean(dim=1).sqrt()


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
    return Transformer(TransformerConfig(model=str(folder), **options))


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
