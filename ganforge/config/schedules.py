"""Numbers that change during training: `0.05`, or `{from: 0.05, to: 0.005, over_kimg: 20000}`."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


class Schedule(BaseModel):
    """A number that moves from one value to another over the first part of the training."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        populate_by_name=True,
        serialize_by_alias=True,
    )

    start: float = Field(alias="from", ge=0, description="Value at the start of training.")
    to: float = Field(ge=0, description="Value from `over_kimg` on.")
    over_kimg: float = Field(gt=0, description="Length of the change, in thousands of real images.")
    shape: Literal["cosine", "linear"] = Field(
        "cosine", description="Half a cosine wave, or a straight line."
    )

    def at(self, nimg: int) -> float:
        """The value after `nimg` images. It depends only on progress, so that resuming is exact."""
        done = min(1.0, nimg / (1000 * self.over_kimg))
        share = done if self.shape == "linear" else (1 - math.cos(math.pi * done)) / 2
        return self.start + share * (self.to - self.start)

    def to_power(self, exponent: float) -> "Schedule":
        """The schedule with both ends raised to a power."""
        return self.model_copy(update={"start": self.start**exponent, "to": self.to**exponent})


def value_at(value: float | Schedule, nimg: int) -> float:
    """A number as it is, or the value of a schedule after `nimg` images."""
    return value.at(nimg) if isinstance(value, Schedule) else value


def _branch(value: Any) -> str:
    return "schedule" if isinstance(value, Mapping | Schedule) else "number"


_Scheduled = Annotated[Schedule, Tag("schedule")]

Scheduled = Annotated[Annotated[float, Tag("number")] | _Scheduled, Discriminator(_branch)]
"""A number or a schedule."""

ScheduledNonNegative = Annotated[
    Annotated[float, Field(ge=0), Tag("number")] | _Scheduled, Discriminator(_branch)
]
"""A number of at least 0, or a schedule."""

ScheduledPositive = Annotated[
    Annotated[float, Field(gt=0), Tag("number")] | _Scheduled, Discriminator(_branch)
]
"""A number above 0, or a schedule."""
