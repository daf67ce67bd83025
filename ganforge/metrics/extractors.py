"""The Inception-v3 network of the original FID, through torch-fidelity's port of its weights."""

import functools
import hashlib
import io
import pickle
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from ganforge.config.models import StrictModel
from ganforge.errors import MetricError
from ganforge.interfaces.metric import FeatureExtractor
from ganforge.metrics.weights import PUBLISHED_SHA256_PREFIX, find_weights

_LAYERS = ("2048", "logits_unbiased")
"""torch-fidelity's names of the outputs."""


class InceptionV3Config(StrictModel):
    """Options of the Inception extractor."""

    weights: str | None = Field(
        None, description="Weights file. Default: the cache folder, then a download to it."
    )
    sha256: str | None = Field(
        PUBLISHED_SHA256_PREFIX,
        description="First digits of the hash of the weights file; null accepts any weights.",
    )
    cache_dir: str | None = Field(None, description="Default: evaluate.cache_dir.")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="bf16 is faster and changes FID slightly; never compare the two."
    )
    compile: bool | Literal["auto"] = Field(
        "auto", description="torch.compile the network. Default: where it saves time."
    )


class InceptionV3(FeatureExtractor[InceptionV3Config]):
    """Inception-v3 with the TensorFlow weights and resizing of Heusel et al. 2017.

    Its outputs are 2048 pooled features and the 1008 logits without bias. They equal those of
    torch-fidelity's `inception-v3-compat`. Gray images are repeated to RGB.
    """

    name = "inception_v3"
    Config = InceptionV3Config
    outputs: ClassVar[tuple[str, ...]] = ("pooled", "logits")
    resize = "bilinear to 299x299 as TensorFlow 1"

    def __init__(self, config: InceptionV3Config) -> None:
        """Load the network.

        Raises:
            MetricError: the weights cannot be found, or are not the published ones.
        """
        super().__init__(config)
        content, where = find_weights(config.weights, config.cache_dir, config.sha256)
        self._sha256 = hashlib.sha256(content).hexdigest()
        self.precision = config.precision
        self.compiled = config.compile is True
        self.network = _load(content, where)
        if self.compiled:
            _fold_batch_norms(self.network)
        # Plain fp32 keeps torch-fidelity's own layout: its features are the same bit for bit.
        exact = self.precision == "fp32" and not self.compiled
        self._layout = torch.contiguous_format if exact else torch.channels_last
        self.network.to(memory_format=self._layout)

    @functools.cached_property
    def _run(self) -> nn.Module:
        # Compiled at first use, when the module is on its device.
        return cast(nn.Module, torch.compile(self.network)) if self.compiled else self.network

    @property
    def sha256(self) -> str:
        """Hash of the weights file."""
        return self._sha256

    def forward(self, img: Tensor) -> dict[str, Tensor]:
        """`pooled` [N, 2048] and `logits` [N, 1008] of uint8 images [N, 1 or 3, H, W]."""
        img = img.expand(-1, 3, -1, -1).contiguous(memory_format=self._layout)
        with torch.autocast(img.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            found = self._run(img)
        return {name: out.float() for name, out in zip(self.outputs, found, strict=True)}


def _load(content: bytes, where: str) -> nn.Module:
    """torch-fidelity's network with the given weights.

    torch-fidelity unpickles without restriction, so torch's tensor-only loader reads the same bytes
    first and refuses code.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        torch.load(io.BytesIO(content), weights_only=True)
        network = FeatureExtractorInceptionV3(
            InceptionV3.name, list(_LAYERS), feature_extractor_weights_path=io.BytesIO(content)
        )
    except (RuntimeError, EOFError, LookupError, pickle.UnpicklingError) as err:
        raise MetricError(
            f"{where} does not hold the weights of 'inception_v3': it is damaged, of "
            f"another network, or holds code. Use the file that torch-fidelity publishes, "
            f"whose SHA-256 begins with {PUBLISHED_SHA256_PREFIX}."
        ) from err
    return cast(nn.Module, network.eval().requires_grad_(False))


def _fold_batch_norms(network: nn.Module) -> None:
    """Fold each batch norm into the convolution before it: the same function up to rounding."""
    for block in network.modules():
        conv, norm = getattr(block, "conv", None), getattr(block, "bn", None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            block.conv = nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
            block.bn = nn.Identity()
