"""The components that a pipeline file chooses: found and validated once, built once, handed on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from ganforge.config.models import PipelineConfig
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.component import Component
from ganforge.interfaces.objective import Objective
from ganforge.interfaces.spec import ImageSpec

ComponentT = TypeVar("ComponentT", bound=Component[Any])


@dataclass(frozen=True, eq=False)
class Choice(Generic[ComponentT]):
    """One component that a pipeline file chooses: its class and its validated options."""

    component: type[ComponentT]
    config: Any

    @cached_property
    def built(self) -> ComponentT:
        """The component, built once."""
        return self.component(self.config)


@dataclass(frozen=True, eq=False)
class Components:
    """All components that a pipeline file chooses, by path, e.g. "loss.regularizers.0"."""

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
            loss=self.choices["loss"].built,
            regularizers=tuple(choice.built for choice in self.each("loss.regularizers")),
            augmentation=None if augmentation is None else augmentation.built,
            terms=tuple(choice.built for choice in self.each("loss.terms")),
            n_critic=self.config.loss.n_critic,
        )

    @property
    def stages(self) -> tuple[Choice[Any], ...]:
        """From `stages`."""
        return self.each("stages")
