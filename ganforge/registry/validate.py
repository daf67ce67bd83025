"""Check the components that a pipeline file names, and their options, against the registry."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

from ganforge.config.messages import Fault, describe_faults, raise_faults
from ganforge.config.models import ComponentConfig, PipelineConfig
from ganforge.config.source_locations import KeyPath
from ganforge.errors import ConfigError, PluginNotFound
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.component import Component
from ganforge.interfaces.metric import FeatureExtractor, Metric
from ganforge.interfaces.objective import AdversarialLoss, Augmentation, Regularizer
from ganforge.interfaces.source import Source
from ganforge.interfaces.stage import Stage
from ganforge.interfaces.text_encoder import TextEncoder
from ganforge.registry.plugins import Registry


@dataclass(frozen=True)
class Choice:
    """A component as a pipeline file chooses it; `name_path` is where its name is written."""

    kind: type[Component[Any]]
    name: str
    options: Mapping[str, Any]
    path: KeyPath
    name_path: KeyPath


def component_choices(config: PipelineConfig) -> Iterator[Choice]:
    """All components that a pipeline file names."""
    model, loss, evaluate = config.model, config.loss, config.evaluate
    yield Choice(
        Architecture, model.architecture, model.options, ("model",), ("model", "architecture")
    )
    yield Choice(AdversarialLoss, loss.name, loss.options, ("loss",), ("loss", "name"))
    for index, chosen in enumerate(loss.regularizers):
        yield _choice(Regularizer, chosen, ("loss", "regularizers", index))
    if config.augment is not None:
        yield _choice(Augmentation, config.augment, ("augment",))
    if config.data.source is not None:
        yield _choice(Source, config.data.source, ("data", "source"))
    if config.data.text_encoder is not None:
        yield _choice(TextEncoder, config.data.text_encoder, ("data", "text_encoder"))
    for index, chosen in enumerate(evaluate.metrics):
        yield _choice(Metric, chosen, ("evaluate", "metrics", index))
        if chosen.extractor is not None:
            path = ("evaluate", "metrics", index, "extractor")
            yield _choice(FeatureExtractor, chosen.extractor, path)
    yield _choice(FeatureExtractor, evaluate.extractor, ("evaluate", "extractor"))
    for index, stage in enumerate(config.stages):
        yield Choice(Stage, stage, {}, ("stages", index), ("stages", index))


def _choice(kind: type[Component[Any]], chosen: ComponentConfig, path: KeyPath) -> Choice:
    return Choice(kind, chosen.name, chosen.options, path, (*path, "name"))


def validate_components(config: PipelineConfig, registry: Registry) -> None:
    """Check that every component exists and that its options fit.

    Args:
        config: from `load_pipeline`, so that errors can name file and line.
        registry: the installed components.

    Raises:
        PluginNotFound: components are missing, and nothing else is wrong.
        ConfigError: options do not fit; all faults are listed, with file and line.
    """
    missing: list[Fault] = []
    faults: list[Fault] = []
    for choice in component_choices(config):
        try:
            component = registry.find(choice.kind, choice.name)
        except PluginNotFound as err:
            missing.append(Fault(choice.name_path, str(err)))
            continue
        try:
            component.Config(**choice.options)
        except pydantic.ValidationError as err:
            owner = f"({component.kind} '{component.name}')"
            faults += [
                Fault(fault.path, f"{fault.message} {owner}")
                for fault in describe_faults(err, component.Config, choice.options, choice.path)
            ]
    if missing or faults:
        error = ConfigError if faults else PluginNotFound
        raise_faults([*missing, *faults], config.origins, error, None)
