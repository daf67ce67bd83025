"""The components that a pipeline file chooses: found and validated once, built once, handed on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.component import Component
from ganforge.interfaces.metric import FeatureExtractor, Metric
from ganforge.interfaces.objective import Objective
from ganforge.interfaces.source import Source
from ganforge.interfaces.spec import ImageSpec
from ganforge.interfaces.text_encoder import TextEncoder

ComponentT = TypeVar("ComponentT", bound=Component[Any])


@dataclass(frozen=True, eq=False)
class Choice(Generic[ComponentT]):
    """One component that a pipeline file chooses.

    Attributes:
        component: its class.
        config: its validated options.
        where: its path in the pipeline file, for messages.
    """

    component: type[ComponentT]
    config: Any
    where: str

    def build(self) -> ComponentT:
        """The component, built at the first call; later calls return the same object."""
        return self._built

    @cached_property
    def _built(self) -> ComponentT:
        return self.component(self.config)


@dataclass(frozen=True, eq=False)
class Components:
    """All components that a pipeline file chooses.

    Attributes:
        config: the pipeline file.
        choices: by their path in the file, e.g. "loss.regularizers.0".
    """

    config: PipelineConfig
    choices: Mapping[str, Choice[Any]]

    def each(self, path: str) -> tuple[Choice[Any], ...]:
        """The choices in the list at `path`."""
        found: list[Choice[Any]] = []
        while choice := self.choices.get(f"{path}.{len(found)}"):
            found.append(choice)
        return tuple(found)

    @property
    def architecture(self) -> Choice[Architecture[Any]]:
        """From `model`; `bound_architecture` builds it."""
        return self.choices["model"]

    def bound_architecture(self, spec: ImageSpec) -> Architecture[Any]:
        """The architecture, bound to its data."""
        return self.architecture.component(self.architecture.config, spec)

    @cached_property
    def objective(self) -> Objective:
        """From `loss` and `augment`: one object, which holds the state of its components."""
        augmentation = self.choices.get("augment")
        return Objective(
            loss=self.choices["loss"].build(),
            regularizers=tuple(choice.build() for choice in self.each("loss.regularizers")),
            augmentation=None if augmentation is None else augmentation.build(),
            terms=tuple(choice.build() for choice in self.each("loss.terms")),
            n_critic=self.config.loss.n_critic,
        )

    @property
    def source(self) -> Choice[Source[Any]] | None:
        """From `data.source`."""
        return self.choices.get("data.source")

    @property
    def text_encoder(self) -> Choice[TextEncoder[Any]] | None:
        """From `data.text_encoder`."""
        return self.choices.get("data.text_encoder")

    @property
    def metrics(self) -> tuple[Choice[Metric[Any]], ...]:
        """From `evaluate.metrics`."""
        return self.each("evaluate.metrics")

    @property
    def extractor(self) -> Choice[FeatureExtractor[Any]]:
        """From `evaluate.extractor`."""
        return self.choices["evaluate.extractor"]

    @property
    def stages(self) -> tuple[Choice[Any], ...]:
        """From `stages`."""
        return self.each("stages")
