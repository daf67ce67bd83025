"""The fields that samples can be read as: those of the shards, and sources made from images."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganforge.config.choices import ComponentChoice
from ganforge.config.data import DataConfig
from ganforge.data.shards.index import DatasetIndex, FieldSchema
from ganforge.data.shards.pixel_reader import WHITE_16
from ganforge.errors import DataError, PluginContractError, suggest
from ganforge.interfaces.derivation import Derivation
from ganforge.registry.plugins import get_registry

_IMAGES = ("target", "image", "frames")
"""Fields that sources can be derived from; the first one that the data have is used."""


class ReadableFields:
    """What can be read of a data set under a configuration.

    With `data.derive`, `source` is made from the images, which can also be read as `target`.

    Attributes:
        index: of the data set.
        location: of the data set, for messages.
        schemas: by name; a derived source has that of its image, with its own channels.
    """

    def __init__(self, config: DataConfig, index: DatasetIndex, location: str) -> None:
        """Join the fields of the shards and those that are made from them.

        Raises:
            DataError: a source is to be derived, but the data have one, or have no image.
        """
        self.index = index
        self.location = location
        self.schemas = dict(index.fields)
        self._stored = {name: name for name in index.fields}
        self._choice = config.derive
        if self.derivation is not None:
            self._add_source(self.derivation)

    @functools.cached_property
    def derivation(self) -> Derivation[Any] | None:
        """What makes the sources, built once in each process; None without `data.derive`."""
        return None if self._choice is None else build_derivation(self._choice)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "derivation"}

    def _add_source(self, derivation: Derivation[Any]) -> None:
        how = f"data.derive ({derivation.name})"
        if "source" in self.schemas:
            raise DataError(
                f"{how} makes a source from each image, but the data set at "
                f"{self.location} holds a source already. Remove data.derive, or use data without "
                f"'source'."
            )
        image = next((name for name in _IMAGES if name in self.schemas), None)
        if image is None or self.schemas[image].kind != "image":
            raise DataError(
                f"{how} needs images, but the data set at {self.location} "
                f"has {', '.join(sorted(self.schemas))}. It reads {', '.join(_IMAGES)}."
            )
        schema = self.schemas[image]
        channels = derivation.channels(schema.channels)
        self.schemas["source"] = schema.model_copy(update={"channels": channels})
        self._stored["source"] = image
        if image == "image":
            self.schemas["target"], self._stored["target"] = schema, image

    def stored(self, name: str) -> str:
        """The field of the shards that a field is read from."""
        return self._stored[name]

    def check(self, names: Sequence[str]) -> None:
        """Refuse fields that cannot be read.

        Raises:
            DataError: names the field, the location and the fields there are.
        """
        for name in names:
            if name not in self.schemas:
                raise DataError(missing_field(name, self.schemas, self.location))

    def derive(self, images: Tensor, seeds: Sequence[int], frames: Sequence[range]) -> Tensor:
        """The sources of images, with the same bit depth.

        Args:
            images: [n, C, H, W], or [n, T, C, H, W] with the frame numbers of each sample in
                `frames`; uint8 or int32.
            seeds: [n], one per sample.
            frames: [n] frame numbers of clips.
        """
        white = 255 if images.dtype == torch.uint8 else WHITE_16
        clips = images if images.ndim == 5 else images[:, None]
        sources = [
            [self._derive_one(img, white, seed, frame) for img, frame in zip(clip, of, strict=True)]
            for clip, seed, of in zip(clips, seeds, frames, strict=True)
        ]
        pixels = np.stack([np.stack(clip) for clip in sources])
        made = torch.from_numpy(pixels).to(images.dtype).movedim(-1, -3)
        return made if images.ndim == 5 else made[:, 0]

    def _derive_one(self, img: Tensor, white: int, seed: int, frame: int) -> Any:
        assert self.derivation is not None
        pixels = img.permute(1, 2, 0).numpy().astype(np.float32) / white
        source = np.asarray(self.derivation.derive(pixels, seed, frame))
        wanted = (*pixels.shape[:2], self.derivation.channels(pixels.shape[2]))
        if source.shape != wanted:
            raise PluginContractError(
                f"The derivation '{self.derivation.name}' makes sources of shape "
                f"{list(source.shape)} from images of shape {list(pixels.shape)}; its `channels` "
                f"says {list(wanted)}. Return [H, W, c] of the image's size."
            )
        return np.rint(source.clip(0, 1) * white).astype(np.int32)


def build_derivation(choice: ComponentChoice) -> Derivation[Any]:
    """The derivation that `data.derive` chooses.

    Raises:
        PluginNotFound: no plugin provides it.
        ConfigError: its options are not valid.
    """
    return get_registry().build(Derivation, choice.name, choice.options, "data.derive")


def missing_field(name: str, there: Mapping[str, FieldSchema], location: str) -> str:
    """The error message for a field that is not `there`."""
    if name == "label":
        return (
            f"Labels are needed, but the data set at {location} has none. Set data.use_labels: "
            f"false, or prepare it from a source with labels (class sub-folders, or a label "
            f"column)."
        )
    return (
        f"The field '{name}' is needed, but the data set at {location} has no such field. "
        f"{suggest(name, there)} Prepare it from a source that provides '{name}'."
    )
