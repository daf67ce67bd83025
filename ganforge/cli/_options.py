"""Options given on the command line as KEY=VALUE."""

from collections.abc import Iterable
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ganforge.errors import ConfigError


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
