"""How a pipeline file chooses components: a name with options beside it, at marked fields.

A field of a section that chooses a component is marked `Chooses(kind)`, once; merging, schema,
validation and documentation find these places with `places`.
"""

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

KeyPath = tuple[str | int, ...]
"""Keys and list indices from the root of a pipeline file."""


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

    name: str = Field(description="Registered name; `ganforge plugins list` shows all.")


@dataclass(frozen=True)
class Place:
    """A field of the pipeline file that chooses components.

    Attributes:
        kind: what it chooses, as in `Component.kind`.
        path: keys from the root of the file.
        owner: the section that has the field.
        section: the model of each choice; None where the file gives only names.
        is_list: whether it takes several.
    """

    kind: str
    path: tuple[str, ...]
    owner: type[BaseModel]
    section: type[ComponentSection] | None
    is_list: bool

    @property
    def name_key(self) -> str | None:
        """The key that holds the name, beside the options."""
        return None if self.section is None else self.section.name_key

    def chosen_in(self, config: BaseModel) -> Iterator[tuple[KeyPath, str, dict[str, Any]]]:
        """Path, name and options of each choice that a configuration makes here."""
        value: Any = config
        for key in self.path:
            value = None if value is None else getattr(value, key)
        if self.is_list:
            for index, item in enumerate(value):
                yield self._choice((*self.path, index), item)
        elif value is not None:
            yield self._choice(self.path, value)

    def _choice(self, path: KeyPath, value: Any) -> tuple[KeyPath, str, dict[str, Any]]:
        if self.name_key is None:
            return path, value, {}
        return path, getattr(value, self.name_key), value.options


def places(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Place]:
    """Every place below `model` that chooses components, each before those inside it."""
    for name, field in model.model_fields.items():
        here = (*path, name)
        inner = models_in(field.annotation)
        for mark in field.metadata:
            if isinstance(mark, Chooses):
                section = next((m for m in inner if issubclass(m, ComponentSection)), None)
                yield Place(mark.kind, here, model, section, _is_list(field.annotation))
        for model_inside in inner:
            yield from places(model_inside, here)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models inside an annotation such as `tuple[Model, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def _is_list(annotation: Any) -> bool:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return any(map(_is_list, typing.get_args(annotation)))
    return typing.get_origin(annotation) in (tuple, list)
