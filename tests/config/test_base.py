from typing import Literal

import pytest
from pydantic import Field, ValidationError

from ganforge.config.base import Byte, StrictModel


class Section(StrictModel):
    kimg: float = 1.0
    every: int | None = None
    size: int | tuple[int, int] = 1
    flip: bool = False
    both: bool | int = 0
    mode: Literal["a", True] = "a"
    counts: dict[str, int] = Field(default_factory=dict)
    color: tuple[Byte, ...] = ()


@pytest.mark.parametrize("field", ["kimg", "every", "size"])
def test_number_that_is_true_or_false_is_refused(field):
    with pytest.raises(ValidationError, match="should be a number, not true or false"):
        Section.model_validate({field: True})
    assert getattr(Section.model_validate({field: 2}), field) == 2


@pytest.mark.parametrize("field", ["flip", "both", "mode"])
def test_field_that_may_be_true_takes_it(field):
    assert getattr(Section.model_validate({field: True}), field) is True


@pytest.mark.parametrize("value", [-1, 256])
def test_byte_outside_of_its_range_is_refused(value):
    with pytest.raises(ValidationError, match=r"color\.0"):
        Section.model_validate({"color": [value]})
