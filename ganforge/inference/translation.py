"""The translation methods of a published translator: images of any size, and video."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ganforge.errors import ConfigError
from ganforge.hub.format import ModelInfo
from ganforge.inference.clip_output import Progress, VideoSummary, check_outputs, save_clip
from ganforge.inference.clips import Clip, Rate, open_clip
from ganforge.inference.generate import check_batch_size
from ganforge.inference.outputs import (
    Output,
    OutputType,
    check_output_type,
    convert_output,
    convert_outputs,
)
from ganforge.inference.requests import build_request
from ganforge.inference.source_fields import read_fields
from ganforge.inference.source_images import Images
from ganforge.inference.translator import SETUP, Translator, resolve_translator, setup_of
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest


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
        batch_size: int = 16,
        output_type: OutputType = "pil",
        fields: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Output | list[Any]:
        """Translate images; each keeps its size by default.

        Args:
            images: PIL images of any mode and size (transparency is composited over white), or
                tensors, float in [-1, 1] or uint8, [C, H, W] or [N, C, H, W]. A model of label
                maps takes images and integer tensors of ids.
            batch_size: images translated at a time.
            output_type: as for `generate`. Results of different sizes are a list.
            fields: what else the model reads of each image, by name, e.g. {"instances": [...]}:
                images or label maps of the same sizes, or vectors.
            **options:

                - `direction`: one of `info.directions`. Default: the first.
                - `size`: "keep" (default) pads an image to the architecture's stride and crops the
                  translation; "model" resizes images to the size of the training images, a side or
                  (height, width) to another one.
                - `resize`: how an image with another aspect ratio is resized to `size`: "crop"
                  (default), "pad" or "stretch".
                - `tile`: translate larger images in tiles of this side, which bounds the memory;
                  `overlap`: pixels in which neighbors are blended. Default: 32.
                - `derive`: False takes the images as sources, where a model of derived sources
                  (edges, say) would make them.
                - `seeds`, one per image, for models with noise, and the architecture's own.

        Raises:
            ConfigError: the request does not fit this model; nothing has been translated.
            ShapeError: a tensor is not an image, or a field does not fit its image.
        """
        check_translates(self.architecture)
        if self.architecture.is_video:
            raise ConfigError(
                f"'{self.info.architecture}' translates video, frame after frame; use "
                f"translate_video(frames)."
            )
        check_output_type(output_type)
        check_batch_size(batch_size)
        translator = self.translator(**setup_of(options))
        given = translator.reader.read(images)
        request = self._translation(len(given), translator, options)
        sources = translator.derive(given, request.seeds)
        more = read_fields(self.info.spec, fields, sources)
        for index, source in enumerate(sources):
            translator.check_size(source, f"images[{index}]")
        return convert_outputs(translator.images(sources, request, more, batch_size), output_type)

    @overload
    def translate_video(self, video: Clip, out: None = None, **options: Any) -> Iterator[Any]: ...
    @overload
    def translate_video(self, video: Clip, out: str | Path, **options: Any) -> VideoSummary: ...
    def translate_video(
        self,
        video: Clip,
        out: str | Path | None = None,
        *,
        seed: int = 0,
        chunk_frames: int = 8,
        fps: Rate | None = None,
        audio: bool = True,
        skip_bad: bool = False,
        progress: Progress = lambda done, total: None,
        output_type: OutputType = "pil",
        fields: Mapping[str, Any] | None = None,
        compare: str | Path | None = None,
        **options: Any,
    ) -> Iterator[Any] | VideoSummary:
        """Translate a video in chunks of frames; memory does not grow with its length.

        An architecture for images translates each frame alone, all with the same seed.

        Args:
            video: a video file, a folder of frames (in the order of their names), or an iterable
                of frames, as for `translate`. A model that draws poses takes keypoints: a file, a
                folder, or `Poses`.
            out: a video to write (.mp4, .mov or .mkv: H.264), or a folder for the frames as PNG
                files. Default: the frames are yielded.
            seed: of the clip, for models with noise.
            chunk_frames: frames translated at a time; they do not change the result.
            fps: frames per second of frames that are images. Default: 25. A video keeps the times
                of its frames.
            audio: whether to copy the audio of a video.
            skip_bad: leave out frames that cannot be decoded, rather than stop.
            progress: called with the numbers of translated and of all frames (None if unknown).
            output_type: of yielded frames, as for `generate`.
            fields: what else the model reads, by name, a sequence with one value for each frame, as
                for `translate`; one value of what belongs to the whole clip. Poses are known.
            compare: a second video to write, which shows sources and translations side by side.
            **options: as for `translate`, but no `seeds`.

        Returns:
            What was written; or, without `out`, an iterator of frames.

        Raises:
            ConfigError: the request does not fit this model, or PyAV is missing
                (`pip install 'ganforge[video]'`); nothing has been translated.
            DataError: the video cannot be read. What is written so far is removed.
        """
        check_translates(self.architecture)
        check_output_type(output_type)
        if chunk_frames < 1:
            raise ConfigError(f"chunk_frames={chunk_frames}; use at least 1.")
        if "seeds" in options:
            raise ConfigError("seeds: a clip has one seed. Pass seed=... instead.")
        translator = self.translator(**setup_of(options))
        request = self._translation(1, translator, options | {"seeds": [seed]}).take([0])
        clip = open_clip(video, translator.reader, translator.sizing, fps, skip_bad)
        place, both = (None if given is None else Path(given) for given in (out, compare))
        check_outputs(place, both, clip)
        frames = translator.frames(clip, request, chunk_frames, fields)
        if place is None:
            return (convert_output(frame.img[None], output_type)[0] for frame in frames)
        return save_clip(
            frames,
            place,
            clip,
            audio=audio,
            bit_depth=self.info.spec.bit_depth,
            progress=progress,
            compare=both,
        )

    def translator(self, **how: Any) -> Translator:
        """What translates, checked: `direction`, `size`, `resize`, `tile`, `overlap`, `derive`.

        Raises:
            ConfigError: the model cannot do it.
        """
        check_translates(self.architecture)
        return resolve_translator(self.architecture, self.networks, self.device, **how)

    def _translation(
        self, count: int, translator: Translator, options: Mapping[str, Any]
    ) -> GenerateRequest:
        """A validated request for `count` translations; its source is set later."""
        own = {name: value for name, value in options.items() if name not in SETUP}
        return build_request(
            self.architecture,
            self.info,
            self.device,
            num_images=count,
            direction=translator.direction,
            **own,
        )


def check_translates(architecture: Architecture[Any]) -> None:
    """Refuse an architecture that makes images from noise."""
    if not architecture.directions:
        raise ConfigError(
            f"'{architecture.name}' makes images from noise and translates none; use "
            f"generate(), or a translation model."
        )
