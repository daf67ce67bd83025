"""vid2vid: videos from videos of labels, edges or poses. Wang et al. 2018, arXiv:1808.06601.

The first frame is translated alone. Each other one is made from the past: its pixels, moved by a
flow, and new ones where a mask says that the past does not show them. One discriminator judges
frames, others judge their motion at several frame rates.
"""

import functools
from collections.abc import Callable, Iterator, Mapping

import torch
from ganforge_translation.coarse_to_fine import CoarseToFine
from ganforge_translation.family import augmented_pair
from ganforge_translation.matching import (
    PerceptualLoss,
    all_logits,
    multi_scale_discriminator_terms,
    multi_scale_generator_terms,
)
from ganforge_translation.pix2pix_hd import Discriminator
from ganforge_translation.requests import no_latent
from torch import Tensor, nn

from ganforge.api import (
    Architecture,
    Batch,
    ConfigError,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    OptimizerConfig,
    PenaltyInput,
    Phase,
    Terms,
    with_penalties,
)
from ganforge.layers import flow_confidence, warp
from ganforge_video.checks import check, checked_clips
from ganforge_video.clips import Past, clip_state, joined, take_frames, unroll
from ganforge_video.config import Vid2vidConfig
from ganforge_video.networks import Made, SequentialGenerator
from ganforge_video.pairs import DiscriminatorPairs
from ganforge_video.teacher import Teacher, teacher

_IMAGE = "image_discriminator"


