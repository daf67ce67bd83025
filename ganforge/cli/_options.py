"""Options given on the command line as KEY=VALUE."""

from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ganforge.errors import ConfigError, suggest
from ganforge.interfaces.architecture import Architecture

_PARAMETERS = {"label": "labels", "text": "texts", "num_images": "num"}
"""Names of the library, and those of the command line's arguments."""
_FLAGS = {"labels": "label", "texts": "text"}
"""Arguments that may be repeated are named in the plural, their flags in the singular."""


def own_options(architecture: Architecture[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The options given by -o, known to be the architecture's own.

    Args:
        architecture: whose `generate_options` they are.
        arguments: of the command, by parameter.

    Raises:
        ConfigError: one is not KEY=VALUE, or no option of the architecture; names the flag that
            sets it where there is one.
    """
    options = parse_options(arguments["options"])
    for name in options:
        if name in architecture.generate_options:
            continue
        parameter = _PARAMETERS.get(name, name)
        if parameter in arguments:
            flag = _FLAGS.get(parameter, parameter).replace("_", "-")
            advice = f"It is set by a flag: use --{flag}."
        else:
            advice = suggest(name, architecture.generate_options)
        raise ConfigError(
            f"The architecture '{architecture.name}' has no generation option '{name}', which "
            f"-o gives. {advice}"
        )
    return options


def parse_options(pairs: Iterable[str], option: str = "--option") -> dict[str, Any]:
    """Options given as key=value, with YAML values.

    Args:
        pairs: as they were given.
        option: what they were given to, for messages.

    Raises:
        ConfigError: one is not of that form.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise ConfigError(f"{option} {pair!r} is not KEY=VALUE.")
        try:
            parsed: Any = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))
        except (YAMLError, OmegaConfBaseException) as err:
            raise ConfigError(f"{option} {pair!r}: the value is not YAML; quote it.") from err
        options[key] = parsed["value"]
    return options
