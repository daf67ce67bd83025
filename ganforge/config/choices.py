"""How a pipeline file chooses components: a name with options beside it, at marked fields.

Each field that chooses a component is marked once, with `Chooses(kind)`. `places` finds these
fields for merging, validation, the JSON schema and the documentation.
"""

import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

KeyPath = tuple[str | int, ...]
"""Keys and list indices from the root of a pipeline file."""
ANY_INDEX = "*"
"""Stands for every element of a list in `Place.pattern`."""


@dataclass(frozen=True)
class Chooses:
    """Marks a field whose value, or whose list items, choose a component of one kind."""

    kind: str


class ComponentSection(BaseModel):
    """Base of the sections that name a component and hold its options beside their own fields."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name_key: ClassVar[str] = "name"

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {cls.name_key: value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """The component's options, not yet validated."""
        return dict(self.model_extra or {})


class ComponentChoice(ComponentSection):
    """The choice of a component: `r1`, or `{name: r1, gamma: 1.0}` with options.

    The component validates its options.
    """

    name: str = Field(description="Registered name; `ganforge plugins list` shows all names.")


@dataclass(frozen=True)
class Place:
    """Where the pipeline file chooses components of one kind.

    Attributes:
        pattern: keys from the root of the file; `ANY_INDEX` stands for each element of a list.
        owner: the section whose field this is.
        section: the model of a choice; None where the file gives only names.
    """

    kind: str
    pattern: tuple[str, ...]
    owner: type[BaseModel]
    section: type[ComponentSection] | None

    @property
    def is_list(self) -> bool:
        """Whether the field takes several components."""
        return self.pattern[-1] == ANY_INDEX

    @property
    def field(self) -> str:
        """The name of the owner's field."""
        return self.pattern[-2] if self.is_list else self.pattern[-1]

    @property
    def name_key(self) -> str | None:
        """The key that holds the name, beside the options."""
        return None if self.section is None else self.section.name_key

    def name_of(self, choice: Any) -> str | None:
        """The component that a value in a file names; None when it is missing or interpolated."""
        if self.section is not None and isinstance(choice, dict):
            key = self.section.name_key
            choice = choice.get(key, self.section.model_fields[key].default)
        return choice if isinstance(choice, str) and "${" not in choice else None

    def chosen_in(self, config: BaseModel) -> Iterator[tuple[KeyPath, str, dict[str, Any]]]:
        """Path, name and options of each choice that a configuration makes here."""
        for path, choice in _values(config, self.pattern, ()):
            if self.name_key is None:
                yield path, choice, {}
            else:
                yield path, getattr(choice, self.name_key), choice.options


def _values(value: Any, pattern: Sequence[str], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Path and value of everything in `value` that fits the pattern and is not None."""
    if value is None:
        return
    if not pattern:
        yield path, value
    elif pattern[0] == ANY_INDEX:
        for index, item in enumerate(value):
            yield from _values(item, pattern[1:], (*path, index))
    else:
        yield from _values(getattr(value, pattern[0]), pattern[1:], (*path, pattern[0]))


def as_pattern(path: KeyPath) -> tuple[str, ...]:
    """The path with `ANY_INDEX` in place of each list index."""
    return tuple(ANY_INDEX if isinstance(key, int) else key for key in path)


def places(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[Place]:
    """Every place below `model` that chooses components, each before those inside it."""
    for name, field in model.model_fields.items():
        inner = models_in(field.annotation)
        is_list = typing.get_origin(field.annotation) is tuple
        pattern = (*above, name, ANY_INDEX) if is_list else (*above, name)
        for mark in field.metadata:
            if isinstance(mark, Chooses):
                section = next((m for m in inner if issubclass(m, ComponentSection)), None)
                yield Place(mark.kind, pattern, model, section)
        for model_inside in inner:
            yield from places(model_inside, pattern)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models inside an annotation such as `tuple[Model, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def type_at(root: Any, path: KeyPath) -> Any:
    """The annotation of the field at `path`; None when there is none.

    An index of a list and a key of a dictionary lead to the annotation of the whole.
    """
    annotation = root
    for key in path:
        fields = [
            field
            for model in models_in(annotation)
            for name, field in model.model_fields.items()
            if (field.alias or name) == key
        ]
        if found := next(iter(fields), None):
            annotation = found.annotation
        elif isinstance(key, str) and typing.get_origin(annotation) is not dict:
            return None
    return annotation
