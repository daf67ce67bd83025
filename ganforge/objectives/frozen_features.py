"""A frozen feature network, for losses computed on its maps."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ganforge.config.choices import ComponentChoice
from ganforge.interfaces.metric import FeatureExtractor
from ganforge.registry.plugins import get_registry


class FrozenFeatures:
    """A feature extractor chosen by name, whose maps an architecture trains against.

    It is deliberately not an `nn.Module`: as an attribute of a network its weights are neither
    trained nor averaged, checkpointed or exported. A network that has one passes its own `_apply`
    on to `apply`, so that `.to(device)` moves both.

    The extractor is built when it is first needed, so that a model that only generates needs
    neither its weights nor its packages.

    Args:
        choice: name and options, as in a pipeline file.
        where: path in the pipeline file, for messages.
    """

    def __init__(self, choice: ComponentChoice, where: str) -> None:
        self._choice, self._where = choice, where
        self._built: FeatureExtractor[Any] | None = None

    @property
    def name(self) -> str:
        """Registered name of the extractor."""
        return self._choice.name

    def map_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """Channels, height and width of the maps, from the finest; builds nothing.

        Height and width of the images are in pixels.

        Raises:
            PluginNotFound: there is no such extractor.
            ConfigError: an option is wrong, it gives no maps, or it takes no such images.
        """
        component, config = get_registry().configure(
            FeatureExtractor, self._choice.name, self._choice.options, self._where
        )
        return component.map_shapes(config, height, width)

    @property
    def extractor(self) -> FeatureExtractor[Any]:
        """The network itself, in eval mode and without gradients of its weights.

        Raises:
            GanforgeError: its weights or packages cannot be had.
        """
        if self._built is None:
            # Building it must not change the random numbers of the networks that train. It has
            # values even when its owner is built on the meta device, to be counted.
            with torch.random.fork_rng(devices=[]), torch.device("cpu"):
                built = get_registry().build(
                    FeatureExtractor, self._choice.name, self._choice.options, self._where
                )
            self._built = built.eval().requires_grad_(False)
        return self._built

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        return self.extractor.sha256

    def apply(self, move: Callable[[Tensor], Tensor]) -> None:
        """Move the weights as `nn.Module._apply` moves those of their owner."""
        self.extractor._apply(move)  # type: ignore[no-untyped-call]

    def maps(self, img: Tensor) -> list[Tensor]:
        """Feature maps of float images [N, C, H, W] in [-1, 1], differentiable by the images."""
        return self.extractor.maps(img)
