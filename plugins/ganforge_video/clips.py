"""Sequences of frames: the past that a generator sees, unrolling, and windows of frames.

Shapes: N clips, T frames of a chunk, P past frames, S channels of a source, C of a frame.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ganforge.api import Batch
from ganforge_video.networks import Made


@dataclass(frozen=True)
class Past:
    """The frames before a chunk, at least one, the latest last."""

    sources: Tensor
    """[N, P, S, H, W]."""
    frames: Tensor
    """[N, P, C, H, W]."""

    def then(self, later: "Past") -> "Past":
        """This past, then a later one."""
        return Past(joined(self.sources, later.sources), joined(self.frames, later.frames))

    def last(self, count: int) -> "Past":
        """The last `count` frames, or all of fewer."""
        return Past(self.sources[:, -count:], self.frames[:, -count:])

    def detach(self) -> "Past":
        """The same without gradient."""
        return Past(self.sources.detach(), self.frames.detach())


@dataclass
class ClipState:
    """What the phases of a chunk share, and what the next chunk sees of the ones before.

    Attributes:
        past: sources and generated frames before the chunk; None before the first.
        real: [N, P, C, H, W] the real frames of the same times.
        made: [N, T, C, H, W] generated frames of the chunk, without gradient; None until made.
        flows: flow of the real frames of the chunk, by the stride of the motion discriminator.
    """

    past: Past | None = None
    real: Tensor | None = None
    made: Tensor | None = None
    flows: dict[int, Tensor] = field(default_factory=dict)

    def advance(self, sources: Tensor, real: Tensor, keep: int) -> None:
        """Append the chunk to the past, of which at most `keep` frames are kept."""
        assert self.made is not None
        chunk = Past(sources, self.made)
        self.past = (chunk if self.past is None else self.past.then(chunk)).last(keep)
        self.real = joined(self.real, real)[:, -keep:]
        self.made = None
        self.flows.clear()


def clip_state(batch: Batch) -> ClipState:
    """The state that the phases and chunks of a batch share."""
    found: ClipState = batch.memory.setdefault("clip", ClipState())
    return found


def take_frames(batch: Batch, start: int, end: int) -> Batch:
    """The batch with the frames from `start` up to `end` of each field."""
    return replace(batch, fields={name: v[:, start:end] for name, v in batch.fields.items()})


def unroll(
    generator: nn.Module, sources: Tensor, past: Past, num_past: int, backprop: int | None = None
) -> Made:
    """The frames of a chunk, each made from the source and the frames made before it.

    Args:
        generator: a `SequentialGenerator`.
        sources: [N, T, S, H, W] of the chunk.
        past: of the first frame.
        num_past: frames that the generator sees.
        backprop: frames that a gradient reaches back through; None for all of the chunk.

    Returns:
        `Made` with a frame axis: [N, T, ...].
    """
    steps: list[Made] = []
    for number, source in enumerate(sources.unbind(1)):
        if backprop is not None and number % backprop == 0:
            past = past.detach()
        seen = joined(padded(past.sources, num_past), source[:, None])
        made: Made = generator(seen.flatten(1, 2), padded(past.frames, num_past).flatten(1, 2))
        steps.append(made)
        past = past.then(Past(source[:, None], made.frame[:, None])).last(num_past)
    return Made(*(torch.stack(parts, 1) for parts in zip(*steps, strict=True)))


def joined(before: Tensor | None, now: Tensor) -> Tensor:
    """Frames one after the other along the axis 1."""
    return now if before is None else torch.cat([before, now], 1)


def padded(frames: Tensor, count: int) -> Tensor:
    """The last `count` frames [N, count, ...]; the first is repeated where there are fewer."""
    missing = count - frames.shape[1]
    if missing > 0:
        return torch.cat([frames[:, :1].expand(-1, missing, *frames.shape[2:]), frames], 1)
    return frames[:, -count:]


def windows(frames: Tensor, count: int, stride: int, ends: int) -> Tensor:
    """Windows of `count` frames, `stride` apart, that end in the last `ends` frames.

    Args:
        frames: [N, T, ...].
        count: frames of a window.
        stride: 1 for successive frames.
        ends: the last frame of a window is one of these many.

    Returns:
        [N, number of windows, count, ...]; there may be none.
    """
    total, span = frames.shape[1], (count - 1) * stride + 1
    found = [
        frames[:, end - span + 1 : end + 1 : stride]
        for end in range(max(span - 1, total - ends), total)
    ]
    empty = frames.new_empty(frames.shape[0], 0, count, *frames.shape[2:])
    return torch.stack(found, 1) if found else empty
