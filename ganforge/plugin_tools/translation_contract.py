"""The part of the contract about translation: other sizes, longer clips, chunks and noise."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ganforge.errors import GanforgeError
from ganforge.interfaces.generation import GenerateRequest
from ganforge.plugin_tools.cases import Case, generate, requests, start, train_case
from ganforge.training.state.run_state import TrainingRun

_SEEDS = (5, 3)
_CHUNKS = (1, 2)
"""Frames of a chunk."""


@dataclass
class _Watched(GenerateRequest):
    """Notes the stream of every draw."""

    streams: list[int] = field(default_factory=list)

    def noise(self, *shape: int, stream: int = 0, is_latent: bool = True) -> Tensor:
        self.streams.append(stream)
        return super().noise(*shape, stream=stream, is_latent=is_latent)


def check_other_sizes(case: Case) -> None:
    """A translator with a `stride` takes every size that is a multiple of it."""
    run = train_case(case, start(case))
    stride, spec = run.architecture.stride, case.spec
    if not run.architecture.directions or stride is None:
        return
    sizes = ((spec.height + stride, spec.width + 2 * stride), (stride, stride))
    for (request, _), (height, width) in ((r, s) for r in requests(case, _SEEDS) for s in sizes):
        assert request.source is not None
        source = _enlarged(request.source, height, width)
        fields = {
            name: value if spec.fields[name].kind == "vector" else _enlarged(value, height, width)
            for name, value in request.fields.items()
        }
        try:
            img = generate(run, replace(request, source=source, fields=fields, state={}))
        except (RuntimeError, ValueError, GanforgeError) as err:
            raise case.broken(
                f"`stride` is {stride}, but generate() fails at {height} x {width}: {err} "
                "Translate every multiple of `stride`, or give another one."
            ) from err
        if img.shape[-2:] != source.shape[-2:] or not bool(img.isfinite().all()):
            raise case.broken(
                f"`stride` is {stride}, but {height} x {width} becomes {img.shape[-2]} x "
                f"{img.shape[-1]}, or numbers that are not finite. Return finite images of the "
                "size of the source, or give another `stride`."
            )


def _enlarged(img: Tensor, height: int, width: int) -> Tensor:
    """Maps [..., H, W] of any size that repeat their first pixel."""
    return img[..., :1, :1].expand(*img.shape[:-2], height, width)


def check_chunks_equal_the_whole(case: Case) -> None:
    """A clip, longer than those of the training, is the same in chunks of any size."""
    for run, request in _long_clips(case):
        whole = generate(run, request.take(range(request.size)))
        for length in _CHUNKS:
            chunked = torch.cat(list(_in_chunks(run, request, length)), 1)
            if chunked.shape != whole.shape:
                raise case.broken(
                    f"generate() gives {whole.shape[1]} frames at once, but {chunked.shape[1]} in "
                    f"chunks of {length}. Return one frame for each frame of the source."
                )
            for number, (one, other) in enumerate(
                zip(whole.unbind(1), chunked.unbind(1), strict=True)
            ):
                if not torch.equal(one, other):
                    raise case.broken(
                        f"frame {number} of a clip differs in chunks of {length}. Keep what later "
                        "frames need in request.state, count frames from request.frame_index, and "
                        "draw noise with request.frame_noise."
                    )


def check_noise_of_frames(case: Case) -> None:
    """No two frames of a clip share their noise."""
    for run, request in _long_clips(case):
        watched = _Watched(**vars(request.take(range(request.size))))
        generate(run, watched)
        stream, count = max(Counter(watched.streams).items(), key=lambda s: s[1], default=(0, 1))
        if count > 1:
            raise case.broken(
                f"generate() draws stream {stream} {count} times for one clip, so that the draws "
                "are equal. Draw the noise of frame n with request.frame_noise(n, ...)."
            )


def _long_clips(case: Case) -> Iterator[tuple[TrainingRun, GenerateRequest]]:
    """A trained run, and requests for clips of more frames than it was trained on."""
    run = train_case(case, start(case))
    if not run.architecture.is_video:
        return
    for request, _ in requests(case, _SEEDS):
        assert request.source is not None
        source = torch.cat([request.source, request.source.flip(1)], 1)
        fields = {
            name: torch.cat([value, value.flip(1)], 1) if case.spec.fields[name].is_clip else value
            for name, value in request.fields.items()
        }
        yield run, replace(request, source=source, fields=fields)


def _in_chunks(run: TrainingRun, request: GenerateRequest, length: int) -> Iterator[Tensor]:
    """The frames of a clip, `length` at a time, with the values of these frames."""
    assert request.source is not None
    state: dict[str, Tensor] = {}
    specs = run.architecture.spec.fields
    for start_frame in range(0, request.source.shape[1], length):
        frames = slice(start_frame, start_frame + length)
        fields = {
            name: value[:, frames] if specs[name].is_clip else value
            for name, value in request.fields.items()
        }
        part = replace(request, source=request.source[:, frames], fields=fields)
        yield generate(run, replace(part, frame_index=start_frame, state=state))
