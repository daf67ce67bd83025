"""Metrics of translated clips: temporal consistency, flicker, and the Frechet video distance.

Shapes: N clips, T frames, C channels, H height, W width. Clips are in [-1, 1].
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge.api import ClipMetric, ComponentOptions, Field, MetricError
from ganforge.layers import estimate_flow, flow_confidence, warp

_PERCENT = 100.0
_I3D_SIDE = 224
"""Height and width at which the usual network of FVD sees frames."""


class WarpingError(ClipMetric[ComponentOptions]):
    """Change along the motion of the target: a frame against the warped frame before it.

    The flow is that of the target, estimated by a Lucas-Kanade pyramid, and pixels count where it
    explains the target's change. The root of the mean square over these, in percent of the value
    range, as `warping_error`; that of the target itself as `warping_error_real`. A blurred output
    has a small one, so that it only makes sense beside `psnr` or `ssim`.

    Source: Lai et al. 2018, arXiv:1808.00449, section 4.1, with another flow and with the root.
    """

    name = "warping_error"

    def compare(self, source: Tensor, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Both values [N], of clips of at least 2 frames."""
        rows = [self._of_clip(*clips) for clips in zip(output, target, strict=True)]
        made, real = torch.stack(rows).unbind(1)
        return {"warping_error": made, "warping_error_real": real}

    def _of_clip(self, output: Tensor, target: Tensor) -> Tensor:
        """Both values of clips [T, C, H, W]."""
        flow = estimate_flow(target[1:], target[:-1])
        counts = flow_confidence(target[1:], target[:-1], flow)
        weight = (counts.sum() * output.shape[1]).clamp(min=1)
        found = []
        for clip in (output, target):
            change = (clip[1:] - warp(clip[:-1], flow)) / 2
            found.append(((change.square() * counts).sum() / weight).sqrt())
        return _PERCENT * torch.stack(found)


class Flicker(ClipMetric[ComponentOptions]):
    """Mean absolute change from frame to frame, in percent of the value range.

    `flicker` is that of the output, `flicker_ratio` its quotient by that of the target, over all
    clips. Motion counts too, so the ratio of a perfect output is 1.
    """

    name = "flicker"

    def compare(self, source: Tensor, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`flicker` and `flicker_real` [N], of clips of at least 2 frames."""
        made, real = (
            _PERCENT * (clip / 2).double().diff(dim=1).abs().mean((1, 2, 3, 4))
            for clip in (output, target)
        )
        return {"flicker": made, "flicker_real": real}

    def compute(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """The mean and the ratio; a target that stands still counts as the smallest change."""
        made, real = (values[name].double().mean() for name in ("flicker", "flicker_real"))
        return {"flicker": made.item(), "flicker_ratio": (made / real.clamp(min=1e-6)).item()}


class FvdConfig(ComponentOptions):
    """Options of the Frechet video distance."""

    network: str | None = Field(
        None,
        description="TorchScript file of a network from clips [N, 3, T, 224, 224] in [-1, 1] to "
        "features [N, D]; published numbers use an I3D trained on Kinetics-400.",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="Further arguments of its forward, by name, e.g. {return_features: true}.",
    )


class FrechetVideoDistance(ClipMetric[FvdConfig]):
    """Frechet distance of the features of translated and of real clips.

    Source: Unterthiner et al. 2018, arXiv:1812.01717.
    """

    name, Config = "fvd", FvdConfig

    def __init__(self, config: FvdConfig) -> None:
        super().__init__(config)
        self._network: Any = None

    def check(self, num_gen: int, num_real: int) -> None:
        """Refuse to measure without a network, or fewer than two clips."""
        self._load()
        if num_real < 2:
            raise MetricError(
                f"The metric 'fvd' compares the covariances of features, but there is {num_real} "
                f"clip. Use 2 or more; published numbers use 2,048."
            )

    def compare(self, source: Tensor, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Features [N, D] of both."""
        return {"output": self._features(output), "target": self._features(target)}

    def compute(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """The distance as `fvd`."""
        from torch_fidelity import metric_fid  # slow to import, and rarely needed

        statistics = [
            metric_fid.fid_features_to_statistics(values[n]) for n in ("output", "target")
        ]
        found = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
        return {"fvd": float(found[metric_fid.KEY_METRIC_FID])}

    def caveats(self, values: Mapping[str, Tensor]) -> list[str]:
        """Say when a covariance cannot have full rank."""
        count, size = values["target"].shape
        if count > size:
            return []
        return [
            f"{count} clips for {size} features: the covariance is rank-deficient and the distance "
            f"biased upwards; use more than {size}"
        ]

    def _features(self, clips: Tensor) -> Tensor:
        count, frames, channels = clips.shape[:3]
        sides = (_I3D_SIDE, _I3D_SIDE)
        large = torch.nn.functional.interpolate(clips.flatten(0, 1), sides, mode="bilinear")
        shown = large.expand(-1, 3, -1, -1) if channels == 1 else large[:, :3]
        network = self._load().to(clips.device)
        films = shown.reshape(count, frames, 3, *sides).transpose(1, 2)
        try:
            found: Tensor = network(films, **self.config.arguments)
        except (RuntimeError, TypeError) as err:
            reason = str(err).strip().splitlines()[-1]
            raise MetricError(
                f"The network of 'fvd', {self.config.network}, fails on {count} clips of {frames} "
                f"frames ({reason}). Check its arguments, or use longer clips."
            ) from err
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != count:
            shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise MetricError(
                f"The network of 'fvd', {self.config.network}, returned {shape} for {count} clips; "
                f"it must return features [{count}, D]. Check its arguments."
            )
        return found.float()

    def _load(self) -> Any:
        if self.config.network is None:
            raise MetricError(
                "The metric 'fvd' needs features of a video network, which ganforge does not "
                "bring. Give its TorchScript file: {name: fvd, network: i3d.pt}, or leave fvd out "
                "of evaluate.metrics."
            )
        if self._network is None:
            path = Path(self.config.network)
            try:
                with warnings.catch_warnings():
                    # Newer torch prefers torch.export, but the I3D that all use is TorchScript.
                    warnings.simplefilter("ignore", FutureWarning)
                    loaded = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
                self._network = loaded.eval()
            except (RuntimeError, ValueError, OSError) as err:
                reason = str(err).strip().splitlines()[0]
                raise MetricError(
                    f"The network of 'fvd', {path}, cannot be read as TorchScript ({reason}). Give "
                    f"a file that torch.jit.save wrote."
                ) from err
        return self._network
