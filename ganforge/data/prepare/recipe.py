"""The settings that decide the content of shards, as their index records them."""

from collections.abc import Mapping
from typing import Any

from ganforge.config.data import DataConfig
from ganforge.data.views import longest_span
from ganforge.redaction import redacted

_FIELDS = (
    "source",
    "channels",
    "resize",
    "background",
    "samples_per_shard",
    "fields",
    "frame_format",
)
_SIZE = "resolution (crop.from)"


def recipe(config: DataConfig, seed: int) -> dict[str, Any]:
    """The settings that decide the content of the shards.

    Crops are cut when shards are read, so only the size of the stored images matters. Of
    `data.clip` only the length of the longest window matters: shorter clips are left out. Secrets
    are hidden, so that shards need not be prepared again for a new token.
    """
    values = config.model_dump(mode="json", include=set(_FIELDS))
    values[_SIZE] = None if config.stored_size is None else list(config.stored_size)
    values["clip (shortest clip)"] = None if config.clip is None else longest_span(config.clip)
    held_out = None if config.validation is None else config.validation.num_samples
    values["validation.num_samples"] = held_out
    if config.text_encoder is not None:
        values["text_encoder"] = config.text_encoder.model_dump(mode="json")
    return {**redacted(values), "seed": seed}


def changes(made: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What differs between two recipes, in words; empty when nothing does.

    Keys that only `made` has are ignored: `data embed` adds an encoder, for example.
    """
    return "; ".join(
        f"data.{key} was {made.get(key)!r} and is {wanted[key]!r}"
        for key in wanted
        if (made.get(key) or None) != (wanted[key] or None)
    )