class Vid2vid(Architecture[Vid2vidConfig]):
    """Video-to-video translation, frame after frame."""

    name, Config = "vid2vid", Vid2vidConfig
    paper = "Wang et al. 2018, arXiv:1808.06601"
    inputs = ("source", "frames")
    directions = ("source_to_frames",)
    ema_roles = ("generator", "first_generator")
    optimizer = OptimizerConfig(name="adam", lr=2e-4, betas=(0.5, 0.999))
    example_options = {
        "enhancers": 1,
        "generator_width": 4,
        "first_width": 4,
        "num_downs": 1,
        "num_blocks": 2,
        "local_blocks": 1,
        "discriminator_width": 4,
        "discriminator_layers": 1,
        "num_scales": 2,
        "motion_strides": (1, 2),
        "chunk_frames": 2,
    }

    def __init__(self, config: Vid2vidConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.stride: int = config.stride
        self.perceptual = PerceptualLoss(config)
        self.pairs = DiscriminatorPairs(config, lambda: self.teacher)

    @functools.cached_property
    def teacher(self) -> Teacher:
        """What the flow is learned from; built when it is first needed."""
        return teacher(self.config.raft_weights)

    @property
    def seen_features(self) -> tuple[str, ...]:
        """The extractor of the perceptual loss."""
        return self.perceptual.seen_features

    def check(self, objective: Objective) -> None:
        """Refuse data, sizes and objectives that do not fit."""
        check(self.config, self.spec, objective, self.stride)
        if self.config.raft_weights is not None:
            _ = self.teacher
        self.perceptual.check(self.spec)

    def networks(self) -> dict[str, nn.Module]:
        """Two generators, and discriminators of images and of motion."""
        config, channels = self.config, self.spec.channels
        sources = self.spec.source_channels or channels
        motion = config.motion_frames * channels + 2 * (config.motion_frames - 1)
        return {
            "generator": SequentialGenerator(
                sources,
                channels,
                config.generator_width,
                num_past=config.past_frames,
                flow_scale=config.flow_scale,
                foreground=config.foreground,
                **config.shape,
            ),
            "first_generator": CoarseToFine(sources, channels, config.first_width, **config.shape),
            _IMAGE: self._discriminator(sources + channels),
            **{_motion(stride): self._discriminator(motion) for stride in config.motion_strides},
        }

    def _discriminator(self, channels: int) -> Discriminator:
        config = self.config
        return Discriminator(
            channels, config.discriminator_width, config.discriminator_layers, config.num_scales
        )

    def phases(self, objective: Objective) -> list[Phase]:
        """The generator of the chunk, then the discriminators that have something to see."""
        slow, bind = objective.n_critic, functools.partial
        first = bind(self.first_terms, objective)
        others = bind(self.generator_terms, objective)
        penalties = objective.for_target("discriminator")
        judges = [
            *with_penalties(
                Phase(_IMAGE, (_IMAGE,), bind(self.image_terms, objective)),
                penalties,
                bind(self.image_penalty, objective),
            )
        ]
        for stride in self.config.motion_strides:
            name, due = _motion(stride), bind(self._sees_motion, stride)
            terms = bind(self.motion_terms, objective, stride)
            penalty = bind(self.motion_penalty, objective, stride)
            judges += with_penalties(Phase(name, (name,), terms, due=due), penalties, penalty)
        return [
            Phase("first_frame", ("first_generator",), first, slow),
            Phase("generator", ("generator",), others, slow, due=lambda _, chunk: chunk > 0),
            *judges,
        ]

    def _sees_motion(self, stride: int, nimg: int, chunk: int) -> bool:
        """Whether so many frames have been made at the end of this chunk; see `chunks`."""
        return 1 + chunk * self.config.chunk_frames >= self.config.span(stride)

    def chunks(self, batch: Batch) -> Iterator[Batch]:
        """The first frame, then `chunk_frames` at a time; frames that fill no chunk are left out.

        All chunks share one `ClipState`, with the frames before, real and generated.
        """
        length, total = self.config.chunk_frames, batch["frames"].shape[1]
        if total < 1 + length:
            raise ConfigError(
                f"data.clip.num_frames: 'vid2vid' trains on a first frame and chunks of "
                f"model.chunk_frames={length}, but a window has {total} frames. Set num_frames to "
                f"{1 + length} or more, or lower model.chunk_frames."
            )
        for start in (0, *range(1, total - length + 1, length)):
            chunk = take_frames(batch, start, start + (length if start else 1))
            yield chunk
            clip_state(chunk).advance(chunk["source"], chunk["frames"], self.config.reach)

    def first_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Translate a frame alone, and fool the image discriminator.

        It is the first frame of any chunk: every frame may be the first one of a video.
        """
        frames, state = nets["first_generator"](batch["source"][:, 0])[:, None], clip_state(batch)
        if state.past is None:
            state.made = frames.detach()
        return self._fooling_image(objective, nets, batch, frames)

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Fool all discriminators with the frames of this chunk, and move as the real ones do."""
        made = self._unrolled(nets, batch)
        clip_state(batch).made = made.frame.detach()
        terms = self._fooling_image(objective, nets, batch, made.frame)
        for stride in self.config.motion_strides:
            real, gen = self.pairs.motion(objective, batch, made.frame, stride)
            if len(gen):
                judge, part = nets[_motion(stride)], f"motion{stride}"
                terms |= multi_scale_generator_terms(objective, self.config, judge, gen, real, part)
        return terms | self._flow_terms(batch, made)

    def image_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Tell real from generated frames, each with its source."""
        real, gen = self.pairs.images(objective, batch, self._made(nets, batch))
        return self._telling(objective, batch, nets[_IMAGE], real, gen, "image")

    def motion_terms(
        self, objective: Objective, stride: int, nets: Networks, batch: Batch
    ) -> Terms:
        """Tell real from generated motion, both with the flow of the real frames."""
        real, gen = self.pairs.motion(objective, batch, self._made(nets, batch), stride)
        part = f"motion{stride}"
        return self._telling(objective, batch, nets[_motion(stride)], real, gen, part)

    def image_penalty(
        self, objective: Objective, nets: Networks, batch: Batch
    ) -> dict[str, PenaltyInput]:
        """Frames [N T, C, H, W] under their sources."""
        made = self._made(nets, batch)
        count = made.shape[1]
        source, frames = (batch[name][:, :count].flatten(0, 1) for name in ("source", "frames"))

        def shown(img: Tensor) -> Tensor:
            return augmented_pair(objective, img, source)

        return {"": self._penalized(nets, batch, _IMAGE, shown, frames, made.flatten(0, 1))}

    def motion_penalty(
        self, objective: Objective, stride: int, nets: Networks, batch: Batch
    ) -> dict[str, PenaltyInput]:
        """Windows of frames [windows, frames C, H, W] with their flow."""
        real, gen = self.pairs.windows(batch, self._made(nets, batch), stride)

        def shown(img: Tensor) -> Tensor:
            clip = objective.augment(img.view(real.shape))
            if objective.augmentation is None:
                flow = self.pairs.real_flow(batch, real, stride)
            else:
                flow = self.pairs.flow(clip.detach())
            return torch.cat([clip.flatten(1, 2), flow], 1)

        films = real.flatten(1, 2), gen.flatten(1, 2)
        return {"": self._penalized(nets, batch, _motion(stride), shown, *films)}

    def _penalized(
        self,
        nets: Networks,
        batch: Batch,
        role: str,
        shown: Callable[[Tensor], Tensor],
        real: Tensor,
        gen: Tensor,
    ) -> PenaltyInput:
        """`shown` turns images into the input of the discriminator."""
        discriminator = nets.eager(role)
        return PenaltyInput(
            discriminator=discriminator,
            generator=nets.eager("generator"),
            critic=lambda img: all_logits(discriminator(shown(img))),
            nimg=batch.nimg,
            real_img=real.detach(),
            gen_img=lambda: gen,
            synthesize=no_latent(self.name),
        )

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Translate the next frames, `request.source` [N, T, S, H, W], after those before.

        Raises:
            ShapeError: there is no source, or its shape does not fit.
        """
        self.check_request(request.truncation, request.options)
        source = checked_clips(self.name, request, self.spec, self.stride)
        state, count = request.state, self.config.past_frames
        frames: list[Tensor] = []
        if "frames" in state:
            past = Past(state["sources"], state["frames"])
        else:
            frames.append(nets["first_generator"](source[:, 0])[:, None])
            past = Past(source[:, :1], frames[0])
        rest = source[:, len(frames) :]
        if rest.shape[1]:
            frames.append(unroll(nets["generator"], rest, past, count).frame)
            past = past.then(Past(rest, frames[-1])).last(count)
        state["sources"], state["frames"] = past.sources, past.frames
        return torch.cat(frames, 1)

    def _unrolled(self, nets: Networks, batch: Batch) -> Made:
        config, past = self.config, clip_state(batch).past
        assert past is not None  # the first frame has another phase and generator
        generator = nets["generator"]
        return unroll(generator, batch["source"], past, config.past_frames, config.backprop_frames)

    def _made(self, nets: Networks, batch: Batch) -> Tensor:
        """Frames [N, T, C, H, W] from the generator's phase; new ones where it was not due."""
        state = clip_state(batch)
        if state.made is None:
            with torch.no_grad():
                if state.past is None:
                    state.made = nets["first_generator"](batch["source"][:, 0])[:, None]
                else:
                    state.made = self._unrolled(nets, batch).frame
        return state.made

    def _fooling_image(
        self, objective: Objective, nets: Networks, batch: Batch, gen_frames: Tensor
    ) -> Terms:
        """The terms of the first frames of a chunk, as many as `gen_frames` has."""
        real, gen = self.pairs.images(objective, batch, gen_frames)
        terms = multi_scale_generator_terms(
            objective, self.config, nets[_IMAGE], gen, real, "image"
        )
        real_img = batch["frames"][:, : gen_frames.shape[1]]
        perceptual = self.perceptual.terms(gen_frames.flatten(0, 1), real_img.flatten(0, 1))
        return terms | perceptual

    def _telling(
        self,
        objective: Objective,
        batch: Batch,
        judge: nn.Module,
        real: Tensor,
        gen: Tensor,
        part: str,
    ) -> Terms:
        """A discriminator's terms, scale by scale."""
        maps = judge(torch.cat([real, gen]))
        return multi_scale_discriminator_terms(objective, self.config, batch, maps, part)

    def _flow_terms(self, batch: Batch, made: Made) -> Terms:
        """Flow and mask against the teacher's flow, and the real past frame warped."""
        config, before = self.config, clip_state(batch).real
        assert before is not None
        real = joined(before[:, -1:], batch["frames"])
        now, before = real[:, 1:].flatten(0, 1), real[:, :-1].flatten(0, 1)
        flow, mask = made.flow.flatten(0, 1), made.mask.flatten(0, 1)
        taught = self.teacher(now, before)
        is_right = flow_confidence(now, before, taught)
        batch.report("mask", mask)
        batch.report("flow_confidence", is_right)
        return {
            "flow": config.flow_weight * ((flow - taught).abs() * is_right).mean(),
            "warp": config.warp_weight * (warp(before, flow) - now).abs().mean(),
            "mask": config.mask_weight * (mask * is_right).mean(),
        }


def _motion(stride: int) -> str:
    return f"motion_discriminator_{stride}"
