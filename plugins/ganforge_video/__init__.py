"""Video-to-video translation: vid2vid, and metrics of clips."""

from typing import Any

from ganforge.api import Architecture, Metric, hookimpl
from ganforge_video.metrics import Flicker, FrechetVideoDistance, WarpingError
from ganforge_video.vid2vid import Vid2vid

__all__ = ["Flicker", "FrechetVideoDistance", "Vid2vid", "WarpingError"]


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """The architectures of this package."""
    return [Vid2vid]


@hookimpl
def ganforge_metrics() -> list[type[Metric[Any]]]:
    """Metrics of clips."""
    return [WarpingError, Flicker, FrechetVideoDistance]
