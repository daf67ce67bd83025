"""What a plugin sees of a run when it is called for an event."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.spec import ImageSpec


class RunView(Protocol):
    """A read-only view of a run, as it is at one event: do not keep it for later ones."""

    @property
    def config(self) -> PipelineConfig:
        """The resolved pipeline file."""

    @property
    def run_dir(self) -> Path:
        """The directory of the run; a plugin may write its files there, on rank 0."""

    @property
    def spec(self) -> ImageSpec:
        """Size, channels and classes of the images."""

    @property
    def step(self) -> int:
        """Training steps so far."""

    @property
    def nimg(self) -> int:
        """Real images shown so far."""

    @property
    def kimg(self) -> float:
        """Thousands of real images shown so far."""

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes files and logs."""

    @property
    def last_log(self) -> Mapping[str, float]:
        """The newest log record: losses, speed, ...; empty before the first."""

    def is_due(self, every_kimg: float) -> bool:
        """Whether the last step passed a multiple of `every_kimg` thousand images."""

    def sample(self, request: GenerateRequest) -> Tensor:
        """Generate with the averaged networks; changes neither training nor random numbers.

        Returns:
            [N, C, H, W] float32 in [-1, 1], or [N, T, C, H, W] of frame sequences, on the
            device of the run; that of the request is ignored.
        """

    def log(self, values: Mapping[str, float]) -> None:
        """Send values to the trackers of the run, at its progress; only rank 0 does."""

    def log_image(self, name: str, img: Tensor) -> None:
        """Send img [N, C, H, W] in [-1, 1] to the trackers, as one picture; only rank 0 does.

        Of other than 1, 3 or 4 channels, the first three or the first are shown.
        """
