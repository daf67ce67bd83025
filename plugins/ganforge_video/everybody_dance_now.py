"""Everybody Dance Now: a person moves as another does. Chan et al. 2019, arXiv:1808.07371.

pix2pixHD on skeletons. The generator also sees the frame that it made before, and the
discriminator judges pairs of successive frames. A second run refines the face.
"""

import functools
from collections.abc import Iterator, Mapping

import torch
from ganforge_translation.coarse_to_fine import CoarseToFine
from ganforge_translation.matching import (
    all_logits,
    multi_scale_discriminator_terms,
    multi_scale_generator_terms,
)
from ganforge_translation.pix2pix_hd import HighResolutionTranslator
from ganforge_translation.requests import no_latent
from torch import Tensor, nn

from ganforge.api import (
    Batch,
    ConfigError,
    FieldSpec,
    GenerateRequest,
    ImageSpec,
    Networks,
    Objective,
    PenaltyInput,
    Phase,
    Reads,
    ShapeError,
    Terms,
    pose_layout,
)
from ganforge.layers import MultiScaleDiscriminator
from ganforge_video.checks import checked_clips
from ganforge_video.clips import clip_state, joined, take_frames, windows
from ganforge_video.config import EverybodyDanceNowConfig
from ganforge_video.faces import Faces, faces_of

POSE = "pose"


