"""Pairs for the discriminators of vid2vid: frames with their sources, windows with their flow.

Shapes: N clips, T frames of a chunk, S channels of a source, C of a frame.
"""

from collections.abc import Callable

import torch
from ganforge_translation.matching import aligned_pairs
from torch import Tensor

from ganforge.api import Batch, Objective
from ganforge_video.clips import clip_state, joined, windows
from ganforge_video.config import Vid2vidConfig
from ganforge_video.teacher import Teacher


class DiscriminatorPairs:
    """Makes pairs of real and generated frames, augmented alike."""

    def __init__(self, config: Vid2vidConfig, teacher: Callable[[], Teacher]) -> None:
        self._config, self._teacher = config, teacher

    def images(
        self, objective: Objective, batch: Batch, gen_frames: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sources with real and with generated frames: [N T, S + C, H, W], augmented alike.

        T is the number of generated frames, which are the first ones of the chunk.
        """
        count = gen_frames.shape[1]
        source, frames = (batch[name][:, :count].flatten(0, 1) for name in ("source", "frames"))
        gen, real = aligned_pairs(objective, source, gen_frames.flatten(0, 1), frames)
        return real, gen

    def motion(
        self, objective: Objective, batch: Batch, gen_frames: Tensor, stride: int
    ) -> tuple[Tensor, Tensor]:
        """Windows of real and of generated frames, augmented alike, with the flow of the real ones.

        [windows, frames C + 2 (frames - 1), H, W], both; none where too few frames have been made.
        """
        real, gen = self.windows(batch, gen_frames, stride)
        if not len(real):
            return real, gen
        if objective.augmentation is None:
            flow = self.real_flow(batch, real, stride)
        else:
            real, gen = objective.augment(torch.cat([real, gen], 1)).chunk(2, dim=1)
            flow = self.flow(real)
        return torch.cat([real.flatten(1, 2), flow], 1), torch.cat([gen.flatten(1, 2), flow], 1)

    def windows(self, batch: Batch, gen_frames: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        """Windows of real and of generated frames: [windows, frames, C, H, W], both."""
        state, count, ends = clip_state(batch), self._config.motion_frames, gen_frames.shape[1]
        past = None if state.past is None else state.past.frames
        clips = joined(state.real, batch["frames"]), joined(past, gen_frames)
        real, gen = (windows(clip, count, stride, ends).flatten(0, 1) for clip in clips)
        return real, gen

    def real_flow(self, batch: Batch, real: Tensor, stride: int) -> Tensor:
        """The flow of windows of real frames; all phases of a chunk share it."""
        flows = clip_state(batch).flows
        if stride not in flows:
            flows[stride] = self.flow(real)
        return flows[stride]

    def flow(self, clips: Tensor) -> Tensor:
        """The flow between the frames of clips, [windows, 2 (frames - 1), H, W] in `flow_scale`."""
        pairs = clips[:, 1:].flatten(0, 1), clips[:, :-1].flatten(0, 1)
        flow = self._teacher()(*pairs) / self._config.flow_scale
        return flow.view(len(clips), -1, *flow.shape[2:])
