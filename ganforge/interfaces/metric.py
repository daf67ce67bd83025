"""What is measured: feature extractors, and metrics computed from their features."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from ganforge.errors import ConfigError
from ganforge.interfaces.component import Component, ConfigT


class FeatureExtractor(Component[ConfigT], nn.Module):
    """A frozen network whose features metrics compare.

    It follows torch-fidelity: `forward` maps uint8 images [N, C, H, W] to a dict of float32
    features [N, D] by layer name.
    """

    kind = "feature extractor"
    layers: ClassVar[Mapping[str, str]]
    """The layer each metric uses: {"fid": ..., "kid": ..., "is": ...}."""
    resize: ClassVar[str] = "none"
    """How images reach the network's size, in words: part of each number's provenance."""
    precision: str = "fp32"
    """Arithmetic of the forward pass: part of each number's provenance."""
    compiled: bool = False
    """Whether the forward pass is compiled: the same numbers to rounding."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Hash of the weights: part of each number's provenance."""

    @abstractmethod
    def forward(self, img: Tensor) -> dict[str, Tensor]:
        """Features of uint8 images [N, C, H, W] by layer name."""

    @classmethod
    def map_shapes(cls, config: ConfigT, height: int, width: int) -> list[tuple[int, int, int]]:
        """Channels, height and width of each of `maps`, from the finest; reads no weights.

        Raises:
            ConfigError: it gives no maps, or takes no images of this size.
        """
        raise ConfigError(
            f"The feature extractor '{cls.name}' gives no feature maps, only pooled features. "
            f"Choose one of which docs/extractors.md says that it gives maps."
        )

    def maps(self, img: Tensor) -> list[Tensor]:
        """Feature maps [N, c, h, w] of float images [N, C, H, W] in [-1, 1], from the finest.

        They can be differentiated by the images: architectures may train against them.

        Raises:
            ConfigError: as `map_shapes`.
        """
        self.map_shapes(self.config, *img.shape[-2:])
        raise ConfigError(f"'{self.name}' names the shapes of maps, but `maps` is not overridden.")


class Metric(Component[ConfigT]):
    """A number computed from features of generated, and mostly of real, images."""

    kind = "metric"
    needs_real: ClassVar[bool] = True
    lower_is_better: ClassVar[bool] = True

    def check(self, num_gen: int, num_real: int) -> None:
        """Refuse counts that cannot work, before anything is generated.

        Raises:
            MetricError: too few images for the options; says how many are needed.
        """

    def caveats(
        self, gen: Mapping[str, Tensor], real: Mapping[str, Tensor], layers: Mapping[str, str]
    ) -> list[str]:
        """What a reader of the number must know; kept in its record. Arguments as `compute`."""
        return []

    @abstractmethod
    def compute(
        self, gen: Mapping[str, Tensor], real: Mapping[str, Tensor], layers: Mapping[str, str]
    ) -> dict[str, float]:
        """Values by name.

        Args:
            gen: features of generated images by layer, each [N, D] on the CPU.
            real: features of real images, or empty.
            layers: the extractor's layer for each metric.
        """
