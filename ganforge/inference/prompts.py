"""Text that a caller asks a model to draw, embedded as its training captions were."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from ganforge.encoders.lookup import encoder_of_model
from ganforge.errors import ConfigError
from ganforge.interfaces.spec import ImageSpec

ENCODER_OPTION = "text_encoder"


def resolve_prompts(
    options: Mapping[str, Any], spec: ImageSpec, takes_text: bool, count: int
) -> dict[str, Any]:
    """Options of a request in which text has become vectors.

    Args:
        options: `text` may be one text for all images or one per image; vectors stay as they are.
            `text_encoder`, which is taken out, holds options of the encoder that differ here.
        spec: the model's images; says which encoder made its conditions.
        takes_text: whether the model draws captions.
        count: number of images.

    Raises:
        ConfigError: the numbers disagree, or the encoder cannot be loaded.
    """
    found = dict(options)
    changes = found.pop(ENCODER_OPTION, None)
    text = found.get("text")
    if text is None or not takes_text:
        return found
    prompts = [text] if isinstance(text, str) else text
    if isinstance(prompts, Sequence) and prompts and all(isinstance(p, str) for p in prompts):
        if len(prompts) not in (1, count):
            raise ConfigError(
                f"{len(prompts)} texts for {count} images. Give one per image, or one for all."
            )
        rows = embed_prompts(prompts, spec, changes)
        found["text"] = rows.expand(count, -1)
    return found


def embed_prompts(
    prompts: Sequence[str], spec: ImageSpec, changes: Mapping[str, Any] | None = None
) -> Tensor:
    """Vectors [N, D] of texts by the encoder of a model.

    Args:
        prompts: the texts.
        spec: the model's images.
        changes: options of the encoder that differ on this machine.

    Raises:
        ConfigError: the encoder is not known, cannot be loaded, or is another; says what to do.
        DataError: a text cannot be embedded.
    """
    return encoder_of_model(spec.text_encoding, changes).encode(prompts)


def prompt_count(text: Any) -> int | None:
    """The number of images that a list of texts asks for; None where it is no such list."""
    return len(text) if isinstance(text, list | tuple) and text else None
