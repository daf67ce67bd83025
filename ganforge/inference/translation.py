"""The translation methods of a published translator: images of any size, and video."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ganforge.errors import ConfigError
from ganforge.hub.format import ModelInfo
from ganforge.imaging.images import Resize
from ganforge.inference.clips import (
    Clip,
    OpenClip,
    Progress,
    Rate,
    VideoSummary,
    check_output,
    chunks,
    open_clip,
    save_clip,
)
from ganforge.inference.generate import check_batch_size, run_batch
from ganforge.inference.outputs import (
    Output,
    OutputType,
    check_output_type,
    convert_output,
    convert_outputs,
)
from ganforge.inference.requests import build_request
from ganforge.inference.sizes import Size, Sizing, resolve_sizing
from ganforge.inference.source_fields import read_fields
from ganforge.inference.source_images import Images, source_reader
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
        direction: str | None = None,
        size: Size = "keep",
        resize: Resize | None = None,
        batch_size: int = 16,
        output_type: OutputType = "pil",
        derive: bool = True,
        fields: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Output | list[Any]:
        """Translate images; each keeps its size by default.

        Args:
            images: PIL images of any mode and size (transparency is composited over white), or
                tensors, float in [-1, 1] or uint8, [C, H, W] or [N, C, H, W]. A model of label
                maps takes images and integer tensors of ids.
            direction: one of `info.directions`. Default: the first.
            size: "keep" pads an image to the architecture's stride and crops the translation;
                "model" resizes images to the size of the training images, a side or
                (height, width) to another one.
            resize: how an image with another aspect ratio is resized to `size`: "crop", "pad" or
                "stretch". Default: "crop".
            batch_size: images translated at a time.
            output_type: as for `generate`. Results of different sizes are a list.
            derive: whether a model of derived sources (edges, say) makes them from the images;
                False takes the images as sources.
            fields: what else the model reads of each image, by name, e.g. {"instances": [...]}:
                images or label maps of the same sizes, or vectors.
            options: `seeds`, one per image, for models with noise, and the architecture's own.

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
        direction = direction or self.architecture.directions[0]
        reader = source_reader(self.architecture, direction, derive)
        sizing = resolve_sizing(self.architecture, size, resize, reader.kind == "labels")
        given = reader.read(images)
        request = self._translation(len(given), direction=direction, **options)
        sources = reader.derive(given, request.seeds)
        more = read_fields(self.info.spec, fields, sources)
        sizes = [(img.shape[-2], img.shape[-1]) for img in sources]
        for index, found in enumerate(sizes):
            sizing.check(*found, f"images[{index}]")
        results: list[Tensor] = list(sources)
        for rows in _batches([sizing.padded(*found) for found in sizes], batch_size):
            part = request.take(rows)
            part.fields = more.take(rows, sizing, self.device)
            made = self._translated([sources[row] for row in rows], part, sizing)
            for row, img in zip(rows, made, strict=True):
                results[row] = img
        return convert_outputs(results, output_type)

    @overload
    def translate_video(self, video: Clip, out: None = None, **options: Any) -> Iterator[Any]: ...
    @overload
    def translate_video(self, video: Clip, out: str | Path, **options: Any) -> VideoSummary: ...
    def translate_video(
        self,
        video: Clip,
        out: str | Path | None = None,
        *,
        direction: str | None = None,
        size: Size = "keep",
        resize: Resize | None = None,
        seed: int = 0,
        chunk_frames: int = 8,
        fps: Rate | None = None,
        audio: bool = True,
        skip_bad: bool = False,
        progress: Progress = lambda done, total: None,
        output_type: OutputType = "pil",
        derive: bool = True,
        **options: Any,
    ) -> Iterator[Any] | VideoSummary:
        """Translate a video in chunks of frames; memory does not grow with its length.

        An architecture for images translates each frame alone, all with the same seed.

        Args:
            video: a video file, a folder of frames (in the order of their names), or an iterable
                of frames, as for `translate`.
            out: a video to write (.mp4, .mov or .mkv: H.264), or a folder for the frames as PNG
                files. Default: the frames are yielded.
            direction: one of `info.directions`. Default: the first.
            size: as for `translate`.
            resize: as for `translate`.
            seed: of the clip, for models with noise.
            chunk_frames: frames translated at a time; they do not change the result.
            fps: frames per second of frames that are images. Default: 25. A video keeps the times
                of its frames.
            audio: whether to copy the audio of a video.
            skip_bad: leave out frames that cannot be decoded, rather than stop.
            progress: called with the numbers of translated and of all frames (None if unknown).
            output_type: of yielded frames, as for `generate`.
            derive: as for `translate`.
            options: the architecture's own.

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
        direction = direction or self.architecture.directions[0]
        reader = source_reader(self.architecture, direction, derive)
        sizing = resolve_sizing(self.architecture, size, resize, reader.kind == "labels")
        request = self._translation(1, direction=direction, seeds=[seed], **options).take([0])
        clip = open_clip(video, reader, fps, skip_bad)
        frames = self._translated_frames(clip, request, sizing, chunk_frames)
        if out is None:
            return (convert_output(img[None], output_type)[0] for img, _ in frames)
        check_output(Path(out), clip)
        depth = self.info.spec.bit_depth
        return save_clip(frames, Path(out), clip, audio=audio, bit_depth=depth, progress=progress)

    def _translation(self, count: int, **options: Any) -> GenerateRequest:
        """A validated request for `count` translations; its source is set later."""
        return build_request(self.architecture, self.info, self.device, num_images=count, **options)

    def _translated(
        self, images: Sequence[Tensor], request: GenerateRequest, sizing: Sizing
    ) -> list[Tensor]:
        """The translations of images that have the same size once they are padded."""
        source = torch.cat([sizing.fit(img[None]) for img in images]).to(self.device)
        if self.architecture.is_video:
            # One clip, whose frames are the images.
            part = replace(request, source=source[None])
            (made,) = run_batch(self.architecture, self.networks, part)
        else:
            made = run_batch(self.architecture, self.networks, replace(request, source=source))
        return [
            sizing.cut(img, image.shape[-2], image.shape[-1])
            for img, image in zip(made, images, strict=True)
        ]

    def _translated_frames(
        self, clip: OpenClip, request: GenerateRequest, sizing: Sizing, chunk_frames: int
    ) -> Iterator[tuple[Tensor, int]]:
        """The translated frames of a clip, and their times."""
        frame_index = 0
        for chunk in chunks(clip, chunk_frames):
            given = [img for img, _ in chunk]
            images = clip.reader.derive_frames(given, request.seeds[0], frame_index)
            sizing.check(images[0].shape[-2], images[0].shape[-1], clip.name)
            request.frame_index = frame_index
            part = request if self.architecture.is_video else request.take([0] * len(images))
            made = self._translated(images, part, sizing)
            yield from zip(made, (time for _, time in chunk), strict=True)
            frame_index += len(chunk)


def check_translates(architecture: Architecture[Any]) -> None:
    """Refuse an architecture that makes images from noise."""
    if not architecture.directions:
        raise ConfigError(
            f"'{architecture.name}' makes images from noise and translates none; use "
            f"generate(), or a translation model."
        )


def _batches(sizes: Sequence[tuple[int, int]], batch_size: int) -> Iterator[list[int]]:
    """Rows of equal size, at most `batch_size` at a time."""
    groups: dict[tuple[int, int], list[int]] = {}
    for row, size in enumerate(sizes):
        groups.setdefault(size, []).append(row)
    for rows in groups.values():
        yield from (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
