"""The view of a run that plugins get at run events."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganforge.config.models import PipelineConfig
from ganforge.imaging.images import image_grid
from ganforge.imaging.showable import showable
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.generation import GenerateRequest
from ganforge.interfaces.run_view import RunView
from ganforge.interfaces.spec import ImageSpec
from ganforge.training.engine.progress import Progress
from ganforge.training.runtime import Runtime
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.tasks.pictures import generate_in_parts, run_networks


@dataclass(frozen=True)
class View:
    """Implements `RunView` for a run in training, and for one that is only measured.

    `networks` returns the networks to generate with.
    """

    config: PipelineConfig
    nimg: int
    last_log: Mapping[str, float]
    runtime: Runtime
    architecture: Architecture[Any]
    networks: Callable[[], Mapping[str, nn.Module]]

    @property
    def spec(self) -> ImageSpec:
        """What the images look like."""
        return self.architecture.spec

    @property
    def run_dir(self) -> Path:
        """The directory of the run; the current one where there is no pipeline."""
        return self.runtime.project_dir or Path()

    @property
    def step(self) -> int:
        """Training steps so far."""
        return self.nimg // self.config.train.batch_size

    @property
    def kimg(self) -> float:
        """Thousands of real images shown so far."""
        return self.nimg / 1000

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0."""
        return self.runtime.is_main

    def is_due(self, every_kimg: float) -> bool:
        """Whether the last step passed a multiple of `every_kimg` thousand images."""
        return Progress(self.step, self.nimg).crossed(every_kimg, self.config.train.batch_size)

    def sample(self, request: GenerateRequest) -> Tensor:
        """Generate with the averaged networks; changes neither training nor random numbers."""
        device = self.runtime.device
        request = _on(request, device)
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), self.runtime.autocast():
            return generate_in_parts(self.architecture, self.networks(), request)

    def log(self, values: Mapping[str, float]) -> None:
        """Send values to the trackers."""
        if self.is_main and self.runtime.accelerator.trackers:
            self.runtime.accelerator.log(dict(values), step=self.nimg)

    def log_image(self, name: str, img: Tensor) -> None:
        """Send images, as one picture, to the trackers that take images."""
        trackers = self.runtime.accelerator.trackers if self.is_main else ()
        for tracker in trackers:
            if hasattr(tracker, "log_images"):
                # TensorBoard takes [N, C, H, W] by default, all others [N, H, W, C].
                options = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
                tracker.log_images({name: _picture(img)}, step=self.nimg, **options)


_PROTOCOL: type[RunView] = View  # checked by mypy


def view_of(run: TrainingRun) -> View:
    """The view of a run at this step."""
    return View(
        config=run.config,
        nimg=run.progress.nimg,
        last_log=dict(run.last_log),
        runtime=run.runtime,
        architecture=run.architecture,
        networks=lambda: run_networks(run),
    )


def _on(request: GenerateRequest, device: torch.device) -> GenerateRequest:
    """The request on a device, with the requests that it blends."""
    blend = request.blend
    if blend is not None:
        parts = tuple(_on(part, device) for part in blend.parts)
        blend = replace(blend, parts=parts, weights=blend.weights.to(device))
    return replace(request, device=device, blend=blend)


def _picture(img: Tensor) -> NDArray[np.uint8]:
    """[N, C, H, W] in [-1, 1] -> [1, H', W', 3] uint8, in a grid about as wide as high."""
    columns = math.ceil(math.sqrt(len(img)))
    grid = image_grid(showable(img), math.ceil(len(img) / columns), columns)
    return np.asarray(grid.convert("RGB"))[None]
