"""What every component is: a named class with a pydantic `Config`."""

from abc import ABC
from typing import ClassVar, Generic, TypeVar

import pluggy

from ganforge.config.models import StrictModel

hookimpl = pluggy.HookimplMarker("ganforge")
"""Marks a module-level function as the implementation of a ganforge hook."""

ComponentOptions = StrictModel
"""Base of the models of components' options."""
ConfigT = TypeVar("ConfigT", bound=StrictModel)


class Component(ABC, Generic[ConfigT]):
    """A named, configurable part of a pipeline."""

    kind: ClassVar[str]
    """What it is, in words: "architecture", "loss", ... See `ganforge.registry.kinds`."""
    name: ClassVar[str]
    """Its name in pipeline files, in snake_case: "weight_clipping"."""
    Config: ClassVar[type[StrictModel]] = StrictModel
    """The model of its options, with defaults and descriptions."""

    config: ConfigT

    def __init__(self, config: ConfigT) -> None:
        super().__init__()
        self.config = config
