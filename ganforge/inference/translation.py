"""The translation methods of a published translator: images of any size."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ganforge.errors import ConfigError
from ganforge.hub.format import ModelInfo
from ganforge.imaging.images import Resize
from ganforge.inference.generate import check_batch_size, run_batch
from ganforge.inference.outputs import Output, OutputType, check_output_type, convert_outputs
from ganforge.inference.requests import build_request
from ganforge.inference.sizes import Size, Sizing, resolve_sizing
from ganforge.inference.source_images import Images, source_images
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import ImageSpec


class TranslationMethods:
    """The translation methods of `PretrainedGan`."""

    architecture: Architecture[Any]
    networks: Mapping[str, nn.Module]
    info: ModelInfo
    device: torch.device

    @overload
    def translate(
        self, images: Images, *, output_type: Literal["pt"], **options: Any
    ) -> Tensor | list[Tensor]: ...
    @overload
    def translate(
        self, images: Images, *, output_type: Literal["np"], **options: Any
    ) -> NDArray[np.uint8] | list[NDArray[np.uint8]]: ...
    @overload
    def translate(
        self, images: Images, *, output_type: Literal["pil"] = ..., **options: Any
    ) -> list[Image.Image]: ...
    def translate(
        self,
        images: Images,
        *,
        direction: str | None = None,
        size: Size = "keep",
        resize: Resize | None = None,
        batch_size: int = 16,
        output_type: OutputType = "pil",
        **options: Any,
    ) -> Output | list[Any]:
        """Translate images to the model's other domain; each keeps its size.

        Args:
            images: PIL images of any mode and size (transparency is composited over white), or
                tensors, float in [-1, 1] or uint8, [C, H, W] or [N, C, H, W].
            direction: one of `info.directions`. Default: the first.
            size: "keep" pads an image to the architecture's stride and cuts the translation back;
                "model" resizes images to the size of the training images, a side or
                (height, width) to another one.
            resize: how an image of another shape is resized to `size`: "crop", "pad" or
                "stretch". Default: "crop".
            batch_size: images translated at a time.
            output_type: as for `generate`. Results of different sizes are a list.
            options: `seeds`, one per image, for models with noise, and the architecture's own.

        Raises:
            ConfigError: the request does not fit this model; nothing has been translated.
            ShapeError: a tensor is not an image.
        """
        check_translates(self.architecture)
        if self.architecture.is_video:
            raise ConfigError(
                f"'{self.info.architecture}' translates video, frame after frame; use "
                f"translate_video(frames)."
            )
        check_output_type(output_type)
        check_batch_size(batch_size)
        sizing = resolve_sizing(self.architecture, size, resize)
        direction = direction or self.architecture.directions[0]
        sources = source_images(images, source_channels(self.architecture, direction))
        sizes = [(img.shape[-2], img.shape[-1]) for img in sources]
        for index, found in enumerate(sizes):
            sizing.check(*found, f"images[{index}]")
        request = build_request(
            self.architecture,
            self.info,
            self.device,
            num_images=len(sources),
            direction=direction,
            **options,
        )
        results: list[Tensor] = list(sources)
        for rows in _batches([sizing.padded(*found) for found in sizes], batch_size):
            made = self._translated([sources[row] for row in rows], request.take(rows), sizing)
            for row, img in zip(rows, made, strict=True):
                results[row] = img
        return convert_outputs(results, output_type)

    def _translated(
        self, images: Sequence[Tensor], request: GenerateRequest, sizing: Sizing
    ) -> list[Tensor]:
        """The translations of images that have the same size once they are padded."""
        source = torch.cat([sizing.fit(img[None]) for img in images]).to(self.device)
        made = run_batch(self.architecture, self.networks, replace(request, source=source))
        return [
            sizing.cut(img, image.shape[-2], image.shape[-1])
            for img, image in zip(made, images, strict=True)
        ]


def check_translates(architecture: Architecture[Any]) -> None:
    """Refuse an architecture that makes images from noise."""
    if not architecture.directions:
        raise ConfigError(
            f"'{architecture.name}' makes images from noise and translates none; use "
            f"generate(), or a translation model."
        )


def source_channels(architecture: Architecture[Any], direction: str) -> int:
    """Channels of the images that are translated in a direction."""
    spec = architecture.spec
    is_forward = direction == architecture.directions[0]
    return (spec.source_channels if is_forward else None) or spec.channels


def bit_depth(spec: ImageSpec) -> int:
    """Bits per channel of the images of a model: 8 or 16."""
    return getattr(spec, "bit_depth", 8)


def _batches(sizes: Sequence[tuple[int, int]], batch_size: int) -> Iterator[list[int]]:
    """Rows of equal size, at most `batch_size` at a time."""
    groups: dict[tuple[int, int], list[int]] = {}
    for row, size in enumerate(sizes):
        groups.setdefault(size, []).append(row)
    for rows in groups.values():
        yield from (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
