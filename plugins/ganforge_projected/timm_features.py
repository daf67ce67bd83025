"""Any network of the package timm as frozen features.

timm is imported when it is used: it is an optional package (`pip install 'ganforge[timm]'`).
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.api import ComponentOptions, ConfigError, FeatureExtractor, Field

_NUM_MAPS = 4


class TimmConfig(ComponentOptions):
    """Options of a timm network."""

    model: str = Field(
        "tf_efficientnet_lite0", description="Name in timm; it must offer `features_only`."
    )
    weights: str | None = Field(
        None, description="Weights file. Default: timm's own, from its cache or a download."
    )
    side: int = Field(224, gt=0, description="Images are resized to this square, in pixels.")


def _create(config: TimmConfig, **options: Any) -> nn.Module:
    """A timm model that returns feature maps.

    Raises:
        ConfigError: timm is missing, knows no such model, or its weights cannot be had.
    """
    try:
        import timm
    except ImportError as err:
        raise ConfigError(
            f"The feature extractor 'timm' needs the package timm ({err}). Install it: "
            f"pip install 'ganforge[timm]', or choose another extractor."
        ) from err
    if config.weights is not None and not Path(config.weights).is_file():
        raise ConfigError(
            f"The feature extractor 'timm' has weights: {config.weights}, which is no file. "
            f"Correct the path, or leave it out for timm's own weights."
        )
    try:
        model: nn.Module = timm.create_model(config.model, features_only=True, **options)
    # timm and the Hub's client report a missing network, file or name by any of these.
    except (OSError, RuntimeError, ValueError) as err:
        raise ConfigError(
            f"timm's model '{config.model}' cannot be had with "
            f"{'weights ' + config.weights if config.weights else 'its published weights'}: {err} "
            f"Without network, fetch the weights elsewhere (timm.create_model('{config.model}', "
            f"pretrained=True) and save_file of its state_dict) and set `weights` of the extractor "
            f"to that file; timm.list_models() lists the names."
        ) from err
    return model


class TimmFeatures(FeatureExtractor[TimmConfig]):
    """The last four feature maps of a timm network, and for metrics the last one, pooled."""

    name = "timm"
    Config = TimmConfig
    resize = "bilinear, antialiased, to `side`"
    mean: Tensor
    std: Tensor

    def __init__(self, config: TimmConfig) -> None:
        """Load the network.

        Raises:
            ConfigError: timm or the weights cannot be had.
        """
        super().__init__(config)
        overlay = {"pretrained_cfg_overlay": {"file": config.weights}} if config.weights else {}
        self.network = _create(config, pretrained=True, **overlay)
        known = getattr(self.network, "pretrained_cfg", {})
        self.register_buffer("mean", torch.tensor(known.get("mean", (0.5,) * 3)).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(known.get("std", (0.5,) * 3)).view(3, 1, 1))
        self.eval().requires_grad_(False)

    @cached_property
    def sha256(self) -> str:
        """Hash of names and values of all weights."""
        found = hashlib.sha256(f"{self.config.model} {self.config.side}".encode())
        for name, tensor in sorted(self.state_dict().items()):
            found.update(name.encode())
            found.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
        return found.hexdigest()

    @classmethod
    def map_shapes(cls, config: TimmConfig, height: int, width: int) -> list[tuple[int, int, int]]:
        """Shapes of the last four maps at `side`; images may have any size.

        Raises:
            ConfigError: timm is missing or knows no such model.
        """
        with torch.device("meta"), torch.no_grad():
            maps = _create(config, pretrained=False).eval()(torch.zeros(1, 3, *[config.side] * 2))
        return [(x.shape[1], x.shape[2], x.shape[3]) for x in maps[-_NUM_MAPS:]]

    def maps(self, img: Tensor) -> list[Tensor]:
        """The last four maps of float images [N, 1 or 3, H, W] in [-1, 1]; gray becomes RGB."""
        side = self.config.side
        if tuple(img.shape[-2:]) != (side, side):
            img = functional.interpolate(img, size=(side, side), mode="bilinear", antialias=True)
        img = img.expand(-1, 3, -1, -1) if img.shape[1] == 1 else img[:, :3]
        normal = ((img + 1) / 2 - self.mean) / self.std
        found: list[Tensor] = self.network(normal)
        return found[-_NUM_MAPS:]

    def forward(self, img: Tensor) -> dict[str, Tensor]:
        """`pooled` [N, D] of uint8 images [N, C, H, W]: the mean of the last map."""
        return {"pooled": self.maps(img.float() / 127.5 - 1)[-1].mean((2, 3)).float()}
