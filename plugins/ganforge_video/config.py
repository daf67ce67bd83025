"""Options of vid2vid and of Everybody Dance Now."""

from typing import Annotated

from ganforge_translation.coarse_to_fine import CoarseToFineOptions
from ganforge_translation.family import PatchDiscriminatorOptions
from ganforge_translation.matching import MatchingOptions
from ganforge_translation.pix2pix_hd import Pix2pixHdConfig
from pydantic import AfterValidator

from ganforge.api import Field


def _rising(strides: tuple[int, ...]) -> tuple[int, ...]:
    if any(stride < 1 for stride in strides) or list(strides) != sorted(set(strides)):
        raise ValueError(f"must be different numbers from 1 on, rising, got {list(strides)}")
    return strides


class Vid2vidConfig(MatchingOptions, CoarseToFineOptions, PatchDiscriminatorOptions):
    """Options of vid2vid."""

    generator_width: int = Field(
        128, ge=2, multiple_of=2, description="Channels of the coarse generators at full size."
    )
    first_width: int = Field(
        64, ge=2, multiple_of=2, description="Channels of the generator of first frames."
    )
    num_downs: int = Field(
        3, ge=1, le=6, description="How many times the coarse networks halve the size."
    )
    past_frames: int = Field(2, ge=1, description="Past frames that the generator sees.")
    flow_scale: float = Field(20.0, gt=0, description="Flow in pixels for an output of 1.")
    foreground: tuple[int, ...] = Field(
        (),
        description="Label ids of the foreground, such as cars and people, which a separate "
        "network draws. Default: none.",
    )
    num_scales: int = Field(
        2, ge=1, le=5, description="Discriminators of each kind, each of half the resolution."
    )
    motion_frames: int = Field(3, ge=2, description="Frames that motion discriminators see.")
    motion_strides: Annotated[tuple[int, ...], AfterValidator(_rising)] = Field(
        (1, 3),
        description="Motion discriminators, one for each frame rate: 1 sees successive frames, 3 "
        "every third one.",
    )
    chunk_frames: int = Field(
        4, ge=1, description="Frames of a chunk, after which all networks take a step."
    )
    backprop_frames: int | None = Field(
        1, ge=1, description="Frames that a gradient reaches back through. null: the whole chunk."
    )
    raft_weights: str | None = Field(
        None,
        description="File of torchvision's weights of RAFT, which teaches the flow. Default: a "
        "Lucas-Kanade pyramid, which needs no weights.",
    )
    flow_weight: float = Field(
        10.0, ge=0, description="Distance to the teacher's flow where it is correct, in pixels."
    )
    warp_weight: float = Field(
        10.0, ge=0, description="Distance of the warped real past frame to the real frame."
    )
    mask_weight: float = Field(
        1.0, ge=0, description="Mask where the teacher's flow is correct: the past should be used."
    )

    def span(self, stride: int) -> int:
        """Frames from the first to the last that a motion discriminator sees."""
        return (self.motion_frames - 1) * stride + 1

    @property
    def reach(self) -> int:
        """Frames before a chunk that some network sees."""
        spans = [self.span(stride) for stride in self.motion_strides]
        return max(self.past_frames, *(span - 1 for span in spans), 1)


class EverybodyDanceNowConfig(Pix2pixHdConfig):
    """Options of Everybody Dance Now: those of pix2pixHD, and these."""

    chunk_frames: int = Field(
        2, ge=2, description="Frames of a chunk, after which all networks take a step."
    )
    face: bool = Field(
        False, description="Refine the face: the second run, from the export of the first."
    )
    face_size: int = Field(128, ge=8, description="Side of the square around the face, in pixels.")
    face_width: int = Field(
        32, ge=2, multiple_of=2, description="Channels of the face's generator at full size."
    )
    face_downs: int = Field(3, ge=1, le=6, description="How often the face's generator halves.")
    face_blocks: int = Field(6, ge=0, description="Residual blocks of the face's generator.")
