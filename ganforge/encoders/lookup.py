"""Finds the text encoder that a pipeline file names, or that made the embeddings of a model."""

from collections.abc import Mapping
from typing import Any

from ganforge.config.choices import ComponentChoice
from ganforge.errors import ConfigError, DataError
from ganforge.interfaces.spec import ImageSpec, TextEncoding
from ganforge.interfaces.text_encoder import TextEncoder, describe_encoding, same_encoding
from ganforge.registry.plugins import get_registry


def build_encoder(config: ComponentChoice, where: str = "data.text_encoder") -> TextEncoder[Any]:
    """The text encoder that a pipeline file names; its files are loaded when first used.

    Raises:
        PluginNotFound, ConfigError: it is unknown, or its options do not fit.
    """
    return get_registry().build(TextEncoder, config.name, config.options, where)


def encoder_of_model(
    encoding: TextEncoding | None, changes: Mapping[str, Any] | None = None
) -> TextEncoder[Any]:
    """The encoder that made a model's text conditions, loaded and checked.

    Args:
        encoding: stored with the model.
        changes: options that differ on this machine, such as where files lie.

    Raises:
        ConfigError: no encoder is stored, it cannot be loaded, or it gives other vectors.
    """
    if encoding is None:
        raise ConfigError(
            "This model does not say which encoder made its caption embeddings, so it cannot read "
            "text. Give vectors: text=[N, D] floats in Python."
        )
    name = encoding.name.replace("-", "_")  # the spelling before snake_case
    stored = build_encoder(ComponentChoice(name=name, **encoding.options))
    described = describe_encoding(encoding)
    try:
        options = {**encoding.options, **(changes or {})}
        encoder = build_encoder(ComponentChoice(name=name, **options), "text_encoder")
        revision = encoder.revision
    except DataError as err:
        raise ConfigError(
            f"This model reads text by {described}, which cannot be loaded here: {err} "
            f"{_how_to_move(stored)}"
        ) from err
    if revision != encoding.revision:
        raise ConfigError(
            f"This model reads text by {described}; the one found here has revision "
            f"{revision[:12]}, so its vectors differ. {_how_to_move(stored)}"
        )
    return encoder


def _how_to_move(encoder: TextEncoder[Any]) -> str:
    if not encoder.local_options:
        return "Install the version of the encoder's package that the model was trained with."
    option = encoder.local_options[0]
    return (
        f"Say where it is: --text-encoder {option}=PATH, or text_encoder={{'{option}': PATH}} in "
        f"Python."
    )


def check_embeddings(shards: ImageSpec, model: ImageSpec, location: str) -> None:
    """Refuse shards whose caption embeddings differ from those a model was trained on.

    Args:
        shards: spec of the shards.
        model: spec of the model's images; one without captions accepts any shards.
        location: of the shards, for the message.

    Raises:
        ConfigError: they were made by another encoder, or have another size.
    """
    if not model.text_dim or not shards.text_dim:
        return
    made, read = shards.text_encoding, model.text_encoding
    if made is not None and read is not None and not same_encoding(made, read):
        raise ConfigError(
            f"The captions of the shards at {location} were embedded by {describe_encoding(made)}, "
            f"the model was trained on embeddings by {describe_encoding(read)}. Vectors of "
            f"different encoders mean different things: embed again with `ganforge data embed` and "
            f"that encoder."
        )
    if shards.text_dim != model.text_dim:
        raise ConfigError(
            f"The shards at {location} have caption embeddings of size {shards.text_dim}, the "
            f"model reads size {model.text_dim}. Embed them with the model's encoder: `ganforge "
            f"data embed`."
        )
