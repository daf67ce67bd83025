"""What is measured: feature extractors, and metrics of their features or of image pairs."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from ganforge.errors import ConfigError
from ganforge.interfaces.component import Component, ConfigT


class FeatureExtractor(Component[ConfigT], nn.Module):
    """A frozen network whose features metrics compare.

    It names its outputs by role, so that any metric that needs a role works on it.
    """

    kind = "feature extractor"
    outputs: ClassVar[tuple[str, ...]] = ("pooled",)
    """What `forward` returns: `pooled` features, class `logits`, or roles of a plugin's choice."""
    resize: ClassVar[str] = "none"
    """How images reach the network's size, in words: part of each number's provenance."""
    precision: str = "fp32"
    """Arithmetic of the forward pass: part of each number's provenance."""
    compiled: bool = False
    """Whether the forward pass is compiled; this changes numbers by rounding only."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Hash of the weights: part of each number's provenance."""

    @abstractmethod
    def forward(self, img: Tensor) -> dict[str, Tensor]:
        """uint8 images [N, C, H, W] -> features [N, D] float32 for each of `outputs`."""

    @classmethod
    def map_shapes(cls, config: ConfigT, height: int, width: int) -> list[tuple[int, int, int]]:
        """Channels, height and width of each of `maps`, from the finest; reads no weights.

        Raises:
            ConfigError: it has no feature maps, or does not take images of this size.
        """
        raise ConfigError(
            f"The feature extractor '{cls.name}' has no feature maps, only pooled features. "
            f"Choose one that docs/extractors.md lists as having maps."
        )

    def maps(self, img: Tensor) -> list[Tensor]:
        """Feature maps [N, c, h, w] of float images [N, C, H, W] in [-1, 1], from the finest.

        They are differentiable with respect to the images: architectures may train against them.
        Errors are those of `map_shapes`.
        """
        self.map_shapes(self.config, *img.shape[-2:])
        raise ConfigError(f"'{self.name}' names the shapes of maps, but does not override `maps`.")


class Metric(Component[ConfigT]):
    """A quality of a generator.

    Subclass `FeatureMetric`, `PairMetric`, `ClipMetric` or `CycleMetric`.
    """

    kind = "metric"
    needs: ClassVar[str]
    """What it is computed from: an output of the extractor, `pairs` or `clips`."""
    lower_is_better: ClassVar[bool] = True

    def check(self, num_gen: int, num_real: int) -> None:
        """Raise a MetricError for too few images, before any is generated."""

    def recorded_options(self) -> dict[str, Any]:
        """What decides its numbers, for the record: its options; of weights the hash, no path."""
        return self.config.model_dump(mode="json")


class FeatureMetric(Metric[ConfigT]):
    """A number computed from features of generated, and mostly of real, images."""

    needs = "pooled"
    needs_real: ClassVar[bool] = True
    """Whether it compares with real images."""

    @abstractmethod
    def compute(self, gen: Tensor, real: Tensor) -> dict[str, float]:
        """Values by name, from features gen [N, D] and real [M, D], float32 on the CPU.

        Without `needs_real`, real is [0, D]. Of video, each frame is an image.
        """

    def caveats(self, gen: Tensor, real: Tensor) -> list[str]:
        """Warnings for the log and the record. Arguments as for `compute`."""
        return []


class PairMetric(Metric[ConfigT]):
    """A number computed from each output of a translator and its ground-truth target.

    Pairs are formed by index: pair i is the translation of source i and target i of the data set,
    whatever the seed, the batch size or the number of ranks. Of video, each frame is a pair.
    """

    needs = "pairs"

    @abstractmethod
    def compare(self, source: Tensor, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Values of each pair by name, [N] each; also [N, D] where `compute` is overridden.

        Args:
            source: [N, C, H, W] images that were translated, float in [-1, 1], or label maps as
                the network gets them, on the device.
            output: their translations, rounded to 8 bits as a saved image is.
            target: the ground truth.
        """

    def compute(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Final values by name: the means over all pairs.

        `values` is what `compare` returned, for all pairs in index order, on the CPU: float64
        where it returned that, else float32.
        """
        return {name: value.double().mean().item() for name, value in values.items()}

    def caveats(self, values: Mapping[str, Tensor]) -> list[str]:
        """Warnings for the log and the record. Arguments as for `compute`."""
        return []


class ClipMetric(PairMetric[ConfigT]):
    """A number computed from each translated clip and its ground-truth clip.

    As a `PairMetric`, but `compare` gets clips [N, T, C, H, W] of T frames, and returns values of
    each clip.
    """

    needs = "clips"


class CycleMetric(Metric[ConfigT]):
    """A number computed from sources that a translator with two directions translated and back.

    It needs no targets, so that unpaired data can be measured.
    """

    needs = "cycles"

    @abstractmethod
    def compare(self, source: Tensor, back: Tensor) -> dict[str, Tensor]:
        """Values of each image by name, [N] each.

        Args:
            source: [N, C, H, W] images in [-1, 1], on the device.
            back: their translations, rounded to 8 bits and translated back.
        """
