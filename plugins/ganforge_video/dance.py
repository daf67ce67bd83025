"""Options of Everybody Dance Now, and what its phases share."""

from dataclasses import dataclass

from ganforge_translation.pix2pix_hd import Pix2pixHdConfig
from torch import Tensor

from ganforge.api import Field


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


@dataclass
class DanceState:
    """What the phases of a chunk share, and what the next chunk sees of the last one.

    Attributes:
        source: [N, 1, S, H, W] of the last frame of the chunk before; None before the first.
        real: [N, 1, C, H, W] this frame.
        last: [N, 1, C, H, W] this frame as it was made.
        made: [N, T, C, H, W] frames of the chunk, without gradient; None until they are made.
    """

    source: Tensor | None = None
    real: Tensor | None = None
    last: Tensor | None = None
    made: Tensor | None = None

    def advance(self, source: Tensor, real: Tensor) -> None:
        """Go on to the next chunk."""
        assert self.made is not None
        self.source, self.real, self.last = source[:, -1:], real[:, -1:], self.made[:, -1:]
        self.made = None
