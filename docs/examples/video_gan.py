"""Video to video, frame by frame. In the manner of vid2vid: Wang et al. 2018, arXiv:1808.06601.

Each frame is made from the source frame and the frame made before it. One discriminator judges
single frames, one judges motion. Gradients reach back through one chunk of frames.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.api import (
    Architecture,
    Batch,
    ComponentOptions,
    ConfigError,
    Field,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    Phase,
    ShapeError,
    Terms,
    hookimpl,
)


class VideoGanConfig(ComponentOptions):
    """Options of video_gan."""

    width: int = Field(32, gt=0, description="Channels of the hidden layers.")
    chunk_frames: int = Field(4, gt=0, description="Frames that gradients reach back through.")


class FrameGenerator(nn.Module):
    """source [N, Cs, H, W], past [N, C, H, W] -> frame [N, C, H, W] in [-1, 1]."""

    def __init__(self, config: VideoGanConfig, spec: ImageSpec) -> None:
        super().__init__()
        inputs = spec.channels + (spec.source_channels or spec.channels)
        self.layers = nn.Sequential(
            *(nn.Conv2d(inputs, config.width, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(config.width, spec.channels, 3, padding=1), nn.Tanh()),
        )

    def forward(self, source: Tensor, past: Tensor) -> Tensor:
        """The next frame."""
        frame: Tensor = self.layers(torch.cat([source, past], dim=1))
        return frame


class ClipDiscriminator(nn.Module):
    """source and frames [N, T, C, H, W] -> logits [N]; `reach` frames are judged together."""

    def __init__(self, config: VideoGanConfig, spec: ImageSpec, reach: int) -> None:
        super().__init__()
        inputs = spec.channels + (spec.source_channels or spec.channels)
        kernel, padding = (reach, 4, 4), (reach // 2, 1, 1)
        self.layers = nn.Sequential(
            nn.Conv3d(inputs, config.width, kernel, (1, 2, 2), padding),
            nn.LeakyReLU(0.2),
            nn.Conv3d(config.width, 1, (1, 3, 3), padding=(0, 1, 1)),
        )

    def forward(self, source: Tensor, frames: Tensor) -> Tensor:
        """Score a clip."""
        logits: Tensor = self.layers(torch.cat([source, frames], dim=2).transpose(1, 2))
        return logits.mean((1, 2, 3, 4))


def unroll(generator: nn.Module, source: Tensor, past: Tensor) -> Tensor:
    """Frames [N, T, C, H, W], each made from the one before; `past` is the first one's."""
    frames = []
    for part in source.unbind(1):
        past = generator(part, past)
        frames.append(past)
    return torch.stack(frames, dim=1)


class VideoGan(Architecture[VideoGanConfig]):
    """A recurrent translator of frame sequences with an image and a motion discriminator."""

    name, Config, paper = "video_gan", VideoGanConfig, "Wang et al. 2018, arXiv:1808.06601"
    inputs = ("source", "frames")
    directions = ("source_to_frames",)
    stride = 1  # convolutions without stride: frames of any size
    example_options = {"width": 4, "chunk_frames": 2}
    judges = ("image_discriminator", "motion_discriminator")

    def check(self, objective: Objective) -> None:
        """Refuse what the phases do not follow."""
        if objective.regularizers or objective.augmentation:
            raise ConfigError("'video_gan' takes no loss.regularizers and no augment. Remove them.")

    def networks(self) -> dict[str, nn.Module]:
        """One generator, two discriminators."""
        return {
            "generator": FrameGenerator(self.config, self.spec),
            "image_discriminator": ClipDiscriminator(self.config, self.spec, reach=1),
            "motion_discriminator": ClipDiscriminator(self.config, self.spec, reach=3),
        }

    def phases(self, objective: Objective) -> list[Phase]:
        """The generator, then both discriminators with one optimizer."""
        gen = functools.partial(self.generator_terms, objective)
        disc = functools.partial(self.discriminator_terms, objective)
        return [
            Phase("generator", ("generator",), gen, every=objective.n_critic),
            Phase("discriminators", self.judges, disc),
        ]

    def chunks(self, batch: Batch) -> Iterator[Batch]:
        """A few frames at a time. All parts share `memory`, which carries the last frame over."""
        length = self.config.chunk_frames
        for start in range(0, batch["frames"].shape[1], length):
            parts = {name: value[:, start : start + length] for name, value in batch.fields.items()}
            yield replace(batch, fields=parts)
            batch.memory["past"] = batch.memory.pop("gen_frames")[:, -1]

    def gen_frames(self, nets: Networks, batch: Batch) -> Tensor:
        """This chunk's frames, made from the last one of the chunk before."""
        first = torch.zeros_like(batch["frames"][:, 0])
        frames = unroll(nets["generator"], batch["source"], batch.memory.get("past", first))
        batch.memory["gen_frames"] = frames.detach()
        return frames

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Fool both discriminators with the frames of this chunk."""
        frames = self.gen_frames(nets, batch)
        terms: Terms = {}
        for judge in self.judges:
            terms |= objective.generator(
                nets[judge](batch["source"], frames),
                functools.partial(nets[judge], batch["source"], batch["frames"]),
                part=judge,
            )
        return terms

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Tell real clips from those that the generator phase made, or new ones."""
        if "gen_frames" not in batch.memory:  # the generator phase was not due
            with torch.no_grad():
                self.gen_frames(nets, batch)
        frames = batch.memory["gen_frames"]
        terms: Terms = {}
        for judge in self.judges:
            real_logits = nets[judge](batch["source"], batch["frames"])
            gen_logits = nets[judge](batch["source"], frames)
            terms |= objective.discriminator(batch, real_logits, gen_logits, part=judge)
        return terms

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Translate the next frames, `request.source` [N, T, Cs, H, W], after those before."""
        if request.source is None or request.source.ndim != 5:
            raise ShapeError(
                f"'{self.name}' translates frame sequences; give source [{request.size}, T, C, H, "
                f"W], one sequence per seed."
            )
        source = request.source.to(request.device)
        first = source.new_zeros(source.shape[0], self.spec.channels, *source.shape[3:])
        frames = unroll(nets["generator"], source, request.state.get("past", first))
        request.state["past"] = frames[:, -1]
        return frames


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register video_gan."""
    return [VideoGan]
