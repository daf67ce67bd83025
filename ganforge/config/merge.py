"""Merge pipeline files and overrides before validation; keep where each value was written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ganforge.config.choices import ComponentSection, KeyPath, Place, as_pattern
from ganforge.config.messages import dotted
from ganforge.config.models import PLACES
from ganforge.config.source_locations import SourceLocations
from ganforge.errors import ConfigError

_PLACES: Mapping[tuple[str, ...], Place] = {place.pattern: place for place in PLACES}


@dataclass
class Document:
    """The values of a pipeline file, not yet validated, and where they were written."""

    values: dict[Any, Any] = field(default_factory=dict)
    locations: SourceLocations = field(default_factory=SourceLocations)

    def merge(self, top: "Document") -> None:
        """Merge `top` over this document.

        Mappings merge key by key; other values replace. Where `top` names another component, the
        options of the earlier one are dropped. A mapping with indices as keys changes single
        elements of a list.

        Raises:
            ConfigError: a list has no element of that index.
        """
        if root := top.locations.find(()):
            self.locations.put((), root)
        self._merge(self.values, top.values, top.locations, ())

    def value_at(self, path: KeyPath) -> Any:
        """The value at `path`; None when there is none."""
        value: Any = self.values
        for key in path:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _merge(
        self, base: Any, top: Mapping[Any, Any], locations: SourceLocations, path: KeyPath
    ) -> None:
        for key, value in top.items():
            here = (*path, key)
            old = _element(base, here)
            place = place_at(here)
            if place is not None and place.section is not None:
                value, old = _spelled_out(value, place.section), _spelled_out(old, place.section)
                for option in _options_of_another(old, value, place):
                    del old[option]
                    self.locations.drop((*here, option))
            if _merges_into(old, value):
                base[key] = old
                if location := locations.find(here):
                    self.locations.put(here, location)
                self._merge(old, value, locations, here)
            else:
                base[key] = value
                self.locations.replace(here, locations)


def place_at(path: KeyPath) -> Place | None:
    """The place that chooses the component at `path`; None when none is chosen there."""
    return _PLACES.get(as_pattern(path))


def _element(base: Any, path: KeyPath) -> Any:
    """What `base` holds for the last key of `path`; None when a mapping lacks it."""
    key = path[-1]
    if isinstance(base, dict):
        return base.get(key)
    if key not in range(len(base)):
        raise ConfigError(
            f"{dotted(path[:-1])} has {len(base)} elements, counted from 0, and no element {key}."
        )
    return base[key]


def _spelled_out(value: Any, section: type[ComponentSection]) -> Any:
    """`hinge` as `{name: hinge}`, so that both forms merge alike."""
    is_name = isinstance(value, str) and "${" not in value
    return {section.name_key: value} if is_name else value


def _options_of_another(old: Any, new: Any, place: Place) -> list[str]:
    """The options of the earlier choice, where `new` names another component."""
    if place.section is None or not isinstance(old, dict) or not isinstance(new, dict):
        return []
    before, now = place.name_of(old), place.name_of(new)
    if place.section.name_key not in new or now == before or None in (before, now):
        return []
    return [key for key in old if key not in place.section.model_fields]


def _merges_into(old: Any, value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    by_index = bool(value) and all(isinstance(key, int) for key in value)
    return isinstance(old, dict) or (isinstance(old, list) and by_index)
