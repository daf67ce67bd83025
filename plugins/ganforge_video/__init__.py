"""Video-to-video translation: vid2vid, Everybody Dance Now, and metrics of clips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.api import hookimpl

if TYPE_CHECKING:
    from ganforge.api import Architecture, Metric


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """The architectures of this package."""
    from ganforge_video.everybody_dance_now import EverybodyDanceNow
    from ganforge_video.vid2vid import Vid2vid

    return [Vid2vid, EverybodyDanceNow]


@hookimpl
def ganforge_metrics() -> list[type[Metric[Any]]]:
    """Metrics of clips."""
    from ganforge_video.metrics import Flicker, FrechetVideoDistance, WarpingError

    return [WarpingError, Flicker, FrechetVideoDistance]
