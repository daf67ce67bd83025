"""Where each value of a pipeline file was written: file and line, or the override."""

from collections.abc import Sequence

import yaml

from ganforge.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""Keys and list indices from the root of a pipeline file."""
_MERGE_TAG = "tag:yaml.org,2002:merge"


class Origins:
    """The place of each key. Equal to any other: it is no part of what a configuration means."""

    def __init__(self) -> None:
        # Parts are kept as text: YAML may read a key as a number.
        self._places: dict[tuple[str, ...], str] = {}
        self._mappings: set[tuple[str, ...]] = set()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Origins)

    def __hash__(self) -> int:
        return 0

    def put(self, path: KeyPath, place: str, *, is_mapping: bool = False) -> None:
        """Record that `path` was written at `place`; mappings merge, other values replace."""
        parts = tuple(map(str, path))
        self._places[parts] = place
        if is_mapping:
            self._mappings.add(parts)

    def put_value(self, path: KeyPath, value: object, place: str) -> None:
        """Record `place` for `path` and for everything inside `value`."""
        self.put(path, place, is_mapping=isinstance(value, dict))
        if isinstance(value, dict):
            for key, inner in value.items():
                self.put_value((*path, key), inner, place)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                self.put_value((*path, index), inner, place)

    def update(self, other: "Origins") -> None:
        """Take the places of `other`, which was merged over this."""
        replaced = other._places.keys() - other._mappings
        self._places = {
            parts: place
            for parts, place in self._places.items()
            if not any(parts[:length] in replaced for length in range(len(parts)))
        } | other._places
        self._mappings |= other._mappings

    def find(self, path: Sequence[str | int]) -> str | None:
        """The place of `path`, or of the nearest key round it; None when nothing is known."""
        parts = tuple(map(str, path))
        for length in range(len(parts), -1, -1):
            place = self._places.get(parts[:length])
            if place is not None:
                return place
        return None


def yaml_origins(root: yaml.MappingNode, file: str) -> Origins:
    """The places of all keys below the root node of a YAML file.

    Raises:
        ConfigError: an anchor contains itself.
    """
    origins = Origins()
    origins.put((), file, is_mapping=True)
    _collect(root, (), file, origins, ())
    return origins


def _collect(
    node: yaml.Node, path: KeyPath, file: str, origins: Origins, above: tuple[yaml.Node, ...]
) -> None:
    if any(node is outer for outer in above):
        raise ConfigError(
            f"An anchor contains itself ({file}:{node.start_mark.line + 1}). "
            f"Write the value out in place of the alias."
        )
    above = (*above, node)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            line = item.start_mark.line + 1
            is_mapping = isinstance(item, yaml.MappingNode)
            origins.put((*path, index), f"{file}:{line}", is_mapping=is_mapping)
            _collect(item, (*path, index), file, origins, above)
    elif isinstance(node, yaml.MappingNode):
        # Merged keys first: keys written out replace them.
        for key, value in sorted(node.value, key=lambda pair: bool(pair[0].tag != _MERGE_TAG)):
            if key.tag == _MERGE_TAG:
                merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for part in reversed(merged):
                    _collect(part, path, file, origins, above)
                continue
            origins.put(
                (*path, key.value),
                f"{file}:{key.start_mark.line + 1}",
                is_mapping=isinstance(value, yaml.MappingNode),
            )
            _collect(value, (*path, key.value), file, origins, above)
