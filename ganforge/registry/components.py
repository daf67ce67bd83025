"""The components that a pipeline file chooses, with their options validated once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic

import pydantic

from ganforge.config.messages import Message, dotted, raise_messages
from ganforge.config.models import PLACES, PipelineConfig, StrictModel
from ganforge.errors import ConfigError, PluginNotFound
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.metric import FeatureExtractor, Metric
from ganforge.interfaces.objective import AdversarialLoss, Augmentation, Regularizer
from ganforge.interfaces.source import Source
from ganforge.interfaces.stage import Stage
from ganforge.interfaces.text_encoder import TextEncoder
from ganforge.registry.kinds import KINDS
from ganforge.registry.plugins import ComponentT, Registry, get_registry, option_messages


@dataclass(frozen=True, eq=False)
class Choice(Generic[ComponentT]):
    """One component that a pipeline file chooses.

    Attributes:
        component: its class.
        config: its validated options.
        where: its path in the pipeline file, for messages.
    """

    component: type[ComponentT]
    config: StrictModel
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
        choices: by their path in the file, e.g. "loss.regularizers.0".
    """

    choices: Mapping[str, Choice[Any]]

    def each(self, path: str) -> tuple[Choice[Any], ...]:
        """The choices in the list at `path`."""
        found: list[Choice[Any]] = []
        while choice := self.choices.get(f"{path}.{len(found)}"):
            found.append(choice)
        return tuple(found)

    @property
    def architecture(self) -> Choice[Architecture[Any]]:
        """From `model`."""
        return self.choices["model"]

    @property
    def loss(self) -> Choice[AdversarialLoss[Any]]:
        """From `loss`."""
        return self.choices["loss"]

    @property
    def regularizers(self) -> tuple[Choice[Regularizer[Any]], ...]:
        """From `loss.regularizers`."""
        return self.each("loss.regularizers")

    @property
    def augmentation(self) -> Choice[Augmentation[Any]] | None:
        """From `augment`."""
        return self.choices.get("augment")

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
    def stages(self) -> tuple[Choice[Stage[Any]], ...]:
        """From `stages`."""
        return self.each("stages")


def resolve(config: PipelineConfig, registry: Registry | None = None) -> Components:
    """Find every component that a pipeline file chooses, and validate all options.

    Args:
        config: from `load_pipeline`, so that errors can name file and line.
        registry: the installed components; those of this process when omitted.

    Raises:
        PluginNotFound: components are missing, and nothing else is wrong.
        ConfigError: options are not valid. Either error lists all faults, with file and line.
    """
    registry = registry or get_registry()
    choices: dict[str, Choice[Any]] = {}
    missing: list[Message] = []
    invalid: list[Message] = []
    for place in PLACES:
        kind = KINDS[place.kind]
        for path, name, options in place.chosen_in(config):
            try:
                component = registry.find(kind, name)
                options_model = component.Config.model_validate(options)
            except PluginNotFound as err:
                name_path = (*path, place.name_key) if place.name_key else path
                missing.append(Message(name_path, str(err)))
            except pydantic.ValidationError as err:
                invalid += option_messages(err, component, options, path)
            else:
                choices[dotted(path)] = Choice(component, options_model, dotted(path))
    if missing or invalid:
        error = ConfigError if invalid else PluginNotFound
        raise_messages([*missing, *invalid], error, config.source_locations)
    return Components(choices)
