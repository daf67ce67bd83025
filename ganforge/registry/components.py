"""Find the components that a pipeline file chooses, and validate their options, once."""

from typing import Any

import pydantic

from ganforge.config.messages import Message, dotted, raise_messages
from ganforge.config.models import PLACES, PipelineConfig
from ganforge.errors import ConfigError, PluginNotFound
from ganforge.interfaces.components import Choice, Components
from ganforge.registry.kinds import KINDS
from ganforge.registry.plugins import Registry, get_registry, option_messages


def resolve(config: PipelineConfig, registry: Registry | None = None) -> Components:
    """Find every component that a pipeline file chooses, and validate all options.

    Raises:
        PluginNotFound: components are missing, and nothing else is wrong.
        ConfigError: options are not valid. Either error lists all faults, with file and line.
    """
    registry = registry or get_registry()
    choices: dict[str, Choice[Any]] = {}
    missing: list[Message] = []
    invalid: list[Message] = []
    for place in PLACES:
        kind = KINDS[place.kind].base
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
                choices[dotted(path)] = Choice(component, options_model)
    if missing or invalid:
        error = ConfigError if invalid else PluginNotFound
        raise_messages([*missing, *invalid], error, config.source_locations)
    return Components(config, choices)
