"""The base of all configuration, and the bounds that its sections share."""

import typing
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

MAX_SIDE = 16384
"""The longest side of an image, in pixels."""
# Beyond any run; keeps counts of images in the range of a 64-bit integer.
MAX_KIMG = 1e12
Kimg = Annotated[float, Field(gt=0, le=MAX_KIMG)]
Byte = Annotated[int, Field(ge=0, le=255)]


class StrictModel(BaseModel):
    """A frozen model without unknown keys or non-finite numbers: the base of all configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_true_as_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """`yes` and `on` are true in YAML, which pydantic takes for 1."""
        if isinstance(value, bool) and info.field_name is not None:
            types = set(types_in(cls.model_fields[info.field_name].annotation))
            if types & {int, float} and not types & {bool, Any}:
                raise ValueError("should be a number, not true or false")
        return value


def types_in(annotation: Any) -> Iterator[Any]:
    """The types that an annotation allows; those of `Literal` are the types of its values."""
    if typing.get_origin(annotation) is typing.Literal:
        yield from map(type, typing.get_args(annotation))
    elif arguments := typing.get_args(annotation):
        for argument in arguments:
            yield from types_in(argument)
    elif annotation is not Ellipsis:
        yield annotation
