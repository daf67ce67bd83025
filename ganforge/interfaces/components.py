"""The components that a pipeline file chooses: found and validated once, built once, handed on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.component import Component
from ganforge.interfaces.metric import FeatureExtractor, Metric
from ganforge.interfaces.objective import (
    AdversarialLoss,
    Augmentation,
    Objective,
    ObjectiveTerm,
    Regularizer,
)
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


class Components:
    """All components that a pipeline file chooses.

    Attributes:
        config: the pipeline file.
    """

    def __init__(
        self,
        config: PipelineConfig,
        choices: Mapping[type[Component[Any]], tuple[Choice[Any], ...]],
    ) -> None:
        self.config = config
        self._choices = choices

    def all(self, kind: type[ComponentT]) -> tuple[Choice[ComponentT], ...]:
        """The choices of one kind, in the order of the file."""
        return self._choices.get(kind, ())

    def first(self, kind: type[ComponentT]) -> Choice[ComponentT] | None:
        """The choice of a kind of which the file chooses at most one."""
        return next(iter(self.all(kind)), None)

    @property
    def architecture(self) -> Choice[Architecture[Any]]:
        """From `model`; `bound_architecture` builds it."""
        return self.all(Architecture)[0]

    def bound_architecture(self, spec: ImageSpec) -> Architecture[Any]:
        """The architecture, bound to its data."""
        return self.architecture.component(self.architecture.config, spec)

    @cached_property
    def objective(self) -> Objective:
        """From `loss` and `augment`: one object, which holds the state of its components."""
        augmentation = self.first(Augmentation)
        return Objective(
            loss=self.all(AdversarialLoss)[0].build(),
            regularizers=tuple(choice.build() for choice in self.all(Regularizer)),
            augmentation=None if augmentation is None else augmentation.build(),
            terms=tuple(choice.build() for choice in self.all(ObjectiveTerm)),
            n_critic=self.config.loss.n_critic,
        )

    @property
    def source(self) -> Choice[Source[Any]] | None:
        """From `data.source`."""
        return self.first(Source)

    @property
    def text_encoder(self) -> Choice[TextEncoder[Any]] | None:
        """From `data.text_encoder`."""
        return self.first(TextEncoder)

    @property
    def metrics(self) -> tuple[Choice[Metric[Any]], ...]:
        """From `evaluate.metrics`."""
        return self.all(Metric)

    @property
    def extractor(self) -> Choice[FeatureExtractor[Any]]:
        """From `evaluate.extractor`."""
        return self.all(FeatureExtractor)[0]
