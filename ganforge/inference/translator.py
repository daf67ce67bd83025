"""One direction of a published translator, as the arguments of a translation set it up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.imaging.images import Resize
from ganforge.inference.clip_output import TranslatedFrame
from ganforge.inference.clips import OpenClip, chunks
from ganforge.inference.derive import derivation_of
from ganforge.inference.generate import run_batch
from ganforge.inference.sizes import Size, Sizing, resolve_sizing
from ganforge.inference.source_fields import SourceFields, check_field, read_fields
from ganforge.inference.source_images import SourceReader, source_reader
from ganforge.inference.tiles import Tiling, Window, resolve_tiling
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest

POSE = "pose"
"""The field that holds the poses of drawn sources."""


@dataclass(frozen=True)
class Translator:
    """Translates images, or the frames of clips, in one direction.

    Attributes:
        architecture: of the model.
        networks: by role, on `device`.
        device: where they run.
        direction: one of those of the architecture.
        reader: makes sources of what is given.
        sizing: brings images to a size that the networks take, and back.
        tiling: how larger images are cut; None translates them whole.
    """

    architecture: Architecture[Any]
    networks: Mapping[str, nn.Module]
    device: torch.device
    direction: str
    reader: SourceReader
    sizing: Sizing
    tiling: Tiling | None = None

    def images(
        self,
        sources: Sequence[Tensor],
        request: GenerateRequest,
        fields: SourceFields,
        batch_size: int,
    ) -> list[Tensor]:
        """The translations of sources [C, H, W] of any sizes, in their order.

        `request` has a seed for each; `fields` are its further fields.
        """
        sizes = [(img.shape[-2], img.shape[-1]) for img in sources]
        results: list[Tensor] = list(sources)
        for rows in _batches([self.sizing.padded(*found) for found in sizes], batch_size):
            part = request.take(rows)
            part.fields = fields.take(rows, self.sizing, self.device)
            made = self._translate([sources[row] for row in rows], part)
            for row, img in zip(rows, made, strict=True):
                results[row] = img
        return results

    def frames(
        self,
        clip: OpenClip,
        request: GenerateRequest,
        chunk_frames: int,
        fields: Mapping[str, Any] | None = None,
    ) -> Iterator[TranslatedFrame]:
        """The translated frames of a clip; read as they are consumed.

        `fields` are what the model reads beside them: a value for each frame, or one of the clip.

        Raises:
            ConfigError: the model has no such field, or there is not one value for each frame.
        """
        frame_index, given_fields = 0, dict(fields or {})
        if clip.poses is not None and POSE in self.architecture.spec.fields:
            given_fields[POSE] = clip.poses
        for chunk in chunks(clip, chunk_frames):
            given = [img for img, _ in chunk]
            resized = [self._before(img) for img in given]
            images = self.reader.derive_frames(resized, request.seeds[0], frame_index)
            self.check_size(images[0], clip.name)
            request.frame_index = frame_index
            part = request if self.architecture.is_video else request.take([0] * len(images))
            part.fields = self._fields_of_frames(given_fields, frame_index, images)
            made = self._translate(images, part)
            times = (time for _, time in chunk)
            yield from map(TranslatedFrame, made, images, times)
            frame_index += len(chunk)

    def _fields_of_frames(
        self, given: Mapping[str, Any], start: int, images: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """The fields of the next frames, as networks see them."""
        spec, is_video = self.architecture.spec, self.architecture.is_video
        found: dict[str, Tensor] = {}
        for name, values in given.items():
            check_field(spec, name)
            is_of_clip = is_video and not spec.fields[name].is_clip
            those = [values] if is_of_clip else values[start : start + len(images)]
            chosen = images[:1] if is_of_clip else images
            read = read_fields(spec, {name: those}, chosen)
            taken = read.take(range(len(chosen)), self.sizing, self.device)[name]
            found[name] = taken[None] if is_video and not is_of_clip else taken
        return found

    def derive(self, images: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
        """The sources of images from `reader.read`: themselves, or what is derived of them."""
        return self.reader.derive([self._before(img) for img in images], seeds)

    def _before(self, img: Tensor) -> Tensor:
        if self.reader.kind != "derived":
            return img
        return self.sizing.before(derivation_of(self.reader.spec), img)

    def check_size(self, source: Tensor, what: str) -> None:
        """Refuse a source [C, H, W], named `what` in the message, that cannot keep its size."""
        self.sizing.check(source.shape[-2], source.shape[-1], what)

    def _translate(self, images: Sequence[Tensor], request: GenerateRequest) -> list[Tensor]:
        """The translations of images that have the same size once they are padded."""
        source = torch.cat([self.sizing.fit(img[None]) for img in images])
        if self.architecture.is_video:
            # One clip, whose frames are the images.
            (made,) = self._run(source[None], request)
        elif self.tiling is None:
            made = self._run(source, request)
        else:
            made = self.tiling.translate(source, lambda window: self._tile(source, request, window))
        return [
            self.sizing.cut(img, image.shape[-2], image.shape[-1])
            for img, image in zip(made, images, strict=True)
        ]

    def _tile(self, source: Tensor, request: GenerateRequest, window: Window) -> Tensor:
        fields = {
            name: value if value.ndim < 4 else value[(..., *window)]
            for name, value in request.fields.items()
        }
        return self._run(source[(..., *window)], replace(request, fields=fields))

    def _run(self, source: Tensor, request: GenerateRequest) -> Tensor:
        part = replace(request, source=source.to(self.device))
        return run_batch(self.architecture, self.networks, part)


SETUP = ("direction", "size", "resize", "tile", "overlap", "derive")
"""The arguments of `resolve_translator` that `translate` and the command line pass on."""


def setup_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arguments of a translation that set up its translator."""
    return {name: value for name, value in arguments.items() if name in SETUP}


def resolve_translator(
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    device: torch.device,
    *,
    direction: str | None = None,
    size: Size = "keep",
    resize: Resize | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    derive: bool = True,
) -> Translator:
    """Check the arguments of a translation, which are those of `PretrainedGan.translate`.

    Raises:
        ConfigError: the model cannot do it; nothing has been read.
    """
    architecture.check_request(None, {"direction": direction} if direction else {})
    direction = direction or architecture.directions[0]
    reader = source_reader(architecture, direction, derive)
    sizing = resolve_sizing(architecture, size, resize, reader.kind == "labels")
    tiling = resolve_tiling(architecture, tile, overlap)
    return Translator(architecture, networks, device, direction, reader, sizing, tiling)


def _batches(sizes: Sequence[tuple[int, int]], batch_size: int) -> Iterator[list[int]]:
    """Rows of equal size, at most `batch_size` at a time."""
    groups: dict[tuple[int, int], list[int]] = {}
    for row, size in enumerate(sizes):
        groups.setdefault(size, []).append(row)
    for rows in groups.values():
        yield from (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
