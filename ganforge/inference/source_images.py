"""Makes what a translator sees from what a user gives: images, label maps, or derived sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganforge.errors import ConfigError, ShapeError
from ganforge.imaging.channels import MODES
from ganforge.imaging.codec import Pixels, Undecodable, decode_image, image_size
from ganforge.imaging.images import convert_channels, from_pixels, from_uint8
from ganforge.imaging.label_maps import decode_labels
from ganforge.inference.derive import derivation_of, derive_sources
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.spec import ImageSpec

Images = Image.Image | Tensor | Sequence[Image.Image | Tensor]
"""One image or several: PIL, or tensors [C, H, W] or [N, C, H, W], float in [-1, 1] or uint8.
Label maps hold integers, [1, H, W] or [N, 1, H, W], or are one-hot."""


@dataclass(frozen=True)
class SourceReader:
    """Reads images for one direction of a translator.

    Attributes:
        spec: of the model.
        channels: of the sources.
        kind: whether the images are sources, label maps, drawn poses, or images to derive sources
            from.
        value_range: the values that -1 and 1 stand for in images of floats.
    """

    spec: ImageSpec
    channels: int
    kind: Literal["image", "labels", "pose", "derived"]
    value_range: tuple[float, float] | None = None

    def read(self, images: Images) -> list[Tensor]:
        """Images of any size and mode as float32 tensors [C, H, W]; label maps one-hot.

        Raises:
            ConfigError: there are no images.
            ShapeError: a tensor is not an image, or has values outside [-1, 1].
        """
        listed = [images] if isinstance(images, Image.Image | Tensor) else images
        found = [img for image in listed for img in self._batch(image)]
        if not found:
            raise ConfigError("There are no images to translate; give at least one.")
        return found

    def file_size(self, path: Path) -> tuple[int, int]:
        """Height and width of an image file; a label map is read whole, an image's header only.

        Raises:
            Undecodable: the file cannot be read.
        """
        if self.kind != "labels":
            return image_size(path)
        height, width, _ = decode_labels(path).shape
        return height, width

    def read_file(self, path: Path) -> Tensor:
        """An image file, as `read`; its 16 bits are kept.

        Raises:
            Undecodable: the file cannot be read.
        """
        return self._decoded(path)

    def read_pixels(self, pixels: Pixels) -> Tensor:
        """Pixels [H, W, C] of an image, as `read`."""
        return self._with_channels(from_pixels(pixels)[None])[0]

    def derive(self, images: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
        """The sources of images from `read`: themselves, or what the derivation makes of them."""
        if self.kind != "derived":
            return list(images)
        pairs = zip(images, seeds, strict=True)
        return [derive_sources(self.spec, img[None], [seed])[0] for img, seed in pairs]

    def derive_frames(self, images: Sequence[Tensor], seed: int, first_frame: int) -> list[Tensor]:
        """As `derive`, for the frames of a clip from number `first_frame` on."""
        if self.kind != "derived":
            return list(images)
        clip = torch.stack(list(images))[None]
        return list(derive_sources(self.spec, clip, [seed], first_frame)[0])

    def _batch(self, image: Any) -> Tensor:
        if isinstance(image, Image.Image):
            try:
                return self._decoded(image)[None]
            except Undecodable as err:
                raise ShapeError(f"The image {err}.") from err
        if not self._is_image(image):
            got = list(image.shape) if isinstance(image, Tensor) else type(image).__name__
            raise ShapeError(
                f"Cannot translate {got}; give PIL images, or tensors [C, H, W] or [N, C, H, W] "
                f"with 1, 3 or 4 channels."
            )
        batch = (image.unsqueeze(0) if image.ndim == 3 else image).detach().cpu()
        if self.kind == "labels":
            return batch if batch.is_floating_point() else _one_hot(batch, self.channels)
        img = from_uint8(batch) if batch.dtype == torch.uint8 else batch.float()
        # A tolerance of 1 % accepts the output of another model, and still finds a [0, 255] scale.
        if img.numel() and img.abs().max() > 1.01:
            raise ShapeError(
                f"The tensor to translate holds values from {img.min():.3g} to {img.max():.3g}; "
                f"float images are in [-1, 1]. Scale it, or give it as uint8."
            )
        return self._with_channels(img)

    def _is_image(self, image: Any) -> bool:
        if not isinstance(image, Tensor) or image.ndim not in (3, 4):
            return False
        if self.kind == "labels":
            return image.shape[-3] == (self.channels if image.is_floating_point() else 1)
        return image.shape[-3] in (*MODES, self.channels)

    def _with_channels(self, img: Tensor) -> Tensor:
        # A derivation may read the opacity of an image.
        is_as_wanted = self.kind == "derived" or img.shape[1] == self.channels
        return img if is_as_wanted else convert_channels(img, self.channels)

    def _decoded(self, image: Path | Image.Image) -> Tensor:
        if self.kind != "labels":
            return self.read_pixels(decode_image(image, self.value_range))
        ids = torch.from_numpy(decode_labels(image).astype(np.int64))
        return _one_hot(ids.movedim(-1, -3), self.channels)


def source_reader(architecture: Architecture[Any], direction: str, derive: bool) -> SourceReader:
    """The reader of a direction; `derive` makes sources from images where training did so.

    Raises:
        ConfigError: the derivation does not have the options that the model was trained with.
        PluginNotFound: no installed plugin provides it.
    """
    spec = architecture.spec
    if direction != architecture.directions[0]:
        return SourceReader(spec, spec.channels, "image", spec.value_range)
    channels = spec.source_channels or spec.channels
    if spec.derived and derive:
        derivation_of(spec)
        return SourceReader(spec, channels, "derived", spec.value_range)
    return SourceReader(spec, channels, spec.source_kind, spec.source_value_range)


def _one_hot(ids: Tensor, num: int) -> Tensor:
    """[..., num, H, W] of ids [..., 1, H, W]; an id from `num` on is all zero, as in training.

    The ids themselves as int64 for `num` 0.
    """
    if num == 0:
        return ids.long()
    return (ids == torch.arange(num).view(num, 1, 1)).float()
