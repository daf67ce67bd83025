"""Where each value of a pipeline file was written: file and line, or the override."""

from collections.abc import Iterator, Sequence

import yaml

from ganforge.config.choices import KeyPath
from ganforge.errors import ConfigError

_MAX_VALUES = 100_000
"""Far more than any pipeline has; nested aliases can stand for billions."""


class SourceLocations:
    """The place of each key.

    Two of these are always equal, so that equal configurations from different files are equal.
    """

    def __init__(self) -> None:
        # Parts are kept as text: YAML may read a key as a number.
        self._places: dict[tuple[str, ...], str] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SourceLocations)

    def __hash__(self) -> int:
        return 0

    def __len__(self) -> int:
        return len(self._places)

    def put(self, path: KeyPath, place: str) -> None:
        """Record that `path` was written at `place`."""
        self._places[tuple(map(str, path))] = place

    def drop(self, path: KeyPath) -> None:
        """Forget the places of `path` and of everything inside it."""
        parts = tuple(map(str, path))
        self._places = {p: v for p, v in self._places.items() if p[: len(parts)] != parts}

    def replace(self, path: KeyPath, other: "SourceLocations") -> None:
        """Take the places of `path` and of everything inside it from `other`."""
        self.drop(path)
        parts = tuple(map(str, path))
        inside = {p: v for p, v in other._places.items() if p[: len(parts)] == parts}
        # An override such as train.seed.x=1 records only the key inside.
        place = other.find(path) or next(iter(inside.values()), None)
        if place is not None:
            self._places[parts] = place
        self._places |= inside

    def find(self, path: Sequence[str | int]) -> str | None:
        """The place of `path`, or of the nearest key that contains it; None when unknown."""
        parts = tuple(map(str, path))
        above = (parts[:length] for length in range(len(parts), -1, -1))
        return next((self._places[key] for key in above if key in self._places), None)


def yaml_locations(root: yaml.MappingNode, file: str) -> SourceLocations:
    """The places of all keys below the root of a YAML file; a ConfigError where anchors circle."""
    locations = SourceLocations()
    locations.put((), file)
    _collect(root, (), file, locations, ())
    return locations


def _collect(
    node: yaml.Node,
    path: KeyPath,
    file: str,
    locations: SourceLocations,
    above: tuple[yaml.Node, ...],
) -> None:
    if any(node is outer for outer in above):
        raise ConfigError(
            f"An anchor contains itself ({file}:{node.start_mark.line + 1}). "
            f"Write the value out in place of the alias."
        )
    if len(locations) > _MAX_VALUES:
        raise ConfigError(
            f"{file} holds more than {_MAX_VALUES} values (aliases may repeat them). Shorten it."
        )
    for key, mark, value in _children(node):
        locations.put((*path, key), f"{file}:{mark.line + 1}")
        _collect(value, (*path, key), file, locations, (*above, node))


def _children(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Mark, yaml.Node]]:
    """Key, position and value of all that a node contains."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield index, item.start_mark, item
    elif isinstance(node, yaml.MappingNode):
        # Puts the pairs of merge keys (<<) before the node's own, which win.
        yaml.SafeLoader("").flatten_mapping(node)
        for key, value in node.value:
            yield key.value, key.start_mark, value
