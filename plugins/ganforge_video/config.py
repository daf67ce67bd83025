"""Options of vid2vid."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from ganforge.api import ComponentChoice, ComponentOptions, Field
from ganforge.layers import Upsampling


def _rising(strides: tuple[int, ...]) -> tuple[int, ...]:
    if any(stride < 1 for stride in strides) or list(strides) != sorted(set(strides)):
        raise ValueError(f"must be different numbers from 1 on, rising, got {list(strides)}")
    return strides


class Vid2vidConfig(ComponentOptions):
    """Options of vid2vid."""

    enhancers: Literal[0, 1] = Field(
        0, description="0: the coarse networks alone, stage 1; 1: with the fine ones, stage 2."
    )
    generator_width: int = Field(
        128, ge=2, multiple_of=2, description="Channels of the coarse generators at full size."
    )
    first_width: int = Field(
        64, ge=2, multiple_of=2, description="The same of the generator of first frames."
    )
    num_downs: int = Field(3, ge=1, le=6, description="How often the coarse networks halve.")
    num_blocks: int = Field(9, ge=0, description="Residual blocks of the coarse networks.")
    local_blocks: int = Field(3, ge=0, description="Residual blocks of the fine networks.")
    upsampling: Upsampling = Field(
        "transposed",
        description="transposed: as in the paper; resize: nearest neighbor and a convolution, "
        "which leaves no checkerboard.",
    )
    past_frames: int = Field(2, ge=1, description="Frames that the generator sees of the past.")
    flow_scale: float = Field(
        20.0, gt=0, description="Pixels that a 1 of the flow layer stands for."
    )
    foreground: tuple[int, ...] = Field(
        (),
        description="Ids of the source's labels that are foreground, such as cars and people: a "
        "network of their own paints them. Default: no split.",
    )
    discriminator_width: int = Field(64, gt=0, description="Channels of the first layer.")
    discriminator_layers: int = Field(3, ge=1, le=6, description="Layers after the first.")
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
    feature_weight: float = Field(
        10.0, ge=0, description="Distance of the discriminators' features, mean L1; 0: none."
    )
    flow_weight: float = Field(
        10.0, ge=0, description="Distance to the teacher's flow where that is right, in pixels."
    )
    warp_weight: float = Field(
        10.0, ge=0, description="Distance of the warped real past frame to the real frame."
    )
    mask_weight: float = Field(
        1.0, ge=0, description="Mask where the teacher's flow is right: the past is to be used."
    )
    perceptual: ComponentChoice | None = Field(
        None, description="Feature extractor with maps for the perceptual loss. Default: none."
    )
    perceptual_weight: float = Field(
        10.0, gt=0, description="Distance of the extractor's features, mean L1."
    )
    adversarial_weight: float = Field(
        2.0,
        gt=0,
        description="Generators' adversarial terms. 2 undoes the 1/2 in `least_squares`; with a "
        "loss that has no 1/2 take 1.",
    )
    discriminator_weight: float = Field(
        1.0,
        gt=0,
        description="Discriminators' losses. `least_squares` has the authors' 1/2; with a loss "
        "that has none take 0.5.",
    )

    def span(self, stride: int) -> int:
        """Frames from the first to the last that a motion discriminator sees."""
        return (self.motion_frames - 1) * stride + 1

    @property
    def reach(self) -> int:
        """Frames before a chunk that some network sees."""
        spans = [self.span(stride) for stride in self.motion_strides]
        return max(self.past_frames, *(span - 1 for span in spans), 1)