class EverybodyDanceNow(HighResolutionTranslator[EverybodyDanceNowConfig]):
    """Videos of a person from poses, frame after frame."""

    name, Config = "everybody_dance_now", EverybodyDanceNowConfig
    paper = "Chan et al. 2019, arXiv:1808.07371"
    inputs = ("source", "frames")
    directions = ("source_to_frames",)
    example_options = {
        **HighResolutionTranslator.example_options,
        "face": True,
        "face_size": 8,
        "face_width": 4,
        "face_downs": 1,
        "face_blocks": 1,
    }
    example_fields = {POSE: FieldSpec("vector", 51, is_clip=True)}

    def __init__(self, config: EverybodyDanceNowConfig, spec: ImageSpec) -> None:
        super().__init__(config, spec)
        self.ema_roles = ("generator", "face_generator") if config.face else ("generator",)

    @classmethod
    def reads(cls, config: EverybodyDanceNowConfig) -> Reads:
        """Poses as numbers only where faces are refined."""
        return Reads((*cls.inputs, POSE) if config.face else cls.inputs)

    def check(self, objective: Objective) -> None:
        """As for pix2pixHD; also refuse faces that cannot be refined."""
        super().check(objective)
        if self.config.face:
            self._check_face()

    def _check_source(self) -> None:
        if self.spec.source_channels is None or self.spec.num_frames < 2:
            raise ConfigError(
                f"model.architecture: '{self.name}' learns from clips with their poses, but the "
                f"data have {'no poses' if self.spec.num_frames > 1 else 'still images'}. Use "
                f"data.source: {{name: video, source: dance.json, target: dance.mp4}}."
            )

    def _check_face(self) -> None:
        size, (layers, step) = self.config.face_size, self._face_needs()
        if size > min(self.spec.height, self.spec.width) or size < layers or size % step:
            raise ConfigError(
                f"model.face_size={size}: the square around the face must be a multiple of {step} "
                f"(face_downs) of {layers} pixels (discriminator_layers) or more that fits into "
                f"frames of {self.spec.height}x{self.spec.width}. Correct one of these."
            )
        numbers = self.spec.fields[POSE].size
        if self.spec.fields[POSE].kind == "vector" and pose_layout(numbers) is None:
            raise ConfigError(
                f"model.face: the field 'pose' has {numbers} numbers, which is no known layout. "
                f"Use keypoints of COCO-17 (51) or OpenPose-25 (75), or face: false."
            )

    def _face_needs(self) -> tuple[int, int]:
        """Smallest side of the square, and what it must be a multiple of."""
        least = MultiScaleDiscriminator.smallest_size(self.config.discriminator_layers, 1)
        return least, 1 << self.config.face_downs

    def networks(self) -> dict[str, nn.Module]:
        """pix2pixHD's networks, and a small pair of them for faces."""
        config, channels = self.config, self.spec.channels
        sources = self.spec.source_channels or channels
        found: dict[str, nn.Module] = {
            "generator": self.coarse_to_fine(sources + channels),
            "discriminator": self.discriminator(2 * (sources + channels), config.num_scales),
        }
        if config.face:
            found["face_generator"] = CoarseToFine(
                sources + channels,
                channels,
                config.face_width,
                num_downs=config.face_downs,
                num_blocks=config.face_blocks,
                upsampling=config.upsampling,
            )
            found["face_discriminator"] = self.discriminator(sources + channels, 1)
        return found

    def phases(self, objective: Objective) -> list[Phase]:
        """Those of every translator, then those of the face."""
        found = super().phases(objective)
        if not self.config.face:
            return found
        bind, every = functools.partial, objective.n_critic
        return [
            *found,
            Phase(
                "face_generator",
                ("face_generator",),
                bind(self.face_generator_terms, objective),
                every,
            ),
            Phase(
                "face_discriminator",
                ("face_discriminator",),
                bind(self.face_discriminator_terms, objective),
            ),
        ]

    def chunks(self, batch: Batch) -> Iterator[Batch]:
        """`chunk_frames` at a time; frames that fill no chunk are left out.

        All chunks share one `ClipState`, with the last frame of the chunk before.
        """
        length, total = self.config.chunk_frames, batch["frames"].shape[1]
        if total < length:
            raise ConfigError(
                f"data.clip.num_frames: '{self.name}' trains on chunks of model.chunk_frames="
                f"{length}, but a window has {total} frames. Set num_frames to {length} or more."
            )
        for start in range(0, total - length + 1, length):
            chunk = take_frames(batch, start, start + length)
            yield chunk
            clip_state(chunk).advance(chunk["source"], chunk["frames"], keep=1)

    def generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Fool the discriminators with pairs of frames, and match the features of real pairs."""
        frames = self._unrolled(nets, batch)
        clip_state(batch).made = frames.detach()
        sources, real, gen = self._pairs(batch, frames)
        # Features are compared pixel by pixel, so both pairs are augmented alike, as one clip.
        clip, along = torch.cat([gen, real], 1), torch.cat([sources, sources], 1)
        clip, along = objective.augment(clip, along=along)
        gen_in, real_in = torch.cat([along, clip], 2).chunk(2, dim=1)
        pairs = gen_in.flatten(1, 2), real_in.flatten(1, 2)
        terms = multi_scale_generator_terms(objective, self.config, nets["discriminator"], *pairs)
        real_img = batch["frames"].flatten(0, 1)
        return terms | self.perceptual.terms(frames.flatten(0, 1), real_img)

    def discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Tell pairs of successive real frames from generated ones, each with their poses."""
        sources, real, gen = self._pairs(batch, self._made(nets, batch))
        pairs = _shown(objective, torch.cat([real, gen]), torch.cat([sources] * 2))
        maps = nets["discriminator"](pairs)
        return multi_scale_discriminator_terms(objective, self.config, batch, maps)

    def penalty_inputs(
        self, objective: Objective, nets: Networks, batch: Batch
    ) -> dict[str, PenaltyInput]:
        """The discriminator of pairs of frames, [M, 2 C, H, W], under their poses."""
        sources, real, _ = self._pairs(batch, batch["frames"])
        discriminator = nets.eager("discriminator")

        def critic(img: Tensor) -> Tensor:
            clip = img.view(len(img), 2, -1, *img.shape[2:])
            return all_logits(discriminator(_shown(objective, clip, sources)))

        return {
            "": PenaltyInput(
                discriminator=discriminator,
                generator=nets.eager("generator"),
                critic=critic,
                nimg=batch.nimg,
                real_img=real.flatten(1, 2).detach(),
                gen_img=lambda: self._pairs(batch, self._made(nets, batch))[2].flatten(1, 2),
                synthesize=no_latent(self.name),
            )
        }

    def face_generator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Fool the face's discriminator, and match the features of the real face."""
        real, gen = self._faces(nets, batch)
        judge, channels = nets["face_discriminator"], self.spec.channels
        terms = multi_scale_generator_terms(objective, self.config, judge, gen, real, "face")
        faces = gen[:, -channels:], real[:, -channels:]
        return terms | self.perceptual.terms(*faces, name="perceptual_face")

    def face_discriminator_terms(self, objective: Objective, nets: Networks, batch: Batch) -> Terms:
        """Tell real faces from refined ones, each with its drawn pose."""
        with torch.no_grad():
            pairs = torch.cat(self._faces(nets, batch))
        maps = nets["face_discriminator"](pairs)
        return multi_scale_discriminator_terms(objective, self.config, batch, maps, "face")

    def generate(self, nets: Mapping[str, nn.Module], request: GenerateRequest) -> Tensor:
        """Translate the next frames, `request.source` [N, T, S, H, W], after those before.

        Raises:
            ShapeError: there is no source, or no poses for the face, or a shape does not fit.
        """
        self.check_request(request.truncation, request.options)
        source = checked_clips(self.name, request, self.spec, self.stride)
        state, frames = request.state, []
        poses = self._checked_poses(request, source) if self.config.face else None
        last = state.get("frame")
        for number, pose in enumerate(source.unbind(1)):
            last = _next(nets["generator"], pose, last, self.spec.channels)
            if poses is not None:
                faces = self._squares(poses[:, number], last)
                frames.append(self._refined(nets, faces, pose, last) if faces else last)
            else:
                frames.append(last)
        assert last is not None
        state["frame"] = last
        return torch.stack(frames, 1)

    def _refined(
        self, nets: Mapping[str, nn.Module], faces: Faces, source: Tensor, frame: Tensor
    ) -> Tensor:
        seen = torch.cat([faces.cut(source), faces.cut(frame)], 1)
        face = faces.cut(frame) + nets["face_generator"](seen)
        return faces.put(frame, face.clamp(-1, 1))

    def _squares(self, poses: Tensor, frame: Tensor) -> Faces | None:
        """Squares around the faces of frames [M, C, H, W]; None if they are too small for one."""
        height, width = frame.shape[-2:]
        step = 1 << self.config.face_downs
        side = min(self.config.face_size, height, width) // step * step
        return faces_of(poses, side, height, width) if side else None

    def _faces(self, nets: Networks, batch: Batch) -> tuple[Tensor, Tensor]:
        """Real and refined faces [M, S + C, s, s], both with their drawn poses.

        Where no face is seen both are the real square, from which nothing is learned.
        """
        made = self._made(nets, batch).flatten(0, 1)
        faces = self._squares(batch[POSE].flatten(0, 1), made)
        assert faces is not None  # `check` has seen the size
        source, frames = batch["source"].flatten(0, 1), batch["frames"].flatten(0, 1)
        drawn, real, body = faces.cut(source), faces.cut(frames), faces.cut(made)
        refined = body + nets["face_generator"](torch.cat([drawn, body], 1))
        gen = torch.where(faces.is_seen.view(-1, 1, 1, 1), refined, real)
        return torch.cat([drawn, real], 1), torch.cat([drawn, gen], 1)

    def _unrolled(self, nets: Networks, batch: Batch) -> Tensor:
        """The frames of a chunk [N, T, C, H, W], each after the one before."""
        past, frames = clip_state(batch).past, []
        last = None if past is None else past.frames[:, 0]
        for source in batch["source"].unbind(1):
            last = _next(nets["generator"], source, last, self.spec.channels)
            frames.append(last)
        return torch.stack(frames, 1)

    def _made(self, nets: Networks, batch: Batch) -> Tensor:
        """Frames from the generator's phase; new ones where it was not due."""
        state = clip_state(batch)
        if state.made is None:
            with torch.no_grad():
                state.made = self._unrolled(nets, batch)
        return state.made

    def _pairs(self, batch: Batch, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pairs of successive sources, real and generated frames [M, 2, ..., H, W]."""
        state = clip_state(batch)
        before = (None, None) if state.past is None else (state.past.sources, state.past.frames)
        real = _pairs_of(state.real, batch["frames"])
        return _pairs_of(before[0], batch["source"]), real, _pairs_of(before[1], frames)

    def _checked_poses(self, request: GenerateRequest, source: Tensor) -> Tensor:
        poses, size = request.fields.get(POSE), self.spec.fields[POSE].size
        wanted = [*source.shape[:2], size]
        if poses is None or list(poses.shape) != wanted:
            found = "no field 'pose'" if poses is None else f"a pose of shape {list(poses.shape)}"
            raise ShapeError(
                f"The request has {found}; '{self.name}' refines the face by poses {wanted}. "
                f"Translate keypoints: translate_video('dance.json')."
            )
        return poses.to(request.device)


def _next(generator: nn.Module, source: Tensor, last: Tensor | None, channels: int) -> Tensor:
    """The next frame [N, C, H, W]; the first one sees zeros, as in section 4.1 of the paper."""
    if last is None:
        last = source.new_zeros(len(source), channels, *source.shape[2:])
    frame: Tensor = generator(torch.cat([source, last], 1))
    return frame


def _pairs_of(before: Tensor | None, now: Tensor) -> Tensor:
    """[M, 2, C, H, W] of successive frames that end in `now` [N, T, C, H, W]."""
    return windows(joined(before, now), 2, 1, now.shape[1]).flatten(0, 1)


def _shown(objective: Objective, frames: Tensor, sources: Tensor) -> Tensor:
    """The discriminator's input for pairs [M, 2, C, H, W]: [M, 2 (S + C), H, W]."""
    frames, sources = objective.augment(frames, along=sources)
    return torch.cat([sources, frames], 2).flatten(1, 2)
