"""LPIPS: the distance of two images in the features of a network, weighted to human judgment.

Source: Zhang et al. 2018, arXiv:1801.03924, Eq. 1.
"""

import functools
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from ganforge.config.models import StrictModel
from ganforge.errors import MetricError
from ganforge.interfaces.metric import PairMetric

# Layers of torchvision's networks whose activations are compared, and their channels.
_TAPS: Mapping[str, Mapping[int, int]] = {
    "alex": {1: 64, 4: 192, 7: 384, 9: 256, 11: 256},
    "vgg": {3: 64, 8: 128, 15: 256, 22: 512, 29: 512},
}
_BUILDERS = {"alex": "alexnet", "vgg": "vgg16"}
_SMALLEST = {"alex": 31, "vgg": 16}
"""Smallest side that all layers accept."""
_MEAN, _STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_EPS = 1e-10


class LpipsConfig(StrictModel):
    """Options of LPIPS. Both files are published by others, and are never downloaded."""

    network: Literal["alex", "vgg"] = Field("alex", description="AlexNet or VGG16.")
    backbone: str = Field(
        description="File of torchvision's ImageNet weights of that network, .pth or .safetensors."
    )
    heads: str = Field(
        description="File of the authors' weights of its channels, version 0.1: alex.pth or "
        "vgg.pth."
    )


class Lpips(PairMetric[LpipsConfig]):
    """Perceptual distance of outputs and targets, the mean over all pairs; 0 for equal images.

    It equals the authors' `lpips` 0.1. Gray images are repeated to RGB.
    """

    name = "lpips"
    Config = LpipsConfig
    lower_is_better: ClassVar[bool] = True

    @functools.cached_property
    def _network(self) -> "_Network":
        return _Network(self.config)

    def recorded_options(self) -> dict[str, Any]:
        """The network, and the hashes of both files."""
        return {"network": self.config.network, **self._network.hashes}

    def compare(self, source: Tensor, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`lpips` [N].

        Raises:
            MetricError: a weights file cannot be read or does not fit; the images are too small, or
                have neither one nor three channels.
        """
        least = _SMALLEST[self.config.network]
        if output.shape[1] not in (1, 3) or min(output.shape[-2:]) < least:
            raise MetricError(
                f"The metric 'lpips' takes gray or color images of {least}x{least} pixels or more "
                f"(network: {self.config.network}), but these are {list(output.shape[1:])} "
                f"(channels, height, width). Leave it out of evaluate.metrics."
            )
        network = self._network.to(output.device)
        return {"lpips": network(output.expand(-1, 3, -1, -1), target.expand(-1, 3, -1, -1))}


class _Network(nn.Module):
    """Layers of a torchvision network, and a weight for each channel of those that are compared."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: LpipsConfig) -> None:
        super().__init__()
        import torchvision.models  # slow to load, and the registry loads this module

        self.taps = _TAPS[config.network]
        whole = getattr(torchvision.models, _BUILDERS[config.network])(weights=None)
        self.layers = whole.features[: max(self.taps) + 1]
        for layer in self.layers:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        backbone, backbone_sha256 = _read(config.backbone, "backbone")
        heads, heads_sha256 = _read(config.heads, "heads")
        self.hashes = {"backbone_sha256": backbone_sha256, "heads_sha256": heads_sha256}
        prefix = "features."
        wanted = {n.removeprefix(prefix): v for n, v in backbone.items() if n.startswith(prefix)}
        _load(self.layers, wanted, f"{config.backbone} (backbone, network: {config.network})")
        for number, channels in enumerate(self.taps.values()):
            weight = heads.get(f"lin{number}.model.1.weight")
            if weight is None or list(weight.shape) != [1, channels, 1, 1]:
                raise MetricError(
                    f"{config.heads} does not hold the heads of 'lpips' for network: "
                    f"{config.network}: lin{number}.model.1.weight [1, {channels}, 1, 1] is "
                    f"missing. Use the authors' weights, version 0.1."
                )
            self.register_buffer(f"head{number}", weight)
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Distances [N] float64 of images [N, 3, H, W] in [-1, 1]."""
        total = one.new_zeros(len(one), dtype=torch.float64)
        pairs = zip(self._maps(one), self._maps(other), strict=True)
        for number, (first, second) in enumerate(pairs):
            weighted = (first - second).square() * self.get_buffer(f"head{number}")
            total = total + weighted.sum(1).double().mean((1, 2))
        return total

    def _maps(self, img: Tensor) -> list[Tensor]:
        x, found = (img.float() - self.mean) / self.std, []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in self.taps:
                found.append(x / (x.square().sum(1, keepdim=True).sqrt() + _EPS))
        return found


def _read(path: str, option: str) -> tuple[dict[str, Tensor], str]:
    """The tensors of a weights file, which cannot run code, and its hash."""
    try:
        content = Path(path).read_bytes()
        if path.endswith(".safetensors"):
            tensors = load_safetensors(content)
        else:
            tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as err:  # the readers raise almost any type on a damaged file
        raise MetricError(
            f"The weights of 'lpips' cannot be read from {path}: {err}. Correct the option "
            f"`{option}` of the metric."
        ) from err
    return dict(tensors), hashlib.sha256(content).hexdigest()


def _load(layers: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    names = layers.state_dict().keys()
    try:
        layers.load_state_dict({n: v for n, v in tensors.items() if n in names})
    except RuntimeError as err:
        raise MetricError(
            f"{where} does not hold torchvision's weights of that network: {err} Use the file that "
            f"torchvision publishes."
        ) from err
